// The store in a worker: what the page gets of it. The worker here is a Host at the other end of a MessageChannel.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { MessageChannel } from 'node:worker_threads';

import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { EndedError, type RingfenceError } from '../src/errors.js';
import { FakeSocket, MemoryServer } from '../src/testing.js';
import type { ChannelResume, LiveHandle, Row, SocketConstructor } from '../src/types.js';
import { type WorkerStore, type WorkerStoreOptions, createWorkerStore } from '../src/worker.js';
import { Host } from '../src/worker/host.js';
import type { HostPort, News, ToPage, ToWorker, WorkerLike } from '../src/worker/messages.js';
import { NodeSocket, ServerProcess, until } from './server_process.js';
import { seqsOf } from './support.js';

const wasmDir = process.env['RINGFENCE_WASM_DIR'] ?? resolve(import.meta.dirname, '../../build/wasm/client-wasm');
let wasm: WebAssembly.Module;
beforeAll(async () => {
  wasm = await WebAssembly.compile(readFileSync(resolve(wasmDir, 'core.wasm')));
});

/** A worker in this thread. `hold`: its page has no frames until it is false. */
class HereWorker implements WorkerLike {
  onmessage: WorkerLike['onmessage'] = null;
  onmessageerror: WorkerLike['onmessageerror'] = null;
  onerror: WorkerLike['onerror'] = null;
  terminated = 0;
  readonly news: News[] = [];
  readonly sent: ToWorker[] = [];
  readonly #channel = new MessageChannel();

  constructor(options: ConstructorParameters<typeof Host>[1]) {
    new Host(this.#channel.port2 as unknown as HostPort, options);
    this.#channel.port1.on('message', (data: ToPage) => {
      if (data.op === 'news') this.news.push(data);
      this.onmessage?.({ data } as MessageEvent);
    });
  }
  postMessage(message: unknown, transfer: Transferable[]): void {
    this.sent.push(message as ToWorker);
    this.#channel.port1.postMessage(message, transfer as never);
  }
  terminate(): void {
    ++this.terminated;
    this.#channel.port1.close();
  }
}

const stores: WorkerStore[] = [];
afterEach(() => {
  for (const store of stores.splice(0)) store.end();
  vi.unstubAllGlobals();
});

const collect = globalThis.gc as () => void;
/** Runs the collector until `check` holds: finalizers run in tasks of their own. */
const untilCollected = (check: () => void): Promise<void> =>
  vi.waitFor(() => (collect(), check()), { timeout: 60_000, interval: 10 });

async function open(
  server = new MemoryServer(),
  socket: SocketConstructor = server.WebSocket,
  options: Partial<WorkerStoreOptions> = {},
) {
  const worker = new HereWorker({ WebSocket: socket });
  const failures: unknown[] = [];
  const store = await createWorkerStore({
    budget: '4 MiB',
    wasm,
    worker: () => worker as unknown as Worker,
    onError: (error) => failures.push(error),
    ...options,
  });
  stores.push(store);
  return { server, worker, store, failures };
}

/** With a channel that feeds a history. */
async function subscribed(options: Partial<WorkerStoreOptions> = {}) {
  const opened = await open(undefined, undefined, options);
  const chat = await opened.store.history<number>('chat', { capacity: 100, bytes: '64 KiB' });
  const client = await opened.store.connect('ws://test/v1/ws');
  const subscription = client.subscribe('room:1', chat, { last: 10 });
  await until(() => expect(subscription.state).toBe('active'));
  return { ...opened, chat, client, subscription };
}
const data = (rows: readonly Row<number>[]): number[] => rows.map((row) => row.data);

