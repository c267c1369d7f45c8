// What the tests share: a store without waiting, and a client of a socket that is moved by hand, behind a fake clock.
import { createStoreSync } from '../src/inline.js';
import type { CoreHandle } from '../src/core.js';
import type { HistoryImpl } from '../src/history.js';
import type { StoreImpl } from '../src/store.js';
import type { RingfenceError } from '../src/errors.js';
import type { Client, ClientOptions, Handle, History, Row, Store, StoreOptions } from '../src/types.js';
import { connect } from '../src/index.js';
import { FakeClock, FakeSocket, encodeBatch } from '../src/testing.js';

export { FakeClock, FakeSocket, encodeBatch };

export function makeStore(options: Partial<StoreOptions> = {}): StoreImpl {
  const onLeak = (): void => undefined; // tests drop handles as they please
  return createStoreSync({ budget: '4 MiB', notify: 'microtask', onLeak, ...options }) as Store as StoreImpl;
}

export const idOf = (history: History<unknown>): number => (history as HistoryImpl<unknown>).id;

/** Feeds a history without a client. */
export class Feed {
  readonly #store: StoreImpl;
  readonly #channelId: number;
  readonly route: CoreHandle;
  last = 0;

  constructor(store: StoreImpl, history: History<unknown>, channelId = 1) {
    this.#store = store;
    this.#channelId = channelId;
    this.route = store.core.attach(channelId, idOf(history), false, 0);
  }

  push(count: number, payload: (seq: number) => string = (seq) => `{"n":${seq}}`, timeUs?: number): void {
    const prev = this.last;
    const records = Array.from({ length: count }, (_, index) => ({
      seq: prev + index + 1,
      payload: payload(prev + index + 1),
      ...(timeUs === undefined ? {} : { timeUs }),
    }));
    this.last += count;
    const refused = this.#store.ingest(encodeBatch([{ channelId: this.#channelId, prev, records }]));
    if (refused) throw refused;
  }
}

export const microtask = (): Promise<void> => new Promise((resolve) => queueMicrotask(() => queueMicrotask(resolve)));

export interface Rig {
  readonly store: StoreImpl;
  readonly client: Client;
  readonly timers: FakeClock;
  readonly sockets: FakeSocket[];
  readonly errors: Error[];
  socket(): FakeSocket;
}

/** Handles that are to live as long as their client: dropped, they would be reported as leaks. */
const kept = new WeakMap<Client, Handle>();

export function makeRig(options: Partial<ClientOptions> = {}, store = makeStore()): Rig {
  const timers = new FakeClock();
  const sockets: FakeSocket[] = [];
  class Socket extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const client = connect('ws://test/v1/ws', { store, WebSocket: Socket, timers, random: () => 0.5, ...options });
  const errors: Error[] = [];
  kept.set(
    client,
    client.onError((error) => errors.push(error)),
  );
  return {
    store,
    client,
    timers,
    sockets,
    errors,
    socket: () => {
      const socket = sockets.at(-1);
      if (!socket) throw new Error('no socket');
      return socket;
    },
  };
}

/** A rig with one channel open and subscribed. */
export function subscribedRig(options: Partial<ClientOptions> = {}, store = makeStore()) {
  const rig = makeRig(options, store);
  const history = rig.store.history('room');
  const subscription = rig.client.subscribe('room:1', history, { last: 10 });
  rig.socket().welcome();
  rig.socket().subscribed('room:1');
  const view = history.window({ last: 100 });
  return { ...rig, history, subscription, view };
}

export const seqsOf = (rows: readonly Row[]): number[] => rows.map((row) => row.seq);
export const codesOf = (errors: Error[]): unknown[] => errors.map((error) => (error as RingfenceError).code);

/** The code of the RingfenceError it throws. */
export const codeOf = (action: () => unknown): unknown => codesOf([thrownBy(action)])[0];
function thrownBy(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  return new Error('nothing was thrown');
}
