// What a user installs: the tarball of npm pack, in a folder of its own.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'src');
const require = createRequire(import.meta.url);
let folder = '';

const run = (code: string): string =>
  execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: folder, encoding: 'utf8' });

beforeAll(() => {
  if (!existsSync(join(root, 'dist/index.js'))) execFileSync(process.execPath, ['build.mjs'], { cwd: root });
  folder = mkdtempSync(join(tmpdir(), 'ringfence-pack-'));
  execFileSync('npm', ['pack', '--pack-destination', folder, '--silent'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
  const installed = join(folder, 'node_modules/ringfence');
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, tarball), '-C', installed, '--strip-components=1']);
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(dirname(require.resolve('react/package.json')), join(folder, 'node_modules/react'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  it('holds what its exports name, the licence, and nothing of the sources', () => {
    const files = execFileSync('find', ['.', '-type', 'f'], {
      cwd: join(folder, 'node_modules/ringfence'),
      encoding: 'utf8',
    })
      .trim()
      .split('\n');
    for (const file of [
      './package.json',
      './LICENSE',
      './README.md',
      './dist/core.wasm',
      './dist/index.js',
      './dist/index.d.ts',
      './dist/react.js',
      './dist/inline.js',
      './dist/zustand.js',
      './dist/zustand.d.ts',
      './dist/persist.js',
      './dist/persist.d.ts',
      './dist/worker.js',
      './dist/worker.d.ts',
      './dist/worker_thread.js',
      './dist/list.js',
      './dist/list.d.ts',
    ])
      expect(files).toContain(file);
    expect(files.filter((file) => /\.(cpp|test\.|map$)/.test(file))).toEqual([]);
  });

  it('starts in Node from its main entry, reading the file beside it', () => {
    const out = run(`
      import { createStore, connect, RingfenceError } from 'ringfence';
      const store = await createStore({ budget: '2 MiB' });
      const history = store.history('a', { capacity: 10 });
      console.log(store.stats().budgetBytes, history.size, typeof connect, new RingfenceError('a', 'b').code);
      store.end();`);
    expect(out.trim()).toBe('2097152 0 function a');
  });

  it('starts at once from ./inline, with the same classes as the main entry', () => {
    const out = run(`
      import { createStoreSync, EndedError } from 'ringfence/inline';
      import { EndedError as Same } from 'ringfence';
      const store = createStoreSync({ budget: '1 MiB' });
      store.history('a', { bytes: 4096 }).end();
      console.log(store.handles().total, EndedError === Same);
      store.end();`);
    expect(out.trim()).toBe('0 true');
  });

  it('has one class of each error, whichever entry it comes from', () => {
    const out = run(`
      import { RingfenceError } from 'ringfence';
      import { capped as ofRedux } from 'ringfence/redux';
      import { capped as ofZustand } from 'ringfence/zustand';
      const codes = [];
      const tries = [
        () => ofRedux('a', { b: { capacity: 1 } }, () => ({ b: 1 }))(undefined, { type: 'a' }),
        () => ofZustand({ b: { capacity: 1 } }, () => ({ b: 1 }))(() => 0, () => 0, { subscribe() {} }),
      ];
      for (const attempt of tries)
        try { attempt(); } catch (error) { codes.push(error instanceof RingfenceError && error.code); }
      console.log(codes.join());`);
    expect(out.trim()).toBe('not_an_array,not_an_array');
  });

  it('does nothing on import, also where there is no WebAssembly, no WebSocket and no process', () => {
    const entries = Object.keys(
      (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { exports: object }).exports,
    ).filter((name) => !/\.(wasm|js|json)$/.test(name));
    expect(entries.length).toBeGreaterThan(10);
    const out = run(`
      await import('react'); // reads process.env by itself
      const { process } = globalThis;
      const before = Object.keys(globalThis).length;
      for (const name of ['WebAssembly', 'WebSocket', 'fetch', 'process']) delete globalThis[name];
      const keys = [];
      for (const entry of ${JSON.stringify(entries)})
        keys.push(...Object.keys(await import(entry.replace('.', 'ringfence'))));
      globalThis.process = process;
      console.log(Object.keys(globalThis).length <= before, keys.includes('createStore'), keys.includes('openDevtools'), process.getActiveResourcesInfo().filter((name) => /Timeout|TCP/.test(name)).length);`);
    expect(out.trim()).toBe('true true true 0');
  });

  it('has no developer tools on a page without a bundler, which has no process', () => {
    const out = run(`
      const { createStore } = await import('ringfence/inline');
      const { openDevtools } = await import('ringfence/devtools');
      const store = await createStore({ budget: '1 MiB' });
      const { process } = globalThis;
      delete globalThis.process;
      const devtools = openDevtools(store, { parent: false });
      globalThis.process = process;
      console.log(devtools.active, devtools.summary());
      store.end();`);
    expect(out.trim()).toBe('false undefined');
  });

  it('asks of a page for no more than its memory, two functions, and what Emscripten tells', () => {
    const wasm = new WebAssembly.Module(readFileSync(join(folder, 'node_modules/ringfence/dist/core.wasm')));
    // The last two are answered with 0: see instance.ts.
    const known = ['memory', 'ringfence_changed', 'ringfence_report', 'emscripten_notify_memory_growth', 'proc_exit'];
    const asked = WebAssembly.Module.imports(wasm).map(({ name }) => name);
    expect(asked.filter((name) => !known.includes(name))).toEqual([]);
    expect(asked).toEqual(expect.arrayContaining(known.slice(0, 3)));
  });

  it('gives its WASM and its package.json by name', () => {
    const out = run(`
      import { readFileSync } from 'node:fs';
      const wasm = readFileSync(new URL(import.meta.resolve('ringfence/core.wasm')));
      console.log(wasm.subarray(1, 4).toString(), JSON.parse(readFileSync(new URL(import.meta.resolve('ringfence/package.json')))).name);`);
    expect(out.trim()).toBe('asm ringfence');
  });

  it('exports no table, which would make queryObjects of the DevTools hang', () => {
    const module = new WebAssembly.Module(readFileSync(join(folder, 'node_modules/ringfence/dist/core.wasm')));
    expect(new Set(WebAssembly.Module.exports(module).map(({ kind }) => kind))).toEqual(new Set(['function']));
  });

  it('gives hooks that are marked for the client, with React from the user', () => {
    for (const entry of ['react.js', 'ring.js', 'list.js'])
      expect(readFileSync(join(folder, 'node_modules/ringfence/dist', entry), 'utf8')).toMatch(/^"use client"/);
    expect(run(`import * as hooks from 'ringfence/react'; console.log(Object.keys(hooks).sort().join())`).trim()).toBe(
      'Provider,useBackfill,useClient,useConnection,useCount,useHistory,useKeyed,usePresence,useProjection,useStore,useSubscription,useView',
    );
  });

  it('has types that a strict user compiles against', () => {
    writeFileSync(
      join(folder, 'user.ts'),
      `import { createStore, connect, type Row, type Snapshot } from 'ringfence';
       import { createStoreSync } from 'ringfence/inline';
       import { keyed } from 'ringfence/keyed';
       interface Chat { readonly text: string }
       const store = await createStore({ budget: '16 MiB' });
       const chat = store.history<Chat>('chat', { capacity: 1000, bytes: '1 MiB', decode: (value) => value as Chat });
       const client = connect('wss://host/v1/ws', { store, token: async () => 'x' });
       const subscription = client.subscribe('room:1', chat, { last: 50 });
       const snapshot: Snapshot<Chat> = chat.window({ last: 50 }).getSnapshot();
       const row: Row<Chat> | undefined = snapshot.items[0];
       const text: string | undefined = row?.data.text;
       const taken: Promise<{ readonly seq: number }> = client.publish('room:1', 'chat', { text });
       // @ts-expect-error rows are not to be written
       snapshot.items.push(row);
       // @ts-expect-error a selector has one of three forms
       chat.window({ first: 3 });
       // @ts-expect-error a budget is needed
       createStoreSync({});
       const room = keyed<number, Chat>(store, 'room', { capacity: 50, ttl: 60_000, sizeOf: ({ text }) => text.length });
       room.set(1, { text: 'hello' }, { ttl: 1000 });
       const found: Chat | undefined = room.get(1);
       for (const [key, value] of room.getSnapshot().entries) void [key satisfies number, value satisfies Chat];
       // @ts-expect-error a capacity is needed
       keyed(store, 'b', {});
       subscription(); subscription.end(); void [taken, found];`,
    );
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'ES2022',
          module: 'NodeNext',
          moduleResolution: 'NodeNext',
          strict: true,
          noEmit: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          types: [],
          lib: ['ES2022', 'DOM'],
          skipLibCheck: false,
        },
        files: ['user.ts'],
      }),
    );
    const tsc = require.resolve('typescript/bin/tsc');
    let out = '';
    try {
      execFileSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
    } catch (error) {
      out = (error as { stdout: string }).stdout;
    }
    expect(out).toBe('');
  });

  // What a page loads: an entry, the chunks that it imports, now or later, and the WASM.
  it('is small: the main entry with its WASM 48 KB, React 3 KB more, persist and worker 5.1 KB each, gzip', () => {
    const dist = join(folder, 'node_modules/ringfence/dist');
    const closure = (entry: string, files = new Set<string>()): Set<string> => {
      if (files.has(entry)) return files;
      files.add(entry);
      for (const [, name] of readFileSync(join(dist, entry), 'utf8').matchAll(/(?:from|import)\s*\(?"\.\/([^"]+)"/g))
        closure(name ?? '', files);
      return files;
    };
    const zipped = (files: Iterable<string>): number =>
      [...files].reduce((sum, file) => sum + gzipSync(readFileSync(join(dist, file)), { level: 9 }).length, 0);
    const main = closure('index.js').add('core.wasm');
    expect(main.size).toBeGreaterThan(2);
    expect(zipped(main)).toBeLessThanOrEqual(48_000);
    for (const [entry, most] of [
      ['react.js', 3000],
      ['ring.js', 1500],
      ['list.js', 3000],
      ['keyed.js', 3000],
      ['zustand.js', 3000],
      ['redux.js', 3000],
      ['persist.js', 5000],
      ['worker.js', 5100],
    ] as const) {
      const more = [...closure(entry)].filter((file) => !main.has(file));
      expect(more).toContain(entry);
      expect([entry, zipped(more) <= most, zipped(more)]).toEqual([entry, true, expect.any(Number)]);
    }
  });

  it('has a reference that TypeDoc makes without a warning', () => {
    const typedoc = join(dirname(require.resolve('typedoc/package.json')), 'bin/typedoc');
    let out = '';
    try {
      execFileSync(process.execPath, [typedoc, '--emit', 'none'], { cwd: root, encoding: 'utf8' });
    } catch (error) {
      out = `${(error as { stdout: string }).stdout}${(error as { stderr: string }).stderr}`;
    }
    expect(out).toBe('');
  });

  it('gives ringfence/zustand within 3,000 bytes of gzip, all its files counted', () => {
    const dist = join(folder, 'node_modules/ringfence/dist');
    const files = new Set<string>();
    const visit = (name: string): void => {
      if (files.has(name)) return;
      files.add(name);
      const code = readFileSync(join(dist, name), 'utf8');
      for (const [, next] of code.matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)) if (next) visit(next);
    };
    visit('zustand.js');
    const bytes = [...files].reduce(
      (sum, name) => sum + gzipSync(readFileSync(join(dist, name)), { level: 9 }).length,
      0,
    );
    expect(bytes).toBeGreaterThan(1000);
    expect(bytes).toBeLessThanOrEqual(3000);
  });

  it('passes publint and are-the-types-wrong', () => {
    const bin = (name: string, file: string): string => join(dirname(require.resolve(`${name}/package.json`)), file);
    const publint = execFileSync(
      process.execPath,
      [resolve(dirname(require.resolve('publint')), 'cli.js'), 'run', root, '--strict'],
      { encoding: 'utf8' },
    );
    expect(publint).not.toMatch(/Warning|Error/i);
    const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '';
    // Ends with a status other than 0 if anything is wrong.
    const attw = execFileSync(
      process.execPath,
      [
        bin('@arethetypeswrong/cli', 'dist/index.js'),
        join(folder, tarball),
        '--profile',
        'esm-only',
        '--exclude-entrypoints',
        'core.wasm',
      ],
      { encoding: 'utf8' },
    );
    expect(attw).toMatch(/"ringfence\/react"/);
  });
});