describe('a history in a worker', () => {
  it('shows the window asked for, decoded here, and each row as the same frozen object while it is shown', async () => {
    const { server, chat } = await subscribed();
    const window = chat.window({ last: 3 });
    expect(window.getSnapshot()).toMatchObject({ items: [], version: 0 });
    let told = 0;
    const handle = window.subscribe(() => ++told);
    for (let n = 1; n <= 5; ++n) server.publish('room:1', 'count', n);
    await until(() => expect(data(window.getSnapshot().items)).toEqual([3, 4, 5]));
    const first = window.getSnapshot();
    expect(first).toMatchObject({ offset: 2, firstSeq: 1, lastSeq: 5, size: 5, evicted: 0, missed: 0 });
    expect(first.items[0]).toMatchObject({ seq: 3, type: 'count', data: 3 });
    expect(first.items[0]?.time).toBeCloseTo(Date.now(), -5);
    expect([Object.isFrozen(first), Object.isFrozen(first.items), Object.isFrozen(first.items[0])]).toEqual([
      true,
      true,
      true,
    ]);
    expect(window.getSnapshot()).toBe(first);
    server.publish('room:1', 'count', 6);
    await until(() => expect(data(window.getSnapshot().items)).toEqual([4, 5, 6]));
    expect(window.getSnapshot().items[0]).toBe(first.items[1]);
    expect(window.getSnapshot().version).toBeGreaterThan(first.version);
    expect(told).toBeGreaterThan(1);
    handle.end();
  });

  it('sends only the rows that the page has not got, and never what came and left in between', async () => {
    const { server, chat, worker } = await subscribed();
    const window = chat.window({ last: 4 });
    window.subscribe(() => undefined);
    server.publish('room:1', 'count', 1);
    await until(() => expect(window.getSnapshot().size).toBe(1));
    const before = worker.news.length;
    for (let n = 2; n <= 90; ++n) server.publish('room:1', 'count', n);
    await until(() => expect(data(window.getSnapshot().items)).toEqual([87, 88, 89, 90]));
    const rows = worker.news.slice(before).flatMap(({ windows }) => windows);
    const bytes = rows.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    expect(bytes).toBeLessThanOrEqual(rows.length * 4 * 40);
    // A wider window gets what is before it too.
    const wide = chat.window({ last: 20 });
    wide.subscribe(() => undefined);
    await until(() => expect(wide.getSnapshot().items).toHaveLength(20));
    expect(wide.getSnapshot().items.at(-1)).toBe(window.getSnapshot().items.at(-1)); // one row, whoever shows it
  });

  it('keeps one message on its way until the page has had a frame, however much comes', async () => {
    const frames: FrameRequestCallback[] = [];
    vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
    vi.stubGlobal('cancelAnimationFrame', () => undefined);
    const timeouts = vi.spyOn(globalThis, 'setTimeout');
    const { server, chat, worker, store } = await open().then(async (opened) => {
      const chat = await opened.store.history<number>('chat');
      return { ...opened, chat };
    });
    const client = await store.connect('ws://test/v1/ws');
    client.subscribe('room:1', chat);
    const window = chat.window({ last: 5 });
    window.subscribe(() => undefined);
    const frame = (): void => {
      for (const callback of frames.splice(0)) callback(0);
    };
    await until(() => {
      frame();
      expect(client.state.status).toBe('open');
      expect(server.subscriptions).toBe(1);
    });
    const quiet = async (): Promise<void> => {
      let seen = -1;
      while (seen !== worker.news.length) {
        seen = worker.news.length;
        frame();
        await new Promise((done) => setImmediate(done));
        await new Promise((done) => setImmediate(done));
      }
    };
    await quiet();
    timeouts.mockRestore();
    const before = worker.news.length;
    const began = Date.now();
    for (let n = 1; n <= 50; ++n) {
      server.publish('room:1', 'count', n);
      await server.settled();
      await new Promise((done) => setImmediate(done));
    }
    // Not one for each of 50: one, and one for each 250 ms that pass without a frame.
    expect(worker.news.length - before).toBeLessThanOrEqual(2 + (Date.now() - began) / 250);
    await until(() => {
      frame();
      expect(data(window.getSnapshot().items)).toEqual([46, 47, 48, 49, 50]);
    });
  });

  it('has a window in the worker for each selector that is listened to, and none afterwards', async () => {
    const { store, chat, worker } = await subscribed();
    const listeners = async (): Promise<number> => (await store.workerHandles()).listeners;
    const before = await listeners();
    const one = chat.window({ last: 3 }).subscribe(() => undefined);
    const two = chat.window({ last: 3 }).subscribe(() => undefined);
    const three = chat.subscribe(() => undefined);
    expect(store.handles()).toMatchObject({ histories: 1, windows: 2, listeners: 3, clients: 1, subscriptions: 1 });
    expect(await listeners()).toBe(before + 2);
    one();
    one.end();
    three[Symbol.dispose]();
    expect([one.active, two.active]).toEqual([false, true]);
    await until(() => expect(store.handles()).toMatchObject({ windows: 1, listeners: 1 }));
    two.end();
    // As StrictMode does: gone and back within one task.
    const four = chat.window({ last: 3 }).subscribe(() => undefined);
    await until(async () => expect(await listeners()).toBe(before + 1));
    expect(worker.sent.filter(({ op }) => op === 'open')).toHaveLength(2);
    four.end();
    await until(async () => expect(await listeners()).toBe(before));
    expect(store.handles()).toMatchObject({ windows: 0, listeners: 0 });
  });

  it('decodes by the page’s own function, and says where that fails', async () => {
    const { store, server, failures } = await open();
    const odd = await store.history<string>('odd', {
      decode: (value, type) => {
        if (value === 2) throw new Error('two');
        return `${type} ${String(value)}`;
      },
    });
    const client = await store.connect('ws://test/v1/ws');
    client.subscribe('odd', odd);
    const window = odd.window({ last: 5 });
    window.subscribe(() => undefined);
    await until(() => expect(server.subscriptions).toBe(1));
    for (const n of [1, 2, 3]) server.publish('odd', 'n', n);
    await until(() => expect(window.getSnapshot().items).toHaveLength(3));
    const [one, two] = window.getSnapshot().items;
    expect([one?.data, two?.data, two?.error?.message]).toEqual(['n 1', undefined, 'two']);
    expect(await odd.stats()).toMatchObject({ held: 3, undecodable: 1, name: 'odd' });
    expect(failures).toEqual([new Error('two')]);
    expect(await store.stats()).toMatchObject({ listenerErrors: 1 });
  });

  it('clears, evicts and keeps count as any other', async () => {
    const { server, chat } = await subscribed();
    const window = chat.window({ last: 100 });
    window.subscribe(() => undefined);
    for (let n = 1; n <= 150; ++n) server.publish('room:1', 'count', n);
    await until(() => expect(window.getSnapshot()).toMatchObject({ size: 100, evicted: 50 }));
    expect(seqsOf(window.getSnapshot().items)[0]).toBe(51);
    await chat.clear();
    await until(() => expect(window.getSnapshot()).toMatchObject({ size: 0, items: [], lastSeq: 150 }));
    server.publish('room:1', 'count', 151);
    await until(() => expect(data(window.getSnapshot().items)).toEqual([151]));
  });

  it('refuses what a history in the page refuses, with the same errors', async () => {
    const { store, chat } = await subscribed();
    await expect(store.history('chat')).rejects.toMatchObject({ name: 'RingfenceError', code: 'duplicate_name' });
    await expect(store.history('big', { bytes: '1 GiB' })).rejects.toThrow(RangeError);
    await expect(store.history('none', { capacity: 0 })).rejects.toThrow(RangeError);
    await expect(store.connect('ftp://x')).rejects.toThrow(RangeError);
    await expect(store.connect('ws://x', { publishesMax: 0 })).rejects.toThrow('publishesMax is 0');
    expect(() => chat.window({ last: 0 })).toThrow(RangeError);
    expect(() => chat.window({ last: 1 }).subscribe('x' as never)).toThrow(TypeError);
    expect(store.handles()).toMatchObject({ histories: 1, clients: 1 });
    chat.end();
    chat.end();
    expect(() => chat.window({ last: 1 })).toThrow(EndedError);
    await until(() => expect(store.handles()).toMatchObject({ histories: 0, subscriptions: 0 }));
  });

  it('of which no more windows are shown than may be', async () => {
    const { chat } = await subscribed();
    for (let last = 1; last <= 1024; ++last) chat.window({ last }).subscribe(() => undefined);
    expect(() => chat.window({ last: 1025 }).subscribe(() => undefined)).toThrow(/1024 windows are shown already/);
    expect((await chat.stats()).listeners).toBe(1025);
  });

  it('isolates a listener that throws', async () => {
    const { server, chat, failures } = await subscribed();
    const window = chat.window({ last: 1 });
    window.subscribe(() => {
      throw new Error('mine');
    });
    let told = 0;
    window.subscribe(() => ++told);
    server.publish('room:1', 'count', 1);
    await until(() => expect(told).toBeGreaterThan(0));
    expect(failures[0]).toEqual(new Error('mine'));
  });
});

