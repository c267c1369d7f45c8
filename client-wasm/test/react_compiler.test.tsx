// @vitest-environment jsdom
// Components that the React Compiler has compiled: it takes all of them, and they show what comes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type PluginItem, transformAsync } from '@babel/core';
import compiler from 'babel-plugin-react-compiler';
import { type ReactElement, act, createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { FakeClock, MemoryServer, expectNoLeaks } from '../src/testing.js';
import type { Client, History } from '../src/types.js';
import { makeRig, microtask } from './support.js';

const SOURCE = `
import { useBackfill, useConnection, useCount, useHistory, useSubscription } from '../../src/react.js';

function Row({ text }) {
  return <li>{text}</li>;
}

export function Room({ client, history, last }) {
  useSubscription(client, 'room:1', history, { last });
  const { status } = useConnection(client);
  const { items, evicted } = useHistory(history, { last });
  const newest = useHistory(history, { last: 1, select: ({ items }) => items[0]?.data.n ?? 0 });
  const count = useCount(history);
  const { items: all } = useBackfill(client, 'room:1', history, { last });
  return (
    <div>
      {status} {evicted} {count} {newest} {all.length}
      <ol>{items.map((row) => <Row key={row.seq} text={row.data.n} />)}</ol>
    </div>
  );
}
`;

let folder = '';
beforeAll(() => void (folder = mkdtempSync(join(import.meta.dirname, '.compiled-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('compiled components render, update, and leave nothing', async () => {
  const compiled: string[] = [];
  const skipped: unknown[] = [];
  const logger = {
    logEvent: (_: unknown, event: { kind: string; fnName?: string }) =>
      event.kind === 'CompileSuccess' ? compiled.push(event.fnName ?? '') : skipped.push(event),
  };
  const jsx = await transformAsync(SOURCE, {
    filename: 'room.jsx',
    configFile: false,
    babelrc: false,
    parserOpts: { plugins: ['jsx'] },
    plugins: [[compiler as PluginItem, { logger, panicThreshold: 'all_errors' }] as PluginItem],
  });
  expect([compiled.sort(), skipped]).toEqual([['Room', 'Row'], []]);
  const code = jsx?.code ?? '';
  expect(code).toContain('react/compiler-runtime');
  const file = join(folder, 'room.jsx');
  writeFileSync(file, code);
  const { Room } = (await import(/* @vite-ignore */ file)) as {
    Room: (props: { client: Client; history: History; last: number }) => ReactElement;
  };

  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
  const clock = new FakeClock();
  const server = new MemoryServer({ clock });
  const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
  const history = store.history('room', { capacity: 4 });
  const container = document.createElement('div');
  const root = createRoot(container);
  const settle = () => act(async () => (await server.settled(), await microtask()));
  await act(async () => root.render(createElement(Room, { client, history, last: 2 })));
  await settle();
  expect(container.textContent).toBe('open 0 0 0 0');
  for (let n = 1; n <= 6; ++n) server.publish('room:1', 'tick', { n });
  await settle();
  expect(container.textContent).toBe('open 2 4 6 256');
  await act(async () => root.render(createElement(Room, { client, history, last: 3 })));
  expect(container.textContent).toBe('open 2 4 6 3456');
  await act(async () => root.unmount());
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  store.end();
  delete (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT;
});
