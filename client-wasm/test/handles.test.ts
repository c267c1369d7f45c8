import { IDBFactory } from 'fake-indexeddb';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { EndedError } from '../src/errors.js';
import { HistoryImpl } from '../src/history.js';
import { keyed } from '../src/keyed.js';
import { persist } from '../src/persist.js';
import { type Presence, presence } from '../src/presence.js';
import { projection } from '../src/projection.js';
import type { Handle, HandleCounts, LiveHandle } from '../src/types.js';
import { view } from '../src/view.js';
import { codeOf, makeRig, makeStore, microtask, subscribedRig } from './support.js';

const collect = globalThis.gc as () => void;

/** Runs the collector until `check` holds: finalizers run in tasks of their own. */
async function untilCollected(check: () => void): Promise<void> {
  await vi.waitFor(
    () => {
      collect();
      check();
    },
    { timeout: 60_000, interval: 10 },
  );
}

const CLIENT = 'client "ws://test/v1/ws"';

/** Something whose listener is dropped, and it. */
const listened = (source: Handle & { subscribe(listener: () => void): Handle }): readonly unknown[] => {
  source.subscribe(() => undefined);
  return [source];
};
const listenedTo = (room: Presence): readonly unknown[] => {
  room.onChange(() => undefined);
  return [room];
};

const countOf = (list: readonly LiveHandle[]): Omit<HandleCounts, 'total' | 'routes'> => {
  const of = (kind: string): number => list.filter((handle) => handle.kind === kind).length;
  return {
    histories: of('history'),
    listeners: of('listener'),
    clients: of('client'),
    subscriptions: of('subscription'),
    clientListeners: of('clientListener'),
    views: of('view'),
    projections: of('projection'),
    queues: of('queue'),
    keyed: of('keyed'),
    presences: of('presence'),
  };
};

afterEach(() => vi.restoreAllMocks());

describe('liveHandles', () => {
  it('lists each handle by kind and owner, with the place it was made, and agrees with the counts', () => {
    const { store, client, history, subscription } = subscribedRig();
    const listener = history.subscribe(() => undefined);
    const list = store.liveHandles();
    expect(list.map(({ kind, name, owner }) => [kind, name, owner])).toEqual([
      ['client', 'ws://test/v1/ws', 'store'],
      ['clientListener', '', 'client "ws://test/v1/ws"'],
      ['history', 'room', 'store'],
      ['subscription', 'room:1', 'client "ws://test/v1/ws"'],
      ['listener', '', 'history "room"'],
    ]);
    for (const { stack } of list) expect(stack).toMatch(/support\.ts|handles\.test\.ts/);
    expect(Object.isFrozen(list) && list.every((handle) => Object.isFrozen(handle))).toBe(true);
    expect(store.handles()).toMatchObject(countOf(list));
    listener.end();
    subscription.end();
    expect(store.liveHandles().map(({ kind }) => kind)).toEqual(['client', 'clientListener', 'history']);
    client.end();
    expect(store.liveHandles().map(({ kind }) => kind)).toEqual(['history']);
    store.end();
    expect(store.liveHandles()).toEqual([]);
    expect(store.handles().total).toBe(0);
  });
});