describe('what the page holds of a worker', () => {
  it('is ended by a call, end() and dispose, once; and called with something it is itself', async () => {
    for (const way of ['call', 'end', 'dispose'] as const) {
      const { store, chat, client, subscription, server } = await subscribed();
      const listener = chat.subscribe(() => undefined);
      const things = [listener, subscription, chat, client] as const;
      for (const thing of [subscription, chat, client] as unknown as ((state: unknown) => unknown)[])
        expect(thing('a state')).toBe(thing);
      expect([chat.name, client.url, subscription.state]).toEqual(['chat', 'ws://test/v1/ws', 'active']);
      for (const thing of things) {
        const { length } = store.liveHandles();
        for (let again = 0; again < 2; ++again) {
          if (way === 'call') thing();
          else if (way === 'end') thing.end();
          else thing[Symbol.dispose]();
          expect(store.liveHandles().length).toBeLessThan(length);
        }
      }
      await until(() => expect(store.handles().total).toBe(0)); // the window goes one task later
      expect(store.liveHandles()).toEqual([]);
      await until(() => expect(server.connections).toBe(0));
    }
  });

  it('is listed by kind and owner, with the place it was made', async () => {
    const { store, chat, client } = await subscribed();
    const held = [chat.window({ last: 3 }).subscribe(() => undefined), client.onError(() => undefined)];
    const list = store.liveHandles();
    expect(list.map(({ kind, name, owner }) => [kind, name, owner])).toEqual([
      ['history', 'chat', 'store'],
      ['client', 'ws://test/v1/ws', 'store'],
      ['subscription', 'room:1', 'client "ws://test/v1/ws"'],
      ['window', '{"last":3}', 'history "chat"'],
      ['listener', '', 'history "chat"'],
      ['clientListener', '', 'client "ws://test/v1/ws"'],
    ]);
    for (const { stack } of list.filter(({ kind }) => kind !== 'window'))
      expect(stack).toMatch(/worker\.test\.ts|worker\.ts/);
    expect(store.handles()).toEqual({
      histories: 1,
      windows: 1,
      drawings: 0,
      listeners: 1,
      clients: 1,
      subscriptions: 1,
      clientListeners: 1,
      total: 6,
    });
    for (const handle of held) handle.end();
  });

  it('is told of where it was made, once, when it is dropped without its end', async () => {
    const leaks: LiveHandle[] = [];
    const { store, chat, client, subscription } = await subscribed({ onLeak: (leaked) => leaks.push(leaked) });
    const kept = chat.subscribe(() => undefined);
    const drop = (): void => {
      client.onState(() => undefined);
      chat.window({ last: 2 }).subscribe(() => undefined);
      client.subscribe('dropped', chat);
    };
    drop();
    await untilCollected(() => expect(leaks).toHaveLength(3));
    expect(leaks.map(({ kind, owner }) => `${kind} of ${owner}`).sort()).toEqual([
      'clientListener of client "ws://test/v1/ws"',
      'listener of history "chat"',
      'subscription of client "ws://test/v1/ws"',
    ]);
    for (const { stack } of leaks) expect(stack).toMatch(/worker\.test\.ts/);
    expect((await store.stats()).collectedHandles).toBe(3);
    expect([kept.active, subscription.active]).toEqual([true, true]);
  });

  it('says on the console where nobody else takes a leak', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const { client, subscription } = await subscribed();
    (() => void client.onState(() => undefined))();
    await untilCollected(() => expect(warn).toHaveBeenCalledTimes(1));
    expect(warn.mock.calls[0]?.[0]).toMatch(/clientListener "" of client .* was garbage-collected/);
    warn.mockRestore();
    subscription.end(); // held until here
  });

  it('counts what its listeners throw, of the store and of each client', async () => {
    const { store, server, chat, client, failures } = await subscribed();
    const held = [
      chat.subscribe(() => {
        throw new Error('of the history');
      }),
      client.onState(() => {
        throw new Error('of the client');
      }),
    ];
    expect((await store.stats()).listenerErrors).toBe(0);
    server.publish('room:1', 'count', 1);
    server.dropConnections();
    await until(() => expect(new Set(failures.map(String)).size).toBe(2));
    for (const handle of held) handle.end();
    const ofClient = failures.filter((error) => String(error) === 'Error: of the client');
    expect((await client.stats()).listenerErrors).toBe(ofClient.length);
    expect((await store.stats()).listenerErrors).toBe(failures.length);
  });

  it('names itself when it is used after its end', async () => {
    const { store, chat, client, server } = await subscribed();
    chat.end();
    const ofHistory = 'history "chat" was used after its end';
    for (const use of [() => chat.window({ last: 1 }), () => chat.subscribe(() => undefined)])
      expect(use).toThrow(ofHistory);
    for (const use of [chat.stats(), chat.clear()]) await expect(use).rejects.toThrow(ofHistory);
    expect(() => client.subscribe('room:1', chat)).toThrow(ofHistory);
    client.end();
    const ofClient = 'client "ws://test/v1/ws" was used after its end';
    for (const use of ['cut', 'check', 'disconnect', 'reconnect'] as const)
      expect(() => client[use]()).toThrow(ofClient);
    for (const use of ['onState', 'onError', 'onResume'] as const)
      expect(() => client[use](() => undefined)).toThrow(ofClient);
    for (const use of [client.stats(), client.history('a'), client.publish('a', 't', 1)])
      await expect(use).rejects.toThrow(ofClient);
    await until(() => expect(server.connections).toBe(0));
    store.end();
    for (const use of [store.stats(), store.history('a'), store.connect('ws://test/')])
      await expect(use).rejects.toThrow('store was used after its end');
  });

  it('of which a client can be awaited: its socket has closed then', async () => {
    class SlowSocket extends FakeSocket {
      static readonly all: SlowSocket[] = [];
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        SlowSocket.all.push(this);
        queueMicrotask(() => this.welcome());
      }
    }
    const { store } = await open(undefined, SlowSocket);
    const client = await store.connect('ws://test/v1/ws');
    await until(() => expect(client.state.status).toBe('open'));
    let closed = 0;
    const note = (): void => void ++closed;
    const both = [client[Symbol.asyncDispose]().then(note), client[Symbol.asyncDispose]().then(note)];
    expect(client.state.status).toBe('closed');
    await until(() => expect(SlowSocket.all[0]?.closed).toBe(true));
    await store.workerHandles(); // an answer of the worker's: it has had the time
    expect(closed).toBe(0);
    SlowSocket.all[0]?.lose(1000);
    await Promise.all(both);
    expect(closed).toBe(2);
    await client[Symbol.asyncDispose](); // again: nothing
    const other = await store.connect('ws://test/v1/ws');
    store.end();
    await other[Symbol.asyncDispose](); // nothing is left to wait for
  });
});

