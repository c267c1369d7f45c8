// @vitest-environment jsdom
// docs/migrate.md: its blocks of code are files, compiled under strict and run, the one before beside the one after.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

import { act, createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The pages are compiled against the built package, so their stores are of it too.
import { createStoreSync } from 'ringfence/inline';

const root = resolve(import.meta.dirname, '..');
const folder = join(import.meta.dirname, `.compiled-migrate-${process.pid}`);
const page = readFileSync(resolve(root, '../docs/migrate.md'), 'utf8');
const files = new Map(
  [...page.matchAll(/^```tsx? (\S+)\n(.*?)^```$/gms)].map(([, name = '', code = '']) => [name, code]),
);
const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };

// What a page calls of a module of it: each test says what it expects.
type Module = Record<string, (...args: never[]) => never>;
const load = (name: string): Promise<Module> => import(/* @vite-ignore */ join(folder, name)) as Promise<Module>;
const make = <T,>(module: Module, name: string, ...args: readonly unknown[]): T =>
  (module[name] as unknown as (...args: readonly unknown[]) => T)(...args);

beforeAll(() => {
  environment.IS_REACT_ACT_ENVIRONMENT = true;
  if (!existsSync(join(root, 'dist/index.js'))) execFileSync(process.execPath, ['build.mjs'], { cwd: root });
  mkdirSync(folder, { recursive: true });
  for (const [name, code] of files) writeFileSync(join(folder, name), code);
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ extends: '../../tsconfig.json', include: ['*.ts', '*.tsx'], exclude: [] }),
  );
});
afterAll(() => {
  delete environment.IS_REACT_ACT_ENVIRONMENT;
  rmSync(folder, { recursive: true, force: true });
});

