// @vitest-environment jsdom
// Hot reload: a component that is exchanged while it runs keeps its state, and leaves no handle of its former self.
import { act, createElement, useState } from 'react';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { useHistory, useProjection, useSubscription, useView } from '../src/react.js';
import { FakeClock, MemoryServer, expectNoLeaks } from '../src/testing.js';
import { makeRig, microtask } from './support.js';

interface Refresh {
  injectIntoGlobalHook(target: unknown): void;
  register(type: unknown, id: string): void;
  setSignature(type: unknown, key: string, forceReset: boolean): void;
  performReactRefresh(): unknown;
}

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => void (environment.IS_REACT_ACT_ENVIRONMENT = true));
afterAll(() => void delete environment.IS_REACT_ACT_ENVIRONMENT);

/** The refresh runtime, and a React DOM that was loaded behind it. */
async function rig() {
  const refresh = (await import('react-refresh/runtime' as string)) as { default?: Refresh } & Refresh;
  const runtime = refresh.default ?? refresh;
  runtime.injectIntoGlobalHook(globalThis); // before React DOM is loaded
  vi.resetModules();
  const { createRoot } = await import('react-dom/client');
  const clock = new FakeClock();
  const server = new MemoryServer({ clock });
  const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
  const container = document.createElement('div');
  const load = (type: unknown, hooks: string): void => {
    runtime.register(type, 'Room');
    runtime.setSignature(type, hooks, false);
  };
  const exchange = async (type: unknown, hooks: string): Promise<void> => {
    load(type, hooks);
    await act(async () => void runtime.performReactRefresh());
    clock.advance(0);
  };
  const root = createRoot(container);
  const settle = () => act(async () => (await server.settled(), await microtask()));
  return { clock, server, store, client, root, load, exchange, settle, text: () => container.textContent };
}

it('keeps state over a reload, mounts anew where hooks have changed, and leaves nothing', async () => {
  const { clock, server, store, client, root, load, exchange, settle, text } = await rig();
  const history = store.history<number>('room');

  let setName!: (name: string) => void;
  function First() {
    const [name, set] = useState('x');
    setName = set;
    useSubscription(client, 'room:1', history);
    const { items } = useHistory(history, { last: 2 });
    return <p>{`first ${name} ${items.length}`}</p>;
  }
  function Second() {
    const [name, set] = useState('x');
    setName = set;
    useSubscription(client, 'room:1', history);
    const { items } = useHistory(history, { last: 3 });
    return <p>{`second ${name} ${items.length}`}</p>;
  }
  function Third() {
    useSubscription(client, 'room:1', history);
    const { items } = useHistory(history, { last: 1 });
    const [name] = useState('y');
    return <p>{`third ${name} ${items.length}`}</p>;
  }
  load(First, 'one');
  await act(async () => root.render(createElement(First)));
  await settle();
  for (let n = 0; n < 5; ++n) server.publish('room:1', 'tick', n);
  await settle();
  await act(async () => setName('kept'));
  expect(text()).toBe('first kept 2');
  const live = store.handles();

  await exchange(Second, 'one');
  expect(text()).toBe('second kept 3');
  expect(store.handles()).toEqual(live);

  await exchange(Third, 'another');
  expect(text()).toBe('third y 1');
  expect([store.handles(), server.subscriptions]).toEqual([live, 1]);

  await act(async () => root.unmount());
  clock.advance(0);
  await server.settled();
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  expect(server.subscriptions).toBe(0);
  store.end();
});

it('makes views and projections of a component anew with the code that is new, and ends those before', async () => {
  const { clock, store, root, load, exchange, settle, text } = await rig();
  const history = store.history<number>('room', { typeOf: (n) => (n % 2 ? 'odd' : 'even') });
  const EVEN = { types: ['even'] };
  const made = () => store.liveHandles().filter(({ kind }) => kind === 'view' || kind === 'projection');

  function First() {
    const { total } = useView(history, EVEN, { last: 2 });
    const sum = useProjection(history, (folded: number, { data }) => folded + data, 0);
    return <p>{`first ${total} ${sum}`}</p>;
  }
  function Second() {
    const { items } = useView(history, EVEN, { last: 2 });
    // The rows that are held are folded again, by this one: React looks at no dependency in a reload.
    const sum = useProjection(history, (folded: number, { data }) => folded + 100 * data, 0);
    return <p>{`second ${items.map(({ data }) => data).join()} ${sum}`}</p>;
  }
  function Third() {
    const sum = useProjection(history, (folded: number) => folded + 1, 0);
    const { items } = useView(history, { types: ['odd'] }, { last: 2 });
    return <p>{`third ${items.map(({ data }) => data).join()} ${sum}`}</p>;
  }
  load(First, 'one');
  await act(async () => root.render(createElement(First)));
  const push = (values: number[]) => (history.pushMany(values), settle());
  await push([1, 2, 3, 4]);
  expect(text()).toBe('first 2 10');
  const live = store.handles();
  const before = made();
  expect(before).toHaveLength(2);

  await exchange(Second, 'one');
  expect(text()).toBe('second 2,4 1000');
  expect(store.handles()).toEqual(live);
  expect(made().some((handle) => before.includes(handle))).toBe(false);
  await push([6]);
  expect(text()).toBe('second 4,6 1600');

  await exchange(Third, 'another');
  expect(text()).toBe('third 1,3 5');
  expect(store.handles()).toEqual(live);
  await push([7]);
  expect(text()).toBe('third 3,7 6');

  await act(async () => root.unmount());
  clock.advance(0);
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  store.end();
});