describe('the sources', () => {
  const imports = new Map(
    readdirSync(source)
      .filter((name) => name.endsWith('.ts'))
      .map((name) => {
        const text = readFileSync(join(source, name), 'utf8');
        return [name, [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1] ?? '')] as const;
      }),
  );
  const importersOf = (module: string): string[] =>
    [...imports].filter(([, list]) => list.includes(module)).map(([name]) => name);

  it('know the WASM in core.ts alone, and React in react.ts, react/, ring.ts and list.ts alone', () => {
    expect(imports.size).toBeGreaterThan(15);
    expect(importersOf('./instance.js')).toEqual(['core.ts']);
    expect(importersOf('react')).toEqual(['list.ts', 'react.ts', 'ring.ts']);
    expect(imports.get('ring.ts')?.filter((name) => name.startsWith('.'))).toEqual([
      './capped/versions.js',
      './check_integer.js',
    ]);
    expect(importersOf('ringfence-wasm-base64')).toEqual(['inline.ts']);
  });

  it('point one way: react to the store and its types, the store to the core', () => {
    expect(
      imports
        .get('react.ts')
        ?.filter((name) => name.startsWith('.'))
        .sort(),
    ).toEqual([
      './backfill.js',
      './backfill.js',
      './check.js',
      './presence_types.js',
      './projection.js',
      './react/lease.js',
      './types.js',
      './view.js',
      './window.js',
    ]);
    expect(imports.get('backfill.ts')).toEqual(['./types.js']);
    expect(imports.get('core.ts')?.filter((name) => name.startsWith('.'))).toEqual(['./errors.js', './instance.js']);
    expect(imports.get('instance.ts')).toEqual([]);
    for (const low of ['store.ts', 'history.ts', 'window.ts', 'rows.ts', 'core.ts', 'errors.ts'])
      for (const high of [
        './client.js',
        './connection.js',
        './subscriptions.js',
        './react.js',
        './index.js',
        './inline.js',
      ])
        expect(imports.get(low), `${low} imports ${high}`).not.toContain(high);
  });

  it('find the WASM by the literal that bundlers look for', () => {
    expect(readFileSync(join(source, 'index.ts'), 'utf8')).toContain("new URL('./core.wasm', import.meta.url)");
    const dist = readFileSync(join(root, 'dist/index.js'), 'utf8');
    expect(dist).toContain('new URL("./core.wasm",import.meta.url)');
    const worker = readFileSync(join(root, 'dist/worker.js'), 'utf8');
    expect(worker).toContain('new URL("./core.wasm",import.meta.url)');
    expect(worker).toContain('new Worker(new URL("./worker_thread.js",import.meta.url),{type:"module"})');
    // One file, for a classic worker too.
    expect(readFileSync(join(root, 'dist/worker_thread.js'), 'utf8')).not.toMatch(/^(?:import|export)\b|;export\b/m);
    for (const name of readdirSync(join(root, 'dist')).filter((file) => file.endsWith('.js'))) {
      const text = readFileSync(join(root, 'dist', name), 'utf8');
      expect([name, /\beval\(|new Function\(/.test(text)]).toEqual([name, false]);
      expect([name, /import\(["'`]node:/.test(text)]).toEqual([name, false]); // webpack would stop at it
      if (name === 'index.js' || name === 'worker.js') continue;
      expect([name, /import\.meta/.test(text)]).toEqual([name, false]);
    }
  });
});