describe('a handle', () => {
  it('ends by a call, end() and Symbol.dispose, once', () => {
    const store = makeStore();
    const history = store.history('a');
    for (const end of ['call', 'end', 'dispose'] as const) {
      const handle = history.subscribe(() => undefined);
      expect([handle.active, store.handles().listeners]).toEqual([true, 1]);
      for (let again = 0; again < 3; ++again) {
        if (end === 'call') handle();
        else if (end === 'end') handle.end();
        else handle[Symbol.dispose]();
        expect([handle.active, store.handles().listeners]).toEqual([false, 0]);
      }
    }
    store.end();
  });

  it('ends what hangs from it: a history its listeners, a client its subscriptions and listeners, a store all', () => {
    const { store, client, history, subscription } = subscribedRig();
    const listener = history.subscribe(() => undefined);
    const stateListener = client.onState(() => undefined);
    history.end();
    expect([listener.active, subscription.active, subscription.state]).toEqual([false, false, 'ended']);
    expect(store.handles()).toMatchObject({ histories: 0, listeners: 0, routes: 0, subscriptions: 0 });
    client.end();
    client.end();
    expect([stateListener.active, store.handles().clients, store.handles().clientListeners]).toEqual([false, 0, 0]);
    for (const use of [() => history.subscribe(() => undefined), () => client.onState(() => undefined)]) {
      expect(use).toThrow(EndedError);
      expect(use).toThrow(/(history "room"|client "ws:\/\/test\/v1\/ws") was used after its end/);
    }
    store.end();
    store.end();
  });

  it('refuses what its doc comments say it refuses once it has ended, and gives the rest', async () => {
    const { store, client, history } = subscribedRig();
    const other = store.history('other');
    const found = view(other);
    const sum = projection(other, (n: number) => n, 0);
    const jobs = store.queue<number>('jobs', { capacity: 1 });
    const map = keyed<string, number>(store, 'map', { capacity: 1 });
    const window = history.window({ last: 1 });
    const matches = found.window({ last: 1 });
    const nothing = (): void => undefined;
    const calls = (thing: object, ...names: string[]): [string, () => unknown][] =>
      names.map((name) => [name, () => (thing as Record<string, (arg: unknown) => unknown>)[name]?.(nothing)]);

    for (const handle of [found, sum, jobs, map, history]) handle.end();
    const refused: [string, () => unknown][] = [
      ...calls(history, 'push', 'find', 'onTrim', 'subscribe', 'stats', 'clear'),
      ['size', () => history.size],
      ['evicted', () => history.evicted],
      ['highWaterMark', () => history.highWaterMark],
      ['pushMany', () => history.pushMany([])],
      ['last', () => history.last(1)],
      ['slice', () => history.slice()],
      ['at', () => history.at(1)],
      ['window', () => history.window({ last: 1 })],
      ['iteration', () => [...history]],
      ...calls(window, 'subscribe'),
      ['subscribe to it', () => client.subscribe('room:1', history)],
      ['view', () => view(history)],
      ['projection', () => projection(history, (n: number) => n, 0)],
      ...calls(found, 'subscribe', 'markRead', 'rates', 'stats'),
      ['window of a view', () => found.window({ last: 1 })],
      ...calls(matches, 'subscribe'),
      ...calls(sum, 'subscribe', 'rebuild', 'reset', 'stats'),
      ...calls(jobs, 'push', 'shift', 'peek', 'clear', 'stats', 'subscribe'),
      ...calls(map, 'get', 'has', 'set', 'delete', 'clear', 'stats', 'onTrim', 'subscribe'),
      ['evicted of a map', () => map.evicted],
    ];
    for (const [name, use] of refused) expect(use, name).toThrow(EndedError);
    expect([history.name, window.getSnapshot().size, matches.getSnapshot().count]).toEqual(['room', 0, 0]);
    expect([found.count, found.unread, sum.state, jobs.size, [...jobs], jobs.getSnapshot()]).toEqual([
      0,
      0,
      0,
      0,
      [],
      [],
    ]);
    expect([map.size, map.peek('a'), [...map], map.getSnapshot().size]).toEqual([0, undefined, [], 0]);

    client.end();
    const names = ['cut', 'check', 'disconnect', 'reconnect', 'onState', 'onError', 'onResume'];
    for (const [name, use] of calls(client, ...names)) expect(use, name).toThrow(EndedError);
    expect(() => client.subscribe('room:1', other)).toThrow(EndedError);
    await expect(client.publish('room:1', 'tick', 1)).rejects.toThrow(EndedError);
    await expect(client.history('room:1')).rejects.toThrow(EndedError);
    expect([client.url, client.state.status, client.stats().channels]).toEqual(['ws://test/v1/ws', 'closed', 0]);

    store.end();
    for (const use of [() => store.history('a'), () => store.queue('b', { capacity: 1 }), () => store.stats()])
      expect(use).toThrow(EndedError);
    expect([store.histories(), store.liveHandles(), store.handles().total]).toEqual([[], [], 0]);
  });

  it('is each history, client, view, projection, queue and keyed map: called with something it ends nothing', () => {
    const { store, client, history } = subscribedRig();
    const things = [
      view(history),
      projection(history, (sum: number) => sum, 0),
      store.queue('q', { capacity: 1 }),
      keyed(store, 'k', { capacity: 1 }),
      client,
      history,
    ];
    const live = store.liveHandles();
    for (const thing of things) expect((thing as unknown as (state: unknown) => unknown)(undefined)).toBe(thing);
    expect(store.liveHandles()).toEqual(live);
    expect([history.name, history instanceof HistoryImpl, client.url]).toEqual(['room', true, 'ws://test/v1/ws']);
    for (const thing of things) {
      const { length } = store.liveHandles();
      thing();
      expect(store.liveHandles().length).toBeLessThan(length);
      thing();
      thing.end();
      thing[Symbol.dispose]();
    }
    expect(store.liveHandles().filter(({ kind }) => kind !== 'clientListener')).toEqual([]);
    expect(() => history.push(1)).toThrow(EndedError);
    store.end();
  });

  it('of a client ends asynchronously: once its socket has closed, or has been waited for', async () => {
    for (const closes of [true, false]) {
      const { store, client, socket, timers } = makeRig();
      socket().welcome();
      let done = false;
      const ended = client[Symbol.asyncDispose]().then(() => (done = true));
      expect([client.state.status, socket().closed]).toEqual(['closed', true]);
      await microtask();
      expect(done).toBe(false);
      if (closes) socket().onclose?.({} as never);
      else timers.advance(2000);
      await ended;
      expect(timers.pending).toBe(0);
      store.end();
    }
  });

  it('tells the same function twice, and each of the two ends alone', () => {
    const { store, client, socket } = makeRig();
    const states: string[] = [];
    const listener = ({ status }: { readonly status: string }): void => void states.push(status);
    const first = client.onState(listener);
    client.onState(listener);
    socket().welcome();
    expect(states).toEqual(['open', 'open']);
    first.end();
    socket().lose();
    expect(states.filter((state) => state === 'waiting')).toHaveLength(1);
    store.end();
  });
});

