// @vitest-environment jsdom
// Components that the React Compiler has compiled: it takes all of them, and they show what comes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type PluginItem, transformAsync } from '@babel/core';
import compiler from 'babel-plugin-react-compiler';
import { type ReactElement, act, createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { keyed } from '../src/keyed.js';
import { type Presence, presence } from '../src/presence.js';
import { projection } from '../src/projection.js';
import { FakeClock, MemoryServer, expectNoLeaks } from '../src/testing.js';
import type { Client, History, Keyed, Projection, View } from '../src/types.js';
import { view } from '../src/view.js';
import { makeRig, microtask } from './support.js';

const SOURCE = `
import { useEffect } from 'react';
import {
  useBackfill, useConnection, useCount, useHistory, useKeyed, usePresence, useProjection, useSubscription, useView,
} from '../../src/react.js';
import { useRing } from '../../src/ring.js';

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

export function Side({ history, found, sum, map, name, who, tell }) {
  const { items, total } = useView(found, { last: 2 });
  const { items: own, unread, markRead } = useView(history, { text: 'even' }, { last: 1 });
  const folded = useProjection(sum, 0);
  const greatest = useProjection(history, (max, row) => Math.max(max, row.data.n), 0);
  const { entries } = useKeyed(map);
  const one = useKeyed(map, { key: name });
  const { members, count } = usePresence(who);
  const { items: ring, push, clear } = useRing(2, [0]);
  useEffect(() => tell({ markRead, push, clear }), [tell, markRead, push, clear]);
  return (
    <p>
      {items.map((row) => row.data.n).join()}/{total} {own.map((row) => row.data.n).join()}:{unread} {folded} {greatest}
      {' '}{entries.map(([key, value]) => key + value).join()} {one} {count}{members[0]?.data} {ring.join()}
    </p>
  );
}
`;

interface SideProps {
  readonly history: History<{ readonly n: number }>;
  readonly found: View<{ readonly n: number }>;
  readonly sum: Projection<number>;
  readonly map: Keyed<string, number>;
  readonly name: string;
  readonly who: Presence;
  readonly tell: (actions: { markRead(): void; push(...values: number[]): void; clear(): void }) => void;
}
interface Components {
  Room(props: { client: Client; history: History; last: number }): ReactElement;
  Side(props: SideProps): ReactElement;
}

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
const compiled: string[] = [];
const skipped: unknown[] = [];
let folder = '';
let components: Components;

beforeAll(async () => {
  environment.IS_REACT_ACT_ENVIRONMENT = true;
  folder = mkdtempSync(join(import.meta.dirname, '.compiled-'));
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
  const code = jsx?.code ?? '';
  expect(code).toContain('react/compiler-runtime');
  const file = join(folder, 'room.jsx');
  writeFileSync(file, code);
  components = (await import(/* @vite-ignore */ file)) as Components;
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  delete environment.IS_REACT_ACT_ENVIRONMENT;
});

const rig = () => {
  const clock = new FakeClock();
  const server = new MemoryServer({ clock });
  const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
  const container = document.createElement('div');
  const root = createRoot(container);
  const settle = () => act(async () => (await server.settled(), await microtask()));
  return { clock, server, store, client, root, settle, text: () => container.textContent };
};

it('the compiler takes every component', () => {
  expect([compiled.sort(), skipped]).toEqual([['Room', 'Row', 'Side'], []]);
});

it('compiled components render, update, and leave nothing', async () => {
  const { server, store, client, root, settle, text } = rig();
  const { Room } = components;
  const history = store.history('room', { capacity: 4 });
  await act(async () => root.render(createElement(Room, { client, history, last: 2 })));
  await settle();
  expect(text()).toBe('open 0 0 0 0');
  for (let n = 1; n <= 6; ++n) server.publish('room:1', 'tick', { n });
  await settle();
  expect(text()).toBe('open 2 4 6 256');
  await act(async () => root.render(createElement(Room, { client, history, last: 3 })));
  expect(text()).toBe('open 2 4 6 3456');
  await act(async () => root.unmount());
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  store.end();
});

it('so do those with views, folds, maps, who is there and a ring', async () => {
  const { server, store, client, root, settle, text } = rig();
  const history = store.history<{ readonly n: number }>('room', { capacity: 4 });
  const found = view(history, { types: ['tick'] });
  const sum = projection(history, (total: number, { data }) => total + data.n, 0);
  const map = keyed<string, number>(store, 'map', { capacity: 2 });
  const who = presence(client, 'room:1', { data: 'me' });
  const subscription = client.subscribe('room:1', history, { last: 10 });
  const given: Parameters<SideProps['tell']>[0][] = [];
  const tell: SideProps['tell'] = (actions) => void given.push(actions);
  const props = { history, found, sum, map, who, tell };
  const { Side } = components;
  const show = (name: string) => act(async () => root.render(createElement(Side, { ...props, name })));
  await show('b');
  await settle();
  expect(text()).toBe('/0 :0 0 0   1me 0');
  for (let n = 1; n <= 6; ++n) server.publish('room:1', 'tick', { n, is: n % 2 ? 'odd' : 'even' });
  ['a', 'b', 'c'].forEach((key, value) => map.set(key, value));
  await settle();
  expect(text()).toBe('5,6/6 6:3 21 6 b1,c2 1 1me 0');
  await show('c');
  expect(text()).toBe('5,6/6 6:3 21 6 b1,c2 2 1me 0');
  await act(async () => {
    given.at(-1)?.markRead();
    given.at(-1)?.push(1, 2);
    map.set('c', 3);
    who.update('you');
    await server.settled();
    await microtask();
  });
  expect(text()).toBe('5,6/6 6:0 21 6 b1,c3 3 1you 1,2');
  await act(async () => given.at(-1)?.clear());
  expect(text()).toBe('5,6/6 6:0 21 6 b1,c3 3 1you ');
  await act(async () => root.unmount());
  for (const handle of [found, sum, map, who, subscription]) handle.end();
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  store.end();
});