describe('a client in a worker', () => {
  it('publishes, pages back, resumes and tells its state', async () => {
    const { server, client, chat, subscription } = await subscribed();
    const resumes: ChannelResume[] = [];
    client.onResume((resume) => resumes.push(resume));
    const states: string[] = [];
    client.onState(({ status }) => states.push(status));
    expect(client.state).toMatchObject({ status: 'open', connection: 'memory-1' });
    expect(Object.isFrozen(client.state)).toBe(true);
    expect(await client.publish('room:1', 'count', 7)).toEqual({ seq: 1 });
    expect(await client.history('room:1')).toMatchObject({ channel: 'room:1', events: [{ seq: 1, data: 7 }] });
    server.dropConnections();
    for (let n = 1; n <= 4; ++n) server.publish('room:1', 'count', n);
    client.reconnect();
    await until(() => expect(resumes).toMatchObject([{ channel: 'room:1', outcome: 'replayed', replayed: 4 }]));
    await until(() => expect(client.state.lastResume?.text).toBe('replayed 4'));
    expect(states.at(-1)).toBe('open');
    expect(await client.stats()).toMatchObject({ connects: 2, channels: 1 });
    expect((await chat.stats()).held).toBe(5);
    subscription();
    expect([subscription.state, subscription.active]).toEqual(['ended', false]);
    await until(() => expect(server.subscriptions).toBe(0));
    client.disconnect();
    await until(() => expect(client.state.status).toBe('stopped'));
  });

  it('rejects with the errors that a client in the page rejects with', async () => {
    const { client } = await subscribed();
    await expect(client.publish('bad channel', 't', 1)).rejects.toThrow(RangeError);
    await expect(client.publish('a', 't', undefined)).rejects.toThrow(TypeError);
    await expect(client.publish('a', 't', () => undefined)).rejects.toThrow(TypeError);
    await expect(client.history('nowhere')).rejects.toMatchObject({ name: 'ServerError', code: 'no_such_channel' });
    client.end();
    client.end();
    expect(client.state.status).toBe('closed');
    await expect(client.publish('a', 't', 1)).rejects.toThrow(EndedError);
    expect(() => client.onError(() => undefined)).toThrow(EndedError);
  });

  it('tells refusals of subscriptions to onError', async () => {
    const { client, store, chat, subscription } = await subscribed();
    const errors: Error[] = [];
    client.onError((error) => errors.push(error));
    const other = await store.history('other');
    const refused = client.subscribe('room:1', other);
    await until(() => expect(refused.state).toBe('refused'));
    expect(errors).toMatchObject([{ code: 'already_subscribed' }]);
    const odd = client.subscribe('no such name!', other);
    await until(() => expect(odd.state).toBe('refused'));
    expect(errors[1]).toBeInstanceOf(RangeError);
    chat.end();
    await until(() => expect(subscription.active).toBe(false));
    expect(() => client.subscribe('room:1', chat)).toThrow(EndedError);
  });

  it('asks the page for its token, before each attempt', async () => {
    const { store, server } = await open();
    let asked = 0;
    const client = await store.connect('ws://test/v1/ws', {
      token: () => {
        if (++asked === 2) throw new Error('not now');
        return `token ${asked}`;
      },
      backoff: { baseMs: 1 },
    });
    const errors: Error[] = [];
    client.onError((error) => errors.push(error));
    await until(() => expect(client.state.status).toBe('open'));
    expect(server.sockets[0]?.protocols).toEqual(['ringfence.v1', 'bearer.token 1']);
    server.dropConnections();
    await until(() => expect(server.sockets[0]?.protocols[1]).toBe('bearer.token 3'));
    const failed = { message: expect.stringContaining('not now') as string };
    await until(() => expect(errors).toMatchObject([failed]));
  });

  it('looks at its connection when the page is seen again', async () => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    vi.stubGlobal('document', page);
    const removed = vi.spyOn(page, 'removeEventListener');
    const { worker, store } = await subscribed();
    page.dispatchEvent(new Event('visibilitychange'));
    expect(worker.sent.at(-1)).toMatchObject({ op: 'do', method: 'check' });
    page.visibilityState = 'hidden';
    page.dispatchEvent(new Event('visibilitychange'));
    expect(worker.sent.at(-1)).toEqual({ op: 'hidden' });
    store.end();
    expect(worker.sent.at(-1)).toEqual({ op: 'end' });
    const ended = worker.sent.length;
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event('visibilitychange'));
    expect(worker.sent).toHaveLength(ended);
    expect(removed.mock.calls.some(([type]) => type === 'visibilitychange')).toBe(true);
  });

  it('works against the real server', { timeout: 60_000 }, async () => {
    const server = await ServerProcess.start([]);
    try {
      const { store } = await open(undefined, NodeSocket);
      const chat = await store.history<number>('chat');
      const client = await store.connect(server.socketUrl);
      const subscription = client.subscribe('room:1', chat);
      await until(() => expect(subscription.state).toBe('active'));
      const window = chat.window({ last: 10 });
      window.subscribe(() => undefined);
      for (let n = 1; n <= 30; ++n) await client.publish('room:1', 'n', n);
      await until(() => expect(data(window.getSnapshot().items)).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]));
    } finally {
      await server.down();
    }
  });
});