describe('a handle collected while alive', () => {
  it('is reported once, with the stack of where it was made, and counted', async () => {
    const leaks: LiveHandle[] = [];
    const store = makeStore({ onLeak: (leaked) => leaks.push(leaked) });
    const history = store.history('chat');
    (function dropsItsHandle() {
      history.subscribe(() => undefined);
    })();
    await untilCollected(() => expect(leaks).toHaveLength(1));
    expect(leaks[0]).toMatchObject({ kind: 'listener', owner: 'history "chat"' });
    expect(leaks[0]?.stack).toContain('dropsItsHandle');
    expect(store.stats().collectedHandles).toBe(1);
    // It still is what it was: only its owner can end it now.
    expect(store.handles().listeners).toBe(1);
    store.end();
    collect();
    expect([leaks.length, store.handles().total]).toEqual([1, 0]);
  });

  it.each<[kind: string, name: string, owner: string, make: (rig: ReturnType<typeof subscribedRig>) => unknown]>([
    ['listener', '', 'history "room"', ({ history }) => history.subscribe(() => undefined)],
    ['listener', '', 'history "room"', ({ history }) => history.onTrim(() => undefined)],
    ['listener', '', 'history "room"', ({ history }) => history.window({ last: 5 }).subscribe(() => undefined)],
    ['view', '', 'history "room"', ({ history }) => view(history, { text: 'fox' })],
    ['projection', '', 'history "room"', ({ history }) => projection(history, (sum: number) => sum + 1, 0)],
    ['queue', 'jobs', 'store', ({ store }) => store.queue('jobs', { capacity: 5 })],
    ['keyed', 'map', 'store', ({ store }) => keyed(store, 'map', { capacity: 5 })],
    ['keyed', 'map', 'store', ({ store }) => keyed(store, 'map', { capacity: 5, ttl: 1000 }).set('a', 1)],
    ['presence', 'room:1', CLIENT, ({ client }) => presence(client, 'room:1', { join: true })],
    ['clientListener', '', CLIENT, ({ client }) => client.onState(() => undefined)],
    ['clientListener', '', CLIENT, ({ client }) => client.onError(() => undefined)],
    ['clientListener', '', CLIENT, ({ client }) => client.onResume(() => undefined)],
    ['subscription', 'room:2', CLIENT, ({ store, client }) => client.subscribe('room:2', store.history('two'))],
  ])('is told of by its kind: %s %s of %s', async (kind, name, owner, make) => {
    const leaks: LiveHandle[] = [];
    const rig = subscribedRig({}, makeStore({ onLeak: (leaked) => leaks.push(leaked) }));
    const before = rig.store.handles().total;
    (function dropsItsHandle() {
      make(rig);
    })();
    const live = rig.store.handles().total;
    expect(live).toBeGreaterThan(before);
    await untilCollected(() => expect(leaks).toHaveLength(1));
    expect(leaks[0]).toMatchObject({ kind, name, owner });
    expect(leaks[0]?.stack).toContain('dropsItsHandle');
    expect(rig.store.liveHandles()).toContain(leaks[0]);
    // It goes on until its owner ends, and is not told of again.
    expect([rig.store.handles().total, rig.store.stats().collectedHandles]).toEqual([live, 1]);
    collect();
    rig.store.end();
    expect([leaks.length, rig.store.handles().total]).toEqual([1, 0]);
  });

  it.each<[kind: string, owner: string, make: (rig: ReturnType<typeof subscribedRig>) => readonly unknown[]]>([
    ['listener', 'view of history "room"', ({ history }) => listened(view(history))],
    ['listener', 'projection of history "room"', ({ history }) => listened(projection(history, (n: number) => n, 0))],
    ['listener', 'queue "jobs"', ({ store }) => listened(store.queue('jobs', { capacity: 5 }))],
    ['listener', 'keyed "map"', ({ store }) => listened(keyed(store, 'map', { capacity: 5 }))],
    ['presence', 'presence "room:1"', ({ client }) => listenedTo(presence(client, 'room:1'))],
  ])('is told of where it is a listener: %s of %s', async (kind, owner, make) => {
    const leaks: LiveHandle[] = [];
    const rig = subscribedRig({}, makeStore({ onLeak: (leaked) => leaks.push(leaked) }));
    const [kept] = make(rig); // what it listens to lives on
    await untilCollected(() => expect(leaks).toHaveLength(1));
    expect(leaks[0]).toMatchObject({ kind, name: '', owner });
    expect((kept as Handle).active).toBe(true);
    rig.store.end();
    expect([leaks.length, rig.store.handles().total]).toEqual([1, 0]);
  });

  it('is nothing that its owner can give back: a history, and what keeps one', async () => {
    const leaks: LiveHandle[] = [];
    const store = makeStore({ onLeak: (leaked) => leaks.push(leaked) });
    await (async () => {
      await persist(store.history('chat'), { indexedDB: new IDBFactory() });
    })();
    for (let round = 0; round < 5; ++round) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(leaks).toEqual([]);
    expect(store.histories().map(({ name }) => name)).toEqual(['chat']);
    store.end();
  });

  it('is seen for subscriptions and listeners of clients as well, and warned of where nobody listens', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { store, client } = makeRig({}, makeStore({ onLeak: undefined as never }));
    const history = store.history('chat');
    (() => {
      client.subscribe('room:1', history);
      client.onState(() => undefined);
    })();
    await untilCollected(() => expect(warn.mock.calls.length).toBeGreaterThanOrEqual(2));
    const texts = warn.mock.calls.map(([text]) => String(text));
    expect(texts.some((text) => text.includes('subscription "room:1" of client "ws://test/v1/ws"'))).toBe(true);
    expect(texts.every((text) => text.includes('garbage-collected without its end'))).toBe(true);
    store.end();
  });

  it('is not reported once it has ended, and a listener that throws is isolated', async () => {
    const errors: unknown[] = [];
    const leaks: LiveHandle[] = [];
    const store = makeStore({
      onError: (error) => errors.push(error),
      onLeak: (leaked) => {
        leaks.push(leaked);
        throw new Error('from onLeak');
      },
    });
    const history = store.history('chat');
    (() => {
      for (let count = 0; count < 100; ++count) history.subscribe(() => undefined).end();
      history.subscribe(() => undefined);
    })();
    await untilCollected(() => expect(errors).toHaveLength(1));
    expect(leaks).toHaveLength(1);
    expect(store.stats()).toMatchObject({ listenerErrors: 1, collectedHandles: 1 });
    store.end();
  });
});

