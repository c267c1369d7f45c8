// Builds the package into dist/: node build.mjs. Takes the WASM from ../build/wasm/client-wasm, or RINGFENCE_WASM_DIR.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { minifySync } from 'oxc-minify';

import { renameExports, shortNames } from './rename_exports.mjs';

// One line an entry of package.json's exports.
const ENTRIES = [
  'index',
  'react',
  'ring',
  'keyed',
  'list',
  'zustand',
  'redux',
  'persist',
  'worker',
  'inline',
  'presence',
  'testing',
  'devtools',
  'devtools_on',
  'devtools_off',
];

// Each with its own copy of the little that it shares with the others, no class of which anybody asks the identity: that
// would be chunks of the main entry.
const APART = [['ring'], ['testing'], ['devtools', 'devtools_on', 'devtools_off']];

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const wasmDir = resolve(process.env.RINGFENCE_WASM_DIR ?? join(here, '../build/wasm/client-wasm'));
const wasm = join(wasmDir, 'core.wasm');

if (!existsSync(wasm)) {
  console.error(`no core.wasm in ${wasmDir}: build it first (./dev build)`);
  process.exit(1);
}

const short = shortNames(readFileSync(wasm), /^(rf_|_initialize$)/);
// Members of classes that no user gets (Core, Connection, Subscriptions): the same in each of the builds below, so that their chunks are the same.
const INTERNAL = [
  'storeNumbers',
  'historyNumbers',
  'viewNumbers',
  'viewPositions',
  'markChanged',
  'firstPosition',
  'refusedByCode',
  'removeHistory',
  'removeView',
  'errorName',
  'noteGap',
  'addHistory',
  'viewRates',
  'channelResumed',
  'refusedMessage',
  'missedAnnounced',
  'historyEnded',
  'resuming',
  'isOpen',
  'queueNames',
  'keyedNames',
  'makeWay',
  'delayed',
  'handleCounts',
  'stateChanged',
  'hasChanges',
  'lastKey',
  'refreshes',
  'removeFolding',
  'addFolding',
  'setChannel',
  'trimValues',
  'nextSource',
  'rowsAt',
  'addView',
  'addClient',
  'removeClient',
  'bucketMs',
  'arrived',
];
const mangled = { ...short, ...Object.fromEntries(INTERNAL.map((name, index) => [name, `C${index}`])) };
const wasmBytes = renameExports(readFileSync(wasm), short);

// The WASM as a module of base64, for ./inline.
const wasmBase64 = {
  name: 'wasm-base64',
  setup(build) {
    build.onResolve({ filter: /^ringfence-wasm-base64$/ }, () => ({ path: wasm, namespace: 'base64' }));
    build.onLoad({ filter: /.*/, namespace: 'base64' }, () => ({
      contents: `export default ${JSON.stringify(wasmBytes.toString('base64'))}`,
    }));
  },
};

// The page's side of a worker has its own copy of what a handle is: as a chunk of the main entry it would cost that one more.
const ownHandles = {
  name: 'own-handles',
  setup(build) {
    build.onResolve({ filter: /\/(handle|environment)\.js$/ }, ({ path, importer, namespace }) =>
      namespace === 'own' || /\/src\/worker(\.ts|\/(link|remote_\w+)\.ts)$/.test(importer)
        ? { path: join(here, 'src', basename(path, '.js')), namespace: 'own' }
        : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'own' }, ({ path }) => ({
      contents: readFileSync(`${path}.ts`, 'utf8'),
      loader: 'ts',
      resolveDir: dirname(path),
    }));
  },
};

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const shared = {
  absWorkingDir: here,
  outdir: dist,
  bundle: true,
  target: 'es2022',
  minify: true,
  keepNames: false,
  sourcemap: false,
  legalComments: 'none',
  external: ['react', 'zustand'],
  plugins: [wasmBase64, ownHandles],
  mangleProps: new RegExp(`^(rf_|(_initialize|${INTERNAL.join('|')})$)`),
  mangleCache: mangled,
  define: { 'process.env.NODE_ENV': 'process.env.NODE_ENV' }, // the user's bundler decides
  logLevel: 'warning',
};
// zustand and redux share code that would be a chunk, and a chunk costs more than a copy: each is built with all others but
// not with the other one. Chunks are named by their content, so those of errors and the like are the same files.
for (const other of ['redux', 'zustand'])
  await build({
    ...shared,
    entryPoints: ENTRIES.filter((name) => !APART.flat().includes(name) && name !== other).map(
      (name) => `src/${name}.ts`,
    ),
    splitting: true, // one copy of each class, whichever entries a page uses
    format: 'esm',
  });
for (const names of APART)
  await build({ ...shared, entryPoints: names.map((name) => `src/${name}.ts`), splitting: true, format: 'esm' });
// The worker's script is one file that imports nothing: a bundler may take it as a module or as a classic script.
await build({ ...shared, entryPoints: ['src/worker_thread.ts'], format: 'iife' });
writeFileSync(join(dist, 'core.wasm'), wasmBytes);
// Once more: it folds what esbuild leaves, and that is 4 % of the main entry. Not where bundlers look for a literal address:
// it writes strings as templates.
for (const name of readdirSync(dist).filter((file) => file.endsWith('.js'))) {
  const path = join(dist, name);
  const once = readFileSync(path, 'utf8');
  if (once.includes('import.meta')) continue;
  if (name === 'zustand.js') continue; // an append takes 1.6 times as long in what the second pass makes of it
  const options = { module: true, compress: { target: 'es2022' }, mangle: { toplevel: true } };
  const { code, errors } = minifySync(name, once, options);
  if (errors.length > 0) throw new Error(`${name}: ${errors[0].message}`);
  writeFileSync(path, code.replace(/import\(`([^`$]+)`\)/g, 'import("$1")'));
}

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
execFileSync(process.execPath, [tsc, '-p', join(here, 'tsconfig.build.json')], { stdio: 'inherit' });
// The declarations name the generated modules nowhere that a user sees; what is left of them is internal.
for (const file of ['core.wasm', 'worker_thread.js', ...ENTRIES.flatMap((name) => [`${name}.js`, `${name}.d.ts`])])
  if (!existsSync(join(dist, file))) throw new Error(`${file} is missing in dist`);
for (const name of ['react.js', 'ring.js', 'list.js']) {
  const file = join(dist, name);
  const code = readFileSync(file, 'utf8');
  if (!code.startsWith('"use client"')) writeFileSync(file, `"use client";${code}`);
}
