// @vitest-environment jsdom
import { StrictMode, Suspense, act, startTransition, useEffect, useState, version } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import {
  Provider,
  useBackfill,
  useConnection,
  useCount,
  useHistory,
  usePresence,
  useProjection,
  useStore,
  useSubscription,
  useView,
} from '../src/react.js';
import { type Presence, presence } from '../src/presence.js';
import { FakeClock, MemoryServer, expectNoLeaks } from '../src/testing.js';
import type { BackfillResult } from '../src/react.js';
import type { History, Readable, Selector, Snapshot, View } from '../src/types.js';
import { Feed, makeRig, makeStore, microtask, seqsOf } from './support.js';

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => void (environment.IS_REACT_ACT_ENVIRONMENT = true));
afterAll(() => void delete environment.IS_REACT_ACT_ENVIRONMENT);
afterEach(() => vi.unstubAllGlobals());

interface Tick {
  readonly n: number;
}

const mount = async (element: React.ReactElement) => {
  const container = document.createElement('div');
  const root = createRoot(container);
  await act(async () => root.render(element));
  return { container, root, text: () => container.textContent };
};

it(`runs on the React that is asked for`, () => {
  expect(version.split('.')[0]).toBe(process.env['RINGFENCE_REACT'] ?? '19');
});

describe('useHistory with select', () => {
  it('renders when the selection changes, and keeps one that is equal', async () => {
    const store = makeStore();
    const history = store.history<Tick>('a');
    const feed = new Feed(store, history);
    let renders = 0;
    let selects = 0;
    const values: unknown[] = [];
    const Probe = ({ step }: { step: number }) => {
      ++renders;
      const value = useHistory(history, {
        select: ({ items }: Snapshot<Tick>) => {
          ++selects;
          return [Math.floor(items.length / step)];
        },
        isEqual: ([before], [after]) => before === after,
      });
      values.push(value);
      return <p>{value.join()}</p>;
    };
    const { root, text } = await mount(<Probe step={10} />);
    const push = (count: number) => act(async () => (feed.push(count), microtask()));
    await push(3);
    await push(3);
    expect([text(), renders]).toEqual(['0', 1]);
    await push(5);
    expect([text(), renders]).toEqual(['1', 2]);
    await act(async () => root.render(<Probe step={10} />));
    expect(values.at(-1)).toBe(values.at(-2));
    await act(async () => root.render(<Probe step={2} />));
    expect(text()).toBe('5');
    expect(selects).toBeLessThan(20);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });
});