describe('a history in a worker that is kept', () => {
  it('is there when the page is loaded again, and goes on where it was', async () => {
    vi.stubGlobal('indexedDB', new IDBFactory());
    const server = new MemoryServer();
    const load = async () => {
      const { store, worker, failures } = await open(server);
      const chat = await store.history<number>('chat', { persist: { flushMs: 10 } });
      const window = chat.window({ last: 100 });
      window.subscribe(() => undefined);
      await until(() => expect(window.getSnapshot().size).toBe(chat.restored));
      const client = await store.connect('ws://test/v1/ws');
      const told: string[] = [];
      client.onResume(({ text }) => told.push(text));
      const subscription = client.subscribe('room:1', chat);
      await until(() => expect(subscription.state).toBe('active'));
      return { store, worker, failures, chat, window, told };
    };
    const first = await load();
    for (let n = 1; n <= 20; ++n) server.publish('room:1', 'count', n);
    await until(() => expect(first.window.getSnapshot().size).toBe(20));
    first.store.end(); // writes the rest first
    await until(() => expect(first.worker.terminated).toBe(1));
    for (let n = 21; n <= 25; ++n) server.publish('room:1', 'count', n);
    const second = await load();
    expect([first.chat.restored, second.chat.restored]).toEqual([0, 20]);
    await until(() => expect(second.told).toEqual(['replayed 5']));
    await until(() => expect(second.window.getSnapshot().items.at(-1)?.data).toBe(25));
    expect([first.failures, second.failures]).toEqual([[], []]);
  });

  it('is written by flush(), however long it would wait', async () => {
    const indexedDB = new IDBFactory();
    vi.stubGlobal('indexedDB', indexedDB);
    const { store, server, worker } = await open();
    const chat = await store.history('chat', { persist: { flushMs: 10_000 } });
    const window = chat.window({ last: 100 });
    window.subscribe(() => undefined);
    const client = await store.connect('ws://test/v1/ws');
    const subscription = client.subscribe('room:1', chat);
    await until(() => expect(subscription.state).toBe('active'));
    for (let n = 1; n <= 20; ++n) server.publish('room:1', 'count', n);
    await until(() => expect(window.getSnapshot().size).toBe(20));
    await store.flush();
    worker.terminate(); // as a page that leaves at once
    const again = await open(server);
    expect((await again.store.history('chat', { persist: true })).restored).toBe(20);
    store.end();
    await expect(store.flush()).rejects.toThrow(EndedError);
  });

  it('says where it cannot be kept, and that an option is out of its bounds', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const { store, failures } = await open();
    const chat = await store.history('chat', { persist: true });
    expect(chat.restored).toBe(0);
    await until(() => expect(failures).toMatchObject([{ code: 'persist_unavailable' }]));
    await expect(store.history('other', { persist: { flushMs: 1 } })).rejects.toThrow(RangeError);
    expect((await store.workerHandles()).histories).toBe(1);
  });
});