describe('a store', () => {
  it('has at most 65,536 live handles of what nothing else bounds, and goes on when some have ended', () => {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0; // the stacks of so many take a while
    const { store, client, history } = subscribedRig();
    const handles: Handle[] = [];
    const had = store.liveHandles().length;
    while (had + handles.length < 65_536) handles.push(client.subscribe('room:1', history));
    const makes: (() => Handle)[] = [
      () => client.subscribe('room:1', history),
      () => projection(history, (count: number) => count + 1, 0),
      () => store.queue('jobs', { capacity: 1 }) as unknown as Handle,
      () => presence(client, 'room:1') as unknown as Handle,
      () => makeRig({}, store).client as unknown as Handle,
    ];
    for (const make of makes) expect(codeOf(make)).toBe('too_many_handles');
    expect(store.liveHandles()).toHaveLength(65_536);
    for (const handle of handles.splice(-10)) handle.end();
    for (const make of makes) make();
    expect(store.handles().presences).toBe(1);
    store.end();
    expect(store.liveHandles()).toEqual([]);
    Error.stackTraceLimit = limit;
  });
});

describe('in production', () => {
  it('takes no stack and watches nothing', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    vi.resetModules();
    const { createStoreSync } = await import('../src/inline.js');
    const store = createStoreSync({ budget: '1 MiB', notify: 'microtask' });
    const history = store.history('a', { bytes: 4096 });
    (() => void history.subscribe(() => undefined))();
    for (let round = 0; round < 5; ++round) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    expect(store.liveHandles().map(({ kind, stack }) => [kind, stack])).toEqual([
      ['history', undefined],
      ['listener', undefined],
    ]);
    expect(store.stats().collectedHandles).toBe(0);
    store.end();
    vi.unstubAllEnvs();
  });

  it('is what a page without `process` gets', async () => {
    vi.stubGlobal('process', undefined);
    vi.resetModules();
    try {
      expect((await import('../src/environment.js')).DEVELOPMENT).toBe(false);
    } finally {
      vi.unstubAllGlobals();
    }
  });
});
