// @vitest-environment jsdom
// Hot reload: a component that is exchanged while it runs keeps its state, and leaves no handle of its former self.
import { act, createElement, useState } from 'react';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { useHistory, useSubscription } from '../src/react.js';
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

it('keeps state over a reload, mounts anew where hooks have changed, and leaves nothing', async () => {
  const refresh = (await import('react-refresh/runtime' as string)) as { default?: Refresh } & Refresh;
  const runtime = refresh.default ?? refresh;
  runtime.injectIntoGlobalHook(globalThis); // before React DOM is loaded
  vi.resetModules();
  const { createRoot } = await import('react-dom/client');
  const clock = new FakeClock();
  const server = new MemoryServer({ clock });
  const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
  const history = store.history<number>('room');
  const settle = () => act(async () => (await server.settled(), await microtask()));

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
  const load = (type: unknown, hooks: string): void => {
    runtime.register(type, 'Room');
    runtime.setSignature(type, hooks, false);
  };
  load(First, 'one');
  const container = document.createElement('div');
  const root = createRoot(container);
  await act(async () => root.render(createElement(First)));
  await settle();
  for (let n = 0; n < 5; ++n) server.publish('room:1', 'tick', n);
  await settle();
  await act(async () => setName('kept'));
  expect(container.textContent).toBe('first kept 2');
  const live = store.handles();

  load(Second, 'one');
  await act(async () => void runtime.performReactRefresh());
  clock.advance(0);
  expect(container.textContent).toBe('second kept 3');
  expect(store.handles()).toEqual(live);

  load(Third, 'another');
  await act(async () => void runtime.performReactRefresh());
  clock.advance(0);
  expect(container.textContent).toBe('third y 1');
  expect([store.handles(), server.subscriptions]).toEqual([live, 1]);

  await act(async () => root.unmount());
  clock.advance(0);
  await server.settled();
  expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] });
  expect(server.subscriptions).toBe(0);
  store.end();
});
