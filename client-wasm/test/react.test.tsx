// @vitest-environment jsdom
import { StrictMode, act, createElement, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { useConnection, useHistory, useSubscription } from '../src/react.js';
import type { Client, History, Row, Snapshot } from '../src/types.js';
import { EMPTY_SNAPSHOT } from '../src/window.js';
import { Feed, makeRig, makeStore, microtask } from './support.js';

beforeAll(() => {
  (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
});
afterAll(() => {
  delete (globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT;
});

interface Tick {
  readonly n: number;
}

const List = ({ history, last }: { history: History<Tick> | undefined; last: number }) => {
  const { items, evicted } = useHistory(history, { last });
  return (
    <p>
      {evicted}:{items.map((row) => row.data.n).join(',')}
    </p>
  );
};

const Room = ({ client, history }: { client: Client; history: History<Tick> }) => {
  const { status } = useConnection(client);
  useSubscription(client, 'room:1', history, { last: 5 });
  return (
    <div>
      {status} <List history={history} last={3} />
    </div>
  );
};

const mount = async (element: React.ReactElement) => {
  const container = document.createElement('div');
  const root = createRoot(container);
  await act(async () => root.render(element));
  return { container, root };
};

describe('useHistory', () => {
  it('renders what comes, and nothing anew while nothing changes', async () => {
    const store = makeStore();
    const history = store.history<Tick>('a', { capacity: 4 });
    const feed = new Feed(store, history);
    const seen: Snapshot<Tick>[] = [];
    const Probe = () => {
      seen.push(useHistory(history, { last: 2 }));
      return null;
    };
    const { root } = await mount(<Probe />);
    expect(seen).toHaveLength(1);
    await act(async () => {
      feed.push(3);
      feed.push(3);
      await microtask();
    });
    expect(seen).toHaveLength(2);
    expect(seen[1]?.items.map((row: Row<Tick>) => row.data.n)).toEqual([5, 6]);
    expect(seen[1]?.evicted).toBe(2);
    await act(async () => root.render(<Probe />));
    expect(seen[2]).toBe(seen[1]);
    await act(async () => root.unmount());
    expect(store.handles()).toMatchObject({ listeners: 0 });
    store.end();
  });

  it('follows a change of history and selector, and takes no history yet', async () => {
    const store = makeStore();
    const a = store.history<Tick>('a');
    const b = store.history<Tick>('b');
    new Feed(store, a, 1).push(3);
    new Feed(store, b, 2).push(5);
    const { container, root } = await mount(<List history={undefined} last={2} />);
    expect(container.textContent).toBe('0:');
    for (const [history, last, text] of [
      [a, 2, '0:2,3'],
      [a, 1, '0:3'],
      [b, 3, '0:3,4,5'],
    ] as const) {
      await act(async () => root.render(<List history={history} last={last} />));
      expect(container.textContent).toBe(text);
      expect(store.handles().listeners).toBe(1);
    }
    await act(async () => root.unmount());
    expect(store.handles().listeners).toBe(0);
    store.end();
  });

  it('renders the one empty snapshot on a server', () => {
    const store = makeStore();
    const history = store.history<Tick>('a');
    new Feed(store, history).push(3);
    const seen: unknown[] = [];
    const Probe = () => {
      seen.push(useHistory(history, { last: 2 }));
      return null;
    };
    renderToString(createElement(Probe));
    expect(seen).toEqual([EMPTY_SNAPSHOT]);
    expect(seen[0]).toBe(EMPTY_SNAPSHOT);
    expect(store.handles().listeners).toBe(0);
    store.end();
  });
});

describe('StrictMode', () => {
  it('leaves nothing after 1,000 mounts and unmounts', async () => {
    const { client, store, socket, timers } = makeRig();
    const history = store.history<Tick>('room');
    socket().welcome();
    const before = store.handles();
    expect(before).toMatchObject({ listeners: 0, subscriptions: 0, routes: 0, clientListeners: 1 });
    const container = document.createElement('div');
    let seq = 0;
    for (let cycle = 0; cycle < 1000; ++cycle) {
      const root = createRoot(container);
      await act(async () =>
        root.render(
          <StrictMode>
            <Room client={client} history={history} />
          </StrictMode>,
        ),
      );
      // Effects run twice, and leave one of each.
      const mounted = store.handles();
      if (mounted.listeners !== 1 || mounted.subscriptions !== 1 || mounted.clientListeners !== 2)
        throw new Error(`cycle ${cycle}: ${JSON.stringify(mounted)}`);
      if (history.stats().listeners !== 1) throw new Error(`cycle ${cycle}: listeners`);
      await act(async () => {
        if (cycle % 10 === 0) {
          socket().subscribed('room:1', { channel_id: cycle + 1, recovered: cycle > 0, next: seq + 1, after: seq });
          socket().events(cycle + 1, seq, [seq + 1]);
          ++seq;
        }
        await microtask();
      });
      if (cycle === 0) expect(container.textContent).toBe('open 0:1');
      await act(async () => root.unmount());
      // As fast as React can: every tenth time the channel is left in between.
      if (cycle % 10 === 9) timers.advance(0);
    }
    timers.advance(0);
    expect(store.handles()).toEqual(before);
    expect(history.stats().listeners).toBe(0);
    expect(client.stats()).toMatchObject({ channels: 0, errors: 0 });
    const subscribes = socket().ops('subscribe').length;
    expect(subscribes).toBe(100);
    expect(socket().ops('unsubscribe')).toHaveLength(100);
    client.end();
    store.end();
    expect(store.handles().total).toBe(0);
    expect(timers.pending).toBe(0);
  });
});

describe('useConnection', () => {
  it('shows the state and its changes', async () => {
    const { client, store, socket, timers } = makeRig();
    const Status = () => {
      const [text] = useState('is');
      const { status, retryInMs, lastResume } = useConnection(client);
      return <p>{`${text} ${status} ${retryInMs} ${lastResume?.text ?? '-'}`}</p>;
    };
    const { container, root } = await mount(<Status />);
    expect(container.textContent).toBe('is connecting 0 -');
    await act(async () => socket().welcome());
    expect(container.textContent).toBe('is open 0 -');
    await act(async () => socket().lose());
    expect(container.textContent).toBe('is waiting 500 -');
    await act(async () => timers.advance(500));
    expect(container.textContent).toBe('is connecting 0 -');
    await act(async () => root.unmount());
    expect(store.handles().clientListeners).toBe(1);
    store.end();
  });
});