describe('the end of a worker', () => {
  it('ends everything here and there, and terminates it', async () => {
    const { store, worker, client, chat, subscription, server } = await subscribed();
    const window = chat.window({ last: 3 });
    const handle = window.subscribe(() => undefined);
    const asked = client.publish('room:1', 'count', 1);
    store.end();
    store.end();
    await expect(asked).rejects.toThrow(EndedError);
    expect([handle.active, subscription.active, client.state.status]).toEqual([false, false, 'closed']);
    expect(store.handles().total).toBe(0);
    expect(() => chat.subscribe(() => undefined)).toThrow(EndedError);
    await expect(store.stats()).rejects.toThrow(EndedError);
    await expect(store.history('x')).rejects.toThrow(EndedError);
    await until(() => expect(worker.terminated).toBe(1));
    await until(() => expect(server.connections).toBe(0));
    expect(window.getSnapshot()).toBeDefined();
  });

  it('comes in 3 s where the worker does not answer', async () => {
    const { store, worker } = await open();
    vi.spyOn(worker, 'postMessage').mockImplementation(() => undefined);
    store.end();
    expect(worker.terminated).toBe(0);
    await until(() => expect(worker.terminated).toBe(1));
  });

  it('a worker that fails is told, and everything of it has ended', async () => {
    const { store, worker, client, failures } = await subscribed();
    const errors: unknown[] = [];
    client.onError((error) => errors.push(error));
    const asked = store.stats();
    worker.onerror?.({ message: 'out of memory' } as ErrorEvent);
    await expect(asked).rejects.toMatchObject({ code: 'worker_failed', message: 'the worker failed: out of memory' });
    expect(client.state).toMatchObject({ status: 'closed', lastClose: 'the worker failed: out of memory' });
    expect([errors.length, failures.length, worker.terminated, store.handles().total]).toEqual([1, 1, 1, 0]);
    expect((failures[0] as RingfenceError).code).toBe('worker_failed');
  });

  it('a start that is refused leaves no worker', async () => {
    for (const [options, expected] of [
      [{ budget: 1 }, RangeError],
      [{ budget: '2 MiB', wasm: 'file:///nowhere.wasm' }, /could not be read/],
    ] as const) {
      const worker = new HereWorker({});
      const opening = createWorkerStore({ wasm, ...options, worker: () => worker as unknown as Worker });
      await expect(opening).rejects.toThrow(expected as never);
      await until(() => expect(worker.terminated).toBe(1));
    }
  });
});
