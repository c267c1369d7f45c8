// What the tests share: a store without waiting, and a fake server behind a fake clock.
import { createStoreSync } from '../src/inline.js';
import type { CoreHandle } from '../src/core.js';
import type { HistoryImpl } from '../src/history.js';
import type { StoreImpl } from '../src/store.js';
import type { RingfenceError } from '../src/errors.js';
import type { Client, ClientOptions, History, Row, SocketLike, Store, StoreOptions, Timers } from '../src/types.js';
import { connect } from '../src/index.js';
import { encodeBatch } from '../../tests/vectors/encode.mjs';

export { encodeBatch };

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

/** A clock that runs when told to. */
export class FakeTimers implements Timers {
  #nowMs = 1_000_000;
  #nextId = 1;
  readonly #timers = new Map<number, { readonly dueMs: number; readonly callback: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  setTimeout(callback: () => void, ms: number): number {
    const id = this.#nextId++;
    this.#timers.set(id, { dueMs: this.#nowMs + ms, callback });
    return id;
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  get pending(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = [...this.#timers]
        .filter(([, timer]) => timer.dueMs <= untilMs)
        .sort((a, b) => a[1].dueMs - b[1].dueMs || a[0] - b[0])[0];
      if (!next) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1].dueMs);
      next[1].callback();
    }
    this.#nowMs = untilMs;
  }
}

type Json = Record<string, unknown>;

/** The server's end of one socket. */
export class FakeSocket implements SocketLike {
  binaryType = 'blob';
  protocol = '';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  readonly sent: Json[] = [];
  closed = false;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(data: string): void {
    if (this.closed) throw new Error('send on a closed socket');
    this.sent.push(JSON.parse(data) as Json);
  }

  close(): void {
    this.closed = true;
  }

  open(protocol = 'ringfence.v1'): void {
    this.protocol = protocol;
    this.onopen?.({} as never);
  }

  welcome(change: Json = {}): void {
    this.open();
    this.tell({
      op: 'welcome',
      connection: 'c1',
      protocol: 'ringfence.v1',
      server: 'ringfence/0.1.0',
      ping_interval_ms: 25_000,
      limits: { message_bytes: 65536, subscriptions: 128, frame_bytes: 262144, json_depth: 10 },
      ...change,
    });
  }

  tell(message: Json | string): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as never);
  }

  binary(bytes: Uint8Array<ArrayBuffer>): void {
    this.onmessage?.({ data: bytes.slice().buffer } as never);
  }

  /** Ends as a lost network would. */
  lose(code = 1006, reason = ''): void {
    this.closed = true;
    this.onclose?.({ code, reason } as never);
  }

  /** Those sent with this op, oldest first. */
  ops(op: string): Json[] {
    return this.sent.filter((message) => message['op'] === op);
  }

  /** Answers the newest subscribe of a channel. */
  subscribed(channel: string, change: Json = {}): void {
    const request = this.ops('subscribe')
      .filter((message) => message['channel'] === channel)
      .at(-1);
    if (!request) throw new Error(`no subscribe of ${channel}`);
    this.tell({
      op: 'subscribed',
      id: request['id'],
      channel,
      channel_id: 1,
      epoch: 'e1',
      first: 1,
      next: 1,
      after: 0,
      recovered: false,
      missed: 0,
      ...change,
    });
  }

  events(channelId: number, prev: number, seqs: number[]): void {
    this.binary(encodeBatch([{ channelId, prev, records: seqs.map((seq) => ({ seq, payload: `{"n":${seq}}` })) }]));
  }
}

export interface Rig {
  readonly store: StoreImpl;
  readonly client: Client;
  readonly timers: FakeTimers;
  readonly sockets: FakeSocket[];
  readonly errors: Error[];
  socket(): FakeSocket;
}

export function makeRig(options: Partial<ClientOptions> = {}, store = makeStore()): Rig {
  const timers = new FakeTimers();
  const sockets: FakeSocket[] = [];
  class Socket extends FakeSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const client = connect('ws://test/v1/ws', { store, WebSocket: Socket, timers, random: () => 0.5, ...options });
  const errors: Error[] = [];
  client.onError((error) => errors.push(error));
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
export function subscribedRig(options: Partial<ClientOptions> = {}) {
  const rig = makeRig(options);
  const history = rig.store.history('room');
  const subscription = rig.client.subscribe('room:1', history, { last: 10 });
  rig.socket().welcome();
  rig.socket().subscribed('room:1');
  const view = history.window({ last: 100 });
  return { ...rig, history, subscription, view };
}

export const seqsOf = (rows: readonly Row[]): number[] => rows.map((row) => row.seq);
export const codesOf = (errors: Error[]): unknown[] => errors.map((error) => (error as RingfenceError).code);