it('has a file before and one after of each store, and they compile', () => {
  const names = ['chat', 'commands', 'events', 'slice'].flatMap((name) => [`${name}_before.ts`, `${name}_after.ts`]);
  expect([...files.keys()]).toEqual([...names, 'list_before.tsx', 'list_after.tsx']);
  expect(page.match(/^```\w/gm)).toHaveLength(files.size); // no block of code that is none of them
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  let out = '';
  try {
    execFileSync(process.execPath, [tsc, '--noEmit', '-p', folder], { encoding: 'utf8' });
  } catch (error) {
    out = (error as { stdout: string }).stdout;
  }
  expect(out).toBe('');
});

interface Vanilla<S> {
  getState(): S;
}

describe('the chat log', () => {
  interface Chat {
    messages: { id: number }[];
    add(message: { id: number; text: string }): void;
    clear(): void;
    recent(count: number): { id: number }[];
  }
  it('is the same within its cap, and keeps to it', async () => {
    const before = make<Vanilla<Chat>>(await load('chat_before.ts'), 'makeChat');
    const after = make<Vanilla<Chat>>(await load('chat_after.ts'), 'makeChat');
    for (const count of [100, 150]) {
      for (const store of [before, after])
        for (let id = 0; id < count; ++id) store.getState().add({ id, text: `${count}` });
      expect(after.getState().messages).toEqual(before.getState().messages.slice(-100));
    }
    expect(after.getState().messages).toHaveLength(100);
    expect(before.getState().messages).toHaveLength(250);
    expect(after.getState().recent(3)).toEqual(before.getState().recent(3));
    expect([before.getState().recent(0).length, after.getState().recent(0).length]).toEqual([250, 0]);
    after.getState().clear();
    expect(after.getState().messages).toEqual([]);
  });
});

describe('the commands', () => {
  interface Commands {
    history: unknown[];
    ran(command: { command: string; success: boolean }): void;
    navigate(step: 1 | -1): string;
    enqueue(command: string): void;
    next(): string | undefined;
  }
  it('are walked alike, and the queue refuses instead of losing', async () => {
    const core = createStoreSync({ budget: '4 MiB', notify: 'microtask' });
    const module = await load('commands_after.ts');
    const before = make<Vanilla<Commands>>(await load('commands_before.ts'), 'makeCommands').getState;
    const after = make<Vanilla<Commands>>(module, 'makeCommands', make(module, 'makeQueue', core)).getState;
    for (let index = 0; index < 120; ++index) {
      const command = { command: `c${index}`, success: true };
      before().ran(command);
      after().ran(command);
      const walk = (state: Commands) => ([1, 1, 1, -1, -1, -1, -1] as const).map((step) => state.navigate(step));
      expect(walk(after())).toEqual(walk(before()));
    }
    expect(after().history).toEqual(before().history);
    for (let index = 0; index < 50; ++index) for (const state of [before(), after()]) state.enqueue(`q${index}`);
    before().enqueue('one more');
    expect(() => after().enqueue('one more')).toThrow('50 commands wait already');
    expect([before().next(), after().next()]).toEqual(['q1', 'q0']);
    core.end();
  });
});

describe('the event log', () => {
  interface Game {
    append(events: readonly object[]): void;
    clearMessages(): void;
    getLog(): readonly unknown[];
    getScreen(): { player: string; messages: string[]; tick: number };
  }
  it('shows the same, keeps what left the log, and stays cleared', async () => {
    const core = createStoreSync({ budget: '4 MiB', notify: 'microtask' });
    const before = make<Game>(await load('events_before.ts'), 'makeGame');
    const after = make<Game>(await load('events_after.ts'), 'makeGame', core);
    for (const game of [before, after]) {
      game.append([{ type: 'game_state', player: 'Ann' }]);
      for (let batch = 0; batch < 50; ++batch)
        game.append(
          Array.from({ length: 60 }, (_, index) =>
            index % 20 === 0
              ? { type: 'chat_message', text: `${batch}.${index}` }
              : { type: 'game_tick', tick: batch * 60 + index },
          ),
        );
    }
    expect(after.getScreen()).toEqual(before.getScreen());
    expect(after.getScreen().player).toBe('Ann');
    expect(after.getLog()).toEqual(before.getLog().slice(-1000));
    for (const game of [before, after]) {
      game.clearMessages();
      game.append([{ type: 'chat_message', text: 'new' }]);
    }
    expect([before.getScreen().messages.length, after.getScreen().messages]).toEqual([100, ['new']]);
    core.end();
  });
});

describe('the slice', () => {
  interface Redux {
    getState(): { log: { lines: { id: number }[] } };
    dispatch(action: unknown): void;
  }
  it('is the same within its cap, and keeps to it', async () => {
    const module = await load('slice_before.ts');
    const { added } = (module['slice'] as unknown as { actions: Record<string, (line: object) => unknown> }).actions;
    const before = make<Redux>(module, 'makeStore');
    const after = make<Redux>(await load('slice_after.ts'), 'makeStore');
    for (let id = 0; id < 250; ++id) for (const store of [before, after]) store.dispatch(added?.({ id, text: '' }));
    expect(after.getState().log.lines).toEqual(before.getState().log.lines.slice(-200));
    expect(before.getState().log.lines).toHaveLength(250);
    const { log } = (await load('slice_after.ts')) as unknown as {
      log: { append(field: string, ...lines: object[]): unknown };
    };
    after.dispatch(log.append('lines', { id: 250, text: '' }));
    expect(after.getState().log.lines.map(({ id }) => id)).toEqual(
      Array.from({ length: 200 }, (_, index) => index + 51),
    );
  });
});

describe('the list in a component', () => {
  it('shows the newest lines, each by the same element while it is there', async () => {
    const shown = async (name: string) => {
      const Console = (await load(name))['Console'] as unknown as React.FC<{ source: object }>;
      const listeners = new Set<(line: string) => void>();
      const source = {
        onLine: (listener: (line: string) => void) => (listeners.add(listener), () => listeners.delete(listener)),
      };
      const container = document.createElement('div');
      const tree = createRoot(container);
      await act(async () => tree.render(createElement(Console, { source })));
      const send = (from: number, to: number) =>
        act(async () => {
          for (let line = from; line < to; ++line) for (const listener of listeners) listener(`${line}`);
        });
      await send(0, 210);
      const of205 = () => Array.from(container.children).find(({ textContent }) => textContent === '205');
      const element = of205();
      await send(210, 250);
      const texts = Array.from(container.children).map(({ textContent }) => textContent);
      const kept = element !== undefined && of205() === element;
      await act(async () => tree.unmount());
      return { texts, kept, listeners: listeners.size };
    };
    const before = await shown('list_before.tsx');
    const after = await shown('list_after.tsx');
    expect(after).toEqual({ texts: before.texts.slice(-200), kept: true, listeners: 0 });
    expect(before.texts).toHaveLength(250);
  });
});