describe('useHistory with a place', () => {
  const rig = async (first: Selector) => {
    const store = makeStore();
    const history = store.history<Tick>('a', { capacity: 5 });
    const feed = new Feed(store, history);
    const seen: Snapshot<Tick>[] = [];
    const Probe = ({ selector }: { selector: Selector }) => {
      const snapshot = useHistory(history, { ...selector }); // another object in each render
      seen.push(snapshot);
      return <p>{seqsOf(snapshot.items).join()}</p>;
    };
    const { root, text } = await mount(<Probe selector={first} />);
    const push = (count: number) => act(async () => (feed.push(count), microtask()));
    const show = (selector: Selector) => act(async () => root.render(<Probe selector={selector} />));
    return { store, root, text, push, show, newest: () => seen.at(-1) as Snapshot<Tick>, Probe };
  };

  it('shows records by their numbers: as they come, until they are evicted', async () => {
    const { store, root, text, push, show, newest } = await rig({ from: 3, to: 5 });
    await push(2);
    expect(text()).toBe('');
    await push(2);
    expect(text()).toBe('3,4');
    await push(3); // 3 to 7 are held
    expect(text()).toBe('3,4,5');
    const { items } = newest();
    await show({ from: 3, to: 5 });
    expect(newest().items).toBe(items);
    await push(1);
    expect(text()).toBe('4,5');
    await show({ from: 6, to: 100 });
    expect(text()).toBe('6,7,8');
    await push(4); // 8 to 12
    expect(text()).toBe('8,9,10,11,12');
    await show({ from: 1, to: 7 });
    expect(text()).toBe('');
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('shows records by their positions, which trimming does not move', async () => {
    const { store, root, text, push, show, newest } = await rig({ offset: 3, limit: 2 });
    await push(4);
    expect([text(), newest().offset]).toEqual(['4', 3]);
    await push(4); // 4 to 8 are held, at the positions 3 to 7
    expect([text(), newest().offset]).toEqual(['4,5', 3]);
    const { items } = newest();
    await show({ offset: 3, limit: 2 });
    expect(newest().items).toBe(items);
    await push(1);
    expect([text(), newest().offset, newest().evicted]).toEqual(['5', 4, 4]);
    await show({ offset: 6, limit: 100 });
    expect(text()).toBe('7,8,9');
    await show({ offset: 100, limit: 5 });
    expect(text()).toBe('');
    await show({ offset: 6, limit: 0 });
    expect([text(), newest().size]).toEqual(['', 5]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('refuses one out of its bounds while it renders', async () => {
    const { store, root, Probe } = await rig({ last: 1 });
    for (const selector of [
      { last: 0 },
      { last: 100_001 },
      { from: 1.5, to: 2 },
      { offset: -1, limit: 1 },
      { offset: 0, limit: 100_001 },
    ])
      expect(() => renderToString(<Probe selector={selector} />)).toThrow(RangeError);
    await act(async () => root.unmount());
    store.end();
  });
});

describe('useCount', () => {
  it('follows the number held without decoding, and takes a view', async () => {
    const decode = vi.fn((value: unknown) => value as Tick);
    const store = makeStore();
    const history = store.history<Tick>('a', { capacity: 5, decode });
    const feed = new Feed(store, history);
    const listeners = new Set<() => void>();
    let count = 3;
    const view = {
      get count() {
        return count;
      },
      subscribe: (listener: () => void) => (listeners.add(listener), () => listeners.delete(listener)),
    } as unknown as View;
    const Probe = ({ of }: { of: History<Tick> | View | undefined }) => <p>{useCount(of)}</p>;
    const { root, text } = await mount(<Probe of={undefined} />);
    expect(text()).toBe('0');
    await act(async () => root.render(<Probe of={history} />));
    await act(async () => (feed.push(3), microtask()));
    expect(text()).toBe('3');
    await act(async () => (feed.push(30), microtask()));
    expect(text()).toBe('5');
    expect(decode).not.toHaveBeenCalled();
    await act(async () => root.render(<Probe of={view} />));
    expect(text()).toBe('3');
    await act(async () => ((count = 7), [...listeners].forEach((listener) => listener())));
    expect(text()).toBe('7');
    await act(async () => root.unmount());
    expect(listeners.size).toBe(0);
    expectNoLeaks(store);
    store.end();
  });
});

describe('useView and useProjection', () => {
  it('show what is readable, by value of the selector, and what is empty otherwise and on a server', async () => {
    let state = { items: [1] };
    const listeners = new Set<() => void>();
    const readable = {
      subscribe: (listener: () => void) => (listeners.add(listener), () => void listeners.delete(listener)),
      getSnapshot: () => state,
    } as unknown as Readable<{ items: number[] }>;
    const window = vi.fn(() => readable);
    const view = { window } as unknown as View;
    const NONE = { items: [] as number[] };
    const Probe = ({ on }: { on: boolean }) => {
      const shown = useView(on ? view : undefined, { last: 5 });
      return (
        <p>
          {shown.items.length}/{useProjection(on ? readable : undefined, NONE).items.join()}
        </p>
      );
    };
    const { root, text } = await mount(<Probe on={false} />);
    expect(text()).toBe('0/');
    await act(async () => root.render(<Probe on />));
    await act(async () => root.render(<Probe on />));
    expect([text(), window.mock.calls.length, listeners.size]).toEqual(['1/1', 1, 2]);
    await act(async () => ((state = { items: [1, 2] }), [...listeners].forEach((listener) => listener())));
    expect(text()).toBe('2/1,2');
    expect(renderToString(<Probe on />)).toContain('0<!-- -->/');
    await act(async () => root.unmount());
    expect(listeners.size).toBe(0);
  });
});

describe('Provider', () => {
  it('gives its client to hooks that are given none, and is empty until there is one', async () => {
    const clock = new FakeClock();
    const server = new MemoryServer({ clock });
    const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
    const history = store.history<Tick>('room');
    server.publish('room:1', 'tick', { n: 1 });
    const Room = () => {
      const { status } = useConnection();
      useSubscription('room:1', history, { last: 5 });
      const { items } = useHistory(history, { last: 5 });
      return <p>{`${useStore() ? 'store' : 'none'} ${status} ${items.length}`}</p>;
    };
    const { root, text } = await mount(
      <Provider>
        <Room />
      </Provider>,
    );
    expect(text()).toBe('none connecting 0');
    await act(async () => {
      root.render(
        <StrictMode>
          <Provider store={store} client={client}>
            <Room />
          </Provider>
        </StrictMode>,
      );
      await server.settled();
      await microtask();
    });
    expect(text()).toBe('store open 1');
    await act(async () => root.unmount());
    clock.advance(0);
    await server.settled();
    expectNoLeaks(store, { allow: ['history', 'client', 'clientListener'] }); // the rig's own onError
    expect([store.handles().clientListeners, server.subscriptions]).toEqual([1, 0]);
    store.end();
  });
});

describe('useBackfill', () => {
  const rig = async (options: {
    records: number;
    max?: number;
    capacity?: number;
    decode?: (value: unknown, type: string) => Tick;
  }) => {
    const clock = new FakeClock();
    const server = new MemoryServer({ clock });
    const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
    const decode = options.decode && { decode: options.decode };
    const history = store.history<Tick>('room', { capacity: options.capacity ?? 1000, ...decode });
    for (let n = 1; n <= options.records; ++n) server.publish('room:1', 'tick', { n });
    let result!: BackfillResult<Tick>;
    const Probe = () => {
      useSubscription(client, 'room:1', history, { last: 5 });
      result = useBackfill(client, 'room:1', history, { last: 5, page: 10, max: options.max ?? 1000, ...decode });
      return <p>{result.items.map(({ seq }) => seq).join()}</p>;
    };
    const { root } = await mount(<Probe />);
    const settle = () =>
      act(async () => (await server.settled(), await microtask(), await server.settled(), microtask()));
    await settle();
    const load = async () => {
      await act(async () => {
        const loaded = result.loadOlder();
        await server.settled();
        await loaded;
      });
    };
    const publish = async (from: number, to: number) => {
      for (let n = from; n <= to; ++n) server.publish('room:1', 'tick', { n });
      await settle();
    };
    return { server, store, history, root, clock, load, publish, settle, result: () => result };
  };
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

  it('puts older pages in front, each row once, until there is nothing older', async () => {
    const { store, root, load, publish, result } = await rig({ records: 30 });
    expect([seqsOf(result().items), result().done]).toEqual([range(26, 30), false]);
    await load();
    expect([seqsOf(result().items), result().older, result().done]).toEqual([range(16, 30), 10, false]);
    await publish(31, 33); // the list grows at its end as well
    expect(seqsOf(result().items)).toEqual(range(16, 33));
    expect(result().items.map(({ data }) => data.n)).toEqual(range(16, 33));
    await load();
    await load();
    expect([seqsOf(result().items), result().done, result().loading]).toEqual([range(1, 33), true, false]);
    const before = result().items;
    await load();
    expect(result().items).toBe(before);
    await act(async () => result().reset());
    expect([seqsOf(result().items), result().older, result().done]).toEqual([range(29, 33), 0, false]);
    await act(async () => root.unmount());
    expectNoLeaks(store, { allow: ['history', 'client', 'clientListener', 'subscription'] });
    store.end();
  });

  it('keeps what leaves the history, up to max, and counts what it drops', async () => {
    const { store, load, publish, result } = await rig({ records: 12, max: 14, capacity: 6 });
    await load();
    expect(seqsOf(result().items)).toEqual(range(1, 12));
    await publish(13, 14); // the history holds 9 to 14
    expect([seqsOf(result().items), result().done, result().dropped]).toEqual([range(1, 14), true, 0]);
    await publish(15, 18);
    expect([seqsOf(result().items), result().dropped]).toEqual([range(5, 18), 4]);
    store.end();
  });

  it('decodes what it loads as the history does, and keeps a row that does not decode with its error', async () => {
    const decoded: string[] = [];
    const decode = (value: unknown, type: string): Tick => {
      const { n } = value as Tick;
      if (n === 3) throw new Error('not 3');
      decoded.push(`${type} ${n}`);
      return { n: n * 10 };
    };
    const { store, load, result } = await rig({ records: 8, decode });
    expect(result().items.map(({ data }) => data?.n)).toEqual([40, 50, 60, 70, 80]);
    decoded.length = 0;
    await load();
    expect(result().items.map(({ data }) => data?.n)).toEqual([10, 20, undefined, 40, 50, 60, 70, 80]);
    expect(result().items[2]).toMatchObject({ seq: 3, error: new Error('not 3') });
    expect(decoded).toEqual(['tick 1', 'tick 2']); // each once
    expect(result().error).toBeUndefined();
    store.end();
  });

  it('tells why a load failed, and forgets what was loaded when the channel begins anew', async () => {
    const { server, store, load, settle, result } = await rig({ records: 30 });
    await load();
    server.dropConnections();
    await load();
    expect([result().error, result().items.length]).toEqual([expect.objectContaining({ code: 'not_connected' }), 15]);
    store.end();
    await settle();
    for (const bad of [{ page: 0 }, { max: 0 }, { last: 0 }])
      expect(() => renderToString(<Bad options={bad} />)).toThrow(RangeError);
  });
  const badStore = makeStore();
  const badHistory = badStore.history('bad');
  const Bad = ({ options }: { options: object }) => {
    useBackfill(makeClient(), 'a', badHistory, options);
    return null;
  };
  const makeClient = () => ({ history: () => Promise.reject(new Error()) }) as never;
});

describe('rendering', () => {
  it('happens once a frame at 10,000 events a second', async () => {
    const frames: (() => void)[] = [];
    vi.stubGlobal('requestAnimationFrame', (callback: () => void) => frames.push(callback));
    vi.stubGlobal('cancelAnimationFrame', () => undefined);
    const store = makeStore({ notify: 'frame' });
    const history = store.history<Tick>('a', { capacity: 10_000, bytes: '2 MiB' });
    const feed = new Feed(store, history);
    let renders = 0;
    const Probe = () => {
      ++renders;
      return <p>{useHistory(history, { last: 50 }).lastSeq}</p>;
    };
    const { root, text } = await mount(<Probe />);
    renders = 0;
    // A second of 60 frames, with a message every two milliseconds.
    let sent = 0;
    for (let frame = 1; frame <= 60; ++frame) {
      await act(async () => {
        for (; sent < Math.round((frame * 500) / 60); ++sent) feed.push(20);
        await microtask();
        expect(frames.length).toBe(1);
        frames.shift()?.();
      });
      expect(text()).toBe(String(sent * 20));
    }
    expect([sent * 20, renders, store.stats().notifications]).toEqual([10_000, 60, 60]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('that never commits leaves nothing, nor does one that suspends and goes on', async () => {
    const store = makeStore();
    const history = store.history<Tick>('a');
    new Feed(store, history).push(3);
    let resolve!: () => void;
    let ready = false;
    const waiting = new Promise<void>((done) => (resolve = () => ((ready = true), done())));
    const Slow = () => {
      const { items } = useHistory(history, { last: 2 });
      if (!ready) throw waiting;
      return <p>{items.length}</p>;
    };
    let show!: (value: boolean) => void;
    const App = () => {
      const [shown, setShown] = useState(false);
      show = setShown;
      return <Suspense fallback="waiting">{shown ? <Slow /> : 'nothing'}</Suspense>;
    };
    const { root, text } = await mount(
      <StrictMode>
        <App />
      </StrictMode>,
    );
    await act(async () => startTransition(() => show(true)));
    expect([text(), store.handles().listeners]).toEqual(['nothing', 0]);
    await act(async () => startTransition(() => show(false)));
    expectNoLeaks(store);
    await act(async () => show(true));
    expect([text(), store.handles().listeners]).toEqual(['waiting', 0]);
    await act(async () => (resolve(), waiting));
    expect([text(), store.handles().listeners]).toEqual(['2', 1]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });
});

describe('usePresence', () => {
  it('renders who is there, and nobody without a handle, and leaves nothing behind', async () => {
    const { store, client, socket, timers } = makeRig();
    const Room = () => {
      const [room, setRoom] = useState<Presence>();
      useEffect(() => {
        const made = presence(client, 'room', { join: true });
        setRoom(() => made);
        return made.end;
      }, []);
      const { members, count, current } = usePresence(room);
      return `${members.map(({ user }) => user).join(' ')}, ${count}, ${current}`;
    };
    expect(renderToString(<Room />)).toBe(', 0, false');
    socket().welcome();
    const { root, text } = await mount(
      <StrictMode>
        <Room />
      </StrictMode>,
    );
    const tell = (message: Record<string, unknown>) =>
      act(async () => {
        socket().tell({ channel: 'room', more: false, ...message });
        await microtask();
      });
    expect(socket().ops('presence')).toHaveLength(1); // StrictMode's second effect keeps the first one's
    await tell({ op: 'presence', id: socket().ops('presence')[0]?.['id'], count: 1, members: [{ user: 'ann' }] });
    expect(text()).toBe('ann, 1, true');
    await tell({ op: 'join', count: 2, members: [{ user: 'bob' }] });
    expect(text()).toBe('ann bob, 2, true');
    await act(async () => root.unmount());
    timers.advance(1);
    expect(socket().ops('presence').at(-1)).toMatchObject({ watch: false });
    client.end();
    expectNoLeaks(store);
  });
});
