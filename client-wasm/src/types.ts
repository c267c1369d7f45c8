/// <reference lib="esnext.disposable" preserve="true" />
import type { Queue, QueueOptions } from './view_types.js';

export type * from './keyed_types.js';
export type * from './view_types.js';

// The public types of the package. Units: `bytes` are bytes, `...Ms` milliseconds, `time` milliseconds since 1970-01-01
// (with the server's microseconds as a fraction). Nothing here does any work.

/**
 * What ends something. Call it, `end()` it or declare it with `using`; again does nothing.
 *
 * Histories, clients, views, projections, queues and keyed maps are called without an argument for that. With one a call gives
 * the thing itself and ends nothing, so that `setState(history)` of React, which calls functions, keeps it.
 */
export interface Handle {
  (): void;
  end(): void;
  [Symbol.dispose](): void;
  /** False once ended. */
  readonly active: boolean;
}

/** What a live handle is. `view`, `projection`, `queue`, `keyed`: made by a history or store, and ended with it. */
export type HandleKind =
  | 'history'
  | 'listener'
  | 'client'
  | 'subscription'
  | 'clientListener'
  | 'view'
  | 'projection'
  | 'queue'
  | 'keyed'
  | 'presence'
  | (string & {});

/** One live handle, as `store.liveHandles()` lists it. Frozen; the same object for as long as it lives. */
export interface LiveHandle {
  readonly kind: HandleKind;
  /** Its own name: of a history or channel, the address of a client; `''` of a listener. */
  readonly name: string;
  /** What ends it with itself: `store`, `history "chat"` or `client "wss://..."`. */
  readonly owner: string;
  /** Where it was made. In development only (`process.env.NODE_ENV` is not `production`). */
  readonly stack: string | undefined;
}

/** One event, decoded. Frozen; the same object for as long as anybody holds it and the history has the record. */
export interface Row<T = unknown> {
  /**
   * A stable key for lists, rising. The record's number in its channel and epoch. Of a pushed value: 1, 2, 3... in a history
   * that no channel feeds; else that of the channel's record before it with a fraction, so that it never stands for one.
   */
  readonly seq: number;
  /** When the server took it: milliseconds since 1970-01-01, as `Date.now()`. */
  readonly time: number;
  readonly type: string;
  /** What `decode` made of the payload. Undefined where that failed: see `error`. */
  readonly data: T;
  /** Why the payload did not decode; counted in `stats().undecodable`. */
  readonly error?: Error;
}

/**
 * Which records a window shows:
 * `{ last: n }` the newest n (1 to 100,000); `{ from, to }`, whole numbers: those from `from` to `to`, and what was pushed behind `to` (at most 100,000, the newest);
 * `{ offset, limit }` up to `limit` (0 to 100,000) from an absolute position, which trimming does not move.
 */
export type Selector =
  | { readonly last: number }
  | { readonly from: number; readonly to: number }
  | { readonly offset: number; readonly limit: number };

/** An immutable view of a history. The same object until something in it changes. */
export interface Snapshot<T = unknown> {
  /** The selected rows, oldest first. Frozen, and the same array while no row of it changes. */
  readonly items: readonly Row<T>[];
  /** Position of `items[0]` (or where it would be): records of this history before it, held or evicted. */
  readonly offset: number;
  /** Of the oldest record held; 0 if none. */
  readonly firstSeq: number;
  /** How far the history is in its channel: the newest record held, or a later one known to be missed; 0 if none. */
  readonly lastSeq: number;
  /** Records held. Positions `evicted` to `evicted + size - 1` can be shown. */
  readonly size: number;
  /** Records that were held and have left: also the position of the oldest one held. */
  readonly evicted: number;
  /** Records of the channel that never came, as far as their number is known; without the `conflated`. */
  readonly missed: number;
  /** Records that the server skipped because only the latest of this channel counts and this reader was slow. */
  readonly conflated: number;
  /** Rises with each snapshot of its window. */
  readonly version: number;
}

/** A selector's snapshots, in the form `useSyncExternalStore` takes. Holds nothing in WASM: needs no end. */
export interface Window<T = unknown> {
  readonly subscribe: (listener: () => void) => Handle;
  readonly getSnapshot: () => Snapshot<T>;
}

export interface HistoryOptions<T = unknown> {
  /** The most records held, 1 to 2^32 - 1. Default 1,000. */
  readonly capacity?: number;
  /** The most bytes held, whole segments counted: a number or e.g. `'1 MiB'`, at least 4,096. Default `'1 MiB'`. */
  readonly bytes?: number | string;
  /** Records older than this many milliseconds leave. Default: no limit. */
  readonly maxAge?: number;
  /** Makes the row's data of the parsed JSON; what it throws becomes the row's `error`. Default: the value itself. */
  readonly decode?: (value: unknown, type: string) => T;
  /** The type of a pushed value, 1 to 255 bytes. Default: `'pushed'`. */
  readonly typeOf?: (value: T) => string;
  /**
   * How many bytes a pushed value is charged against `bytes`, beside the 40 or so of its entry: a whole number from 0 to
   * 2^31. The value lies in JavaScript's memory, so this is as exact as you make it. Default: 256 for each.
   */
  readonly sizeOf?: (value: T) => number;
  /** What a view's `text` searches in a pushed value; kept in WASM, and charged. Default: nothing. */
  readonly textOf?: (value: T) => string;
}

/** What `push` may be told of one value. */
export interface PushOptions {
  /** Instead of `typeOf`. */
  readonly type?: string;
  /** Milliseconds since 1970-01-01, 0 to 2^43. Default: now. */
  readonly time?: number;
}

/** Why records left a history. */
export type EvictionReason = 'records' | 'bytes' | 'age' | 'pressure' | 'cleared';

export interface HistoryStats {
  readonly name: string;
  readonly held: number;
  /** The most records there have been at once. */
  readonly highWaterMark: number;
  readonly capacity: number;
  /** Of records held, padding included. */
  readonly heldBytes: number;
  /** Of segments, which is what `bytesMax` bounds. */
  readonly allocatedBytes: number;
  readonly bytesMax: number;
  /** The highest `allocatedBytes` there has been. */
  readonly highWaterMarkBytes: number;
  readonly evicted: Readonly<Record<EvictionReason, number>>;
  readonly evictedTotal: number;
  /** Records that never came and whose number is known: announced by the server, or seen as a hole. */
  readonly missed: number;
  /** Times the server could not tell how many were missed (another epoch). */
  readonly missedUnknown: number;
  /** Records skipped in favour of the channel's latest, as its policy `conflate` says. Not in `missed`. */
  readonly conflated: number;
  /** Records that the history had already: skipped. */
  readonly duplicates: number;
  /** Records too large for this history. */
  readonly refused: number;
  /** Rows whose payload did not decode. */
  readonly undecodable: number;
  readonly listeners: number;
}

/** What `useHistory` and `useCount` show: a `History`, or one that lives in a worker (`ringfence/worker`). */
export interface WindowSource<T = unknown> {
  /** Rows for `useSyncExternalStore`. @throws RangeError for a selector out of its bounds. */
  window(selector: Selector): Window<T>;
  /** Called after changes, once a notification. */
  subscribe(listener: () => void): Handle;
}

/** What `useConnection` shows: a `Client`, or one that lives in a worker. */
export interface ConnectionSource {
  readonly state: ConnectionState;
  onState(listener: (state: ConnectionState) => void): Handle;
}

/** What `useSubscription` asks: a `Client`, or one that lives in a worker, whose histories are of that worker too. */
export interface SubscriptionSource<H = History<unknown>> {
  subscribe(channel: string, history: H, options?: SubscribeOptions): Handle;
}

/** A channel's records in WASM memory. Made by `store.history()`. */
export interface History<T = unknown> {
  /** Ends it, as `end()`. */
  (): void;
  readonly name: string;
  /** Records held. */
  readonly size: number;
  /** Records that have left, by reason. */
  readonly evicted: Readonly<Record<EvictionReason, number>>;
  /** The most records there have been at once. */
  readonly highWaterMark: number;
  /**
   * Adds a value, which comes back as `row.data`: the very same object. Returns the row's seq.
   * @throws RangeError for a type, time or size out of its bounds; what `typeOf`, `sizeOf`, `textOf` throw
   * @throws RingfenceError `record_too_large` (above `bytes`), `memory_full`, `seq_exhausted` (a million pushes between two
   * records of the channel), `reducing` (by a reducer of this history). What throws has added nothing.
   */
  push(value: T, options?: PushOptions): number;
  /** Adds all of them or, where one is refused, none. Returns the seq of the last one; `lastSeq` if there is none. */
  pushMany(values: Iterable<T>, options?: PushOptions): number;
  /** The newest n rows, oldest first; 0 gives none. n: 0 to 100,000. */
  last(n: number): readonly Row<T>[];
  /** As `Array.prototype.slice` of all rows held; at most 100,000. */
  slice(start?: number, end?: number): readonly Row<T>[];
  /** The oldest row for which it returns true. What it throws is told to `onError` and counted; that row does not match. */
  find(predicate: (row: Row<T>) => boolean): Row<T> | undefined;
  /** The rows, oldest first, decoded as they are asked for. Rows may come and go meanwhile. */
  [Symbol.iterator](): IterableIterator<Row<T>>;
  /** Called once a notification with how many rows have left at the head, so that a virtual list can keep its place. */
  onTrim(listener: (count: number) => void): Handle;
  /** Rows for `useSyncExternalStore`. @throws RangeError for a selector out of its bounds. */
  window(selector: Selector): Window<T>;
  /** The row of one record; undefined if it is not held. */
  at(seq: number): Row<T> | undefined;
  /** Called after changes, once a notification. @throws RingfenceError `too_many_subscriptions` above 4,096, `memory_full`. */
  subscribe(listener: () => void): Handle;
  stats(): HistoryStats;
  /** Evicts all records. The place in the channel stays: what was cleared does not come again. Projections keep their state. */
  clear(): void;
  /** Ends the history and its listeners, and gives its memory back to the store. Again: nothing. */
  end(): void;
  [Symbol.dispose](): void;
}

export interface StoreOptions {
  /** The most WASM memory, for good: a number of bytes or e.g. `'16 MiB'`. 1 MiB to 2 GiB, counted in pages of 64 KiB. */
  readonly budget: number | string;
  /**
   * The WASM, if not the `core.wasm` beside the package's own files: its address, a response of it, its bytes, or a
   * compiled module (which a platform without run-time compilation needs).
   */
  readonly wasm?: string | URL | Response | Promise<Response> | WebAssembly.Module | BufferSource;
  /** When listeners are called: once an animation frame (default where there are frames) or a microtask. */
  readonly notify?: 'frame' | 'microtask';
  /** The largest batch taken, 4 KiB to 16 MiB; part of the budget. Default: 1 MiB, at most an eighth of the budget. */
  readonly batchBytes?: number | string;
  /** Told of what a listener threw. Default: `reportError`, so that it reaches `window.onerror`. */
  readonly onError?: (error: unknown) => void;
  /**
   * In development: told once of each handle that was garbage-collected without its end. What it stood for stays until
   * its owner ends. Default: `console.warn` with the stack of where it was made.
   */
  readonly onLeak?: (leaked: LiveHandle) => void;
  /** The clock of `maxAge`, `ttl`, pushed values and, unless they have their own, clients. Default: the page's. For tests. */
  readonly timers?: Timers;
}

/** Live handles by kind. All zero but for what is in use: a leak shows here. */
export interface HandleCounts {
  readonly histories: number;
  /** Listeners of histories, as the WASM side counts them. */
  readonly listeners: number;
  /** Channels that feed a history, as the WASM side counts them. */
  readonly routes: number;
  readonly clients: number;
  /** `client.subscribe()` handles. */
  readonly subscriptions: number;
  /** Listeners of clients. */
  readonly clientListeners: number;
  readonly views: number;
  readonly projections: number;
  readonly queues: number;
  readonly keyed: number;
  /** Handles of ringfence/presence and their listeners. */
  readonly presences: number;
  readonly total: number;
}

export interface StoreStats {
  /** The most WASM memory, as declared (whole pages). */
  readonly budgetBytes: number;
  /** WASM memory now. Never shrinks, never passes the budget. */
  readonly memoryBytes: number;
  /** Of segments of all histories. */
  readonly usedBytes: number;
  readonly highWaterMarkBytes: number;
  /** The most that segments may take; the sum of the declared `bytes` stays within it. */
  readonly capacityBytes: number;
  readonly declaredBytes: number;
  readonly batches: number;
  /** Records taken into a history. */
  readonly records: number;
  readonly batchBytes: number;
  readonly duplicates: number;
  /** Records too large for their history. */
  readonly refusedRecords: number;
  /** Records of channels that nobody is subscribed to any more. */
  readonly unrouted: number;
  /** Records that should have come before others and were not announced as missed. */
  readonly holes: number;
  readonly refusedBatches: number;
  /** Refused batches by error code. Only codes that occurred. */
  readonly refusedBatchesByCode: Readonly<Record<string, number>>;
  /** Exceptions thrown by listeners, reducers and predicates. */
  readonly listenerErrors: number;
  readonly notifications: number;
  readonly handles: HandleCounts;
  /** Handles that were garbage-collected without their end. Counted in development only; 0 in production. */
  readonly collectedHandles: number;
}

/** WASM memory with a fixed maximum, and the histories in it. Made by `createStore()`. */
export interface Store {
  /**
   * Declares a history. Its `bytes` are set aside at once: one that does not fit is refused here, not later.
   * @throws RangeError for an option out of its bounds
   * @throws RingfenceError `over_budget`, `duplicate_name`, `memory_full` (listeners and histories took what is not records)
   */
  history<T = unknown>(name: string, options?: HistoryOptions<T>): History<T>;
  /** The histories that have not ended, oldest first. */
  histories(): readonly History[];
  /**
   * A bounded first-in first-out queue of values, in JavaScript's memory.
   * @throws RangeError for an option out of its bounds
   * @throws RingfenceError `duplicate_name`
   */
  queue<T = unknown>(name: string, options: QueueOptions): Queue<T>;
  /** The live counts, for tests of leaks. */
  handles(): HandleCounts;
  /** Each live handle with its kind, owner and, in development, the stack of where it was made. Oldest first. */
  liveHandles(): readonly LiveHandle[];
  stats(): StoreStats;
  /** Ends every history, listener and client. The memory is free once the page lets go of the store. */
  end(): void;
  [Symbol.dispose](): void;
}

export type ConnectionStatus =
  /** A socket is being opened. */
  | 'connecting'
  /** Greeted by the server. */
  | 'open'
  /** Lost; the next attempt comes in `retryInMs`. */
  | 'waiting'
  /**
   * Lost, and the browser says that there is no network: the next attempt comes when it says that there is one again (or five
   * minutes later, should it be wrong). Not for a server on this machine.
   */
  | 'offline'
  /**
   * `disconnect()` was called, or the server has asked not to come back (`lastClose` says why, such as
   * `session_replaced`); `reconnect()` goes on.
   */
  | 'stopped'
  /** `end()` was called. */
  | 'closed';

/** How the last reconnect went, all channels together. */
export interface Resume {
  /** Records that came late, after the reconnect. */
  readonly replayed: number;
  /** Records that are gone; null where the server could not tell (another epoch). */
  readonly missed: number | null;
  readonly channels: number;
  /** "nothing missed", "replayed 12", "missed 3" or "missed an unknown number". */
  readonly text: string;
}

/** How one channel went on where its history was: told once its replay is here, so the numbers are what happened. Frozen. */
export interface ChannelResume {
  readonly channel: string;
  /** `missed` goes before `replayed`: see both numbers. */
  readonly outcome: 'nothing missed' | 'replayed' | 'missed';
  /** Records that came late. */
  readonly replayed: number;
  /** Records that are gone: exact, or null where the server cannot know (another epoch). */
  readonly missed: number | null;
  /** "nothing missed", "replayed 12", "missed 3" or "missed an unknown number". */
  readonly text: string;
}

/** Immutable; another object after each change. */
export interface ConnectionState {
  readonly status: ConnectionStatus;
  /** Until the next attempt, told anew each second; 0 unless `waiting`. */
  readonly retryInMs: number;
  /** Failed attempts in a row. */
  readonly attempt: number;
  /** Of the last reconnect; undefined before the first one. */
  readonly lastResume: Resume | undefined;
  /** The server's name of this connection; undefined unless `open`. */
  readonly connection: string | undefined;
  /** Why the last connection ended, in a few words; undefined while none has. */
  readonly lastClose: string | undefined;
}

export interface ClientStats {
  readonly connects: number;
  readonly messages: number;
  readonly binaryMessages: number;
  readonly receivedBytes: number;
  readonly sentMessages: number;
  /** Text messages that were not what the protocol says. */
  readonly refusedMessages: number;
  /** Batches that did not validate; by code in `store.stats()`. */
  readonly refusedBatches: number;
  /** Errors told by the server, and all others that `onError` told. */
  readonly errors: number;
  readonly listenerErrors: number;
  /** Times that records were told to be gone before they could be sent; without those `conflated`. */
  readonly gaps: number;
  readonly unacknowledged: number;
  readonly refusedPublishes: number;
  /** Publishes not sent yet: there is no connection, or the server asked to wait. */
  readonly waitingPublishes: number;
  /** Times a publish was refused for now (`rate_limited`, `overloaded`) and put back. */
  readonly delayedPublishes: number;
  /** Times a subscribe or unsubscribe was refused for now (`rate_limited`, `overloaded`) and put back. */
  readonly delayedSubscribes: number;
  readonly tokenRefreshes: number;
  readonly channels: number;
}

/** The part of a WebSocket that the client uses. */
export interface SocketLike {
  binaryType: string;
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** A clock, for tests. `now` in milliseconds. */
export interface Timers {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

export interface ClientOptions {
  /** Where the records go. */
  readonly store: Store;
  /** Sent as the sub-protocol `bearer.<token>`; a function is asked before each attempt, and before the token (a JWT with
   * `exp`) expires: the new one goes to the server without a reconnect. */
  readonly token?: string | (() => string | Promise<string>);
  /** Default: `globalThis.WebSocket`. */
  readonly WebSocket?: SocketConstructor;
  /** Before attempt n a random time up to min(maxMs, baseMs * 2^n). Defaults 1,000 and 30,000. */
  readonly backoff?: { readonly baseMs?: number; readonly maxMs?: number };
  /** Silence after which the connection counts as dead: a ping goes out at half of it. Default: 2.4 x the server's ping interval. */
  readonly silenceMs?: number;
  /** How long an attempt may take until the server has greeted. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /**
   * Whether to ask the server by HTTP why it has refused a handshake, of which a browser tells nothing: one `GET info` beside
   * the socket's address (`/v1/info`) with the same token, and not again before it has greeted or refused another token. A
   * 401 is told to `onError` with the server's code, such as `token_expired`, which is also `state.lastClose`. Needs the same
   * origin, or CORS headers of a proxy. Default: true unless `WebSocket` is given.
   */
  readonly askWhy?: boolean;
  /** Publishes without an answer, at most; further ones are refused. Default 256. */
  readonly publishesMax?: number;
  /** How long a publish may go without an answer, 1 to 86,400,000. Default 30,000. */
  readonly publishTimeoutMs?: number;
  /** Publishes that may wait for a connection, 0 to 65,536; further ones are refused (`offline_full`). Default 0: `not_connected`. */
  readonly offlineMax?: number;
  /** And their bytes in all: a number or e.g. `'256 KiB'`. Default `'256 KiB'`. */
  readonly offlineBytes?: number | string;
  /** 0 <= random() < 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Default: that of the store. */
  readonly timers?: Timers;
}

export interface SubscribeOptions {
  /** How many records before now to begin with, 0 to 2^32 - 1. Default 0. A resume does not need it. */
  readonly last?: number;
}

/** Which records of a channel `client.history()` asks for. */
export interface PageOptions {
  /** Records behind this seq, the oldest first. Default 0: from the oldest that the server holds. */
  readonly after?: number;
  /** At most so many, 1 to 1,000. The server may give fewer: see `more`. Default 100. */
  readonly limit?: number;
  /** The epoch that `after` is of; where the channel is in another, the answer begins with the oldest held. */
  readonly epoch?: string;
}

/** An answer of `client.history()`. Frozen. */
export interface HistoryPage {
  readonly channel: string;
  readonly epoch: string;
  /** Seq of the oldest record that the server holds; `next` if it holds none. */
  readonly first: number;
  /** Seq that the next record will have. */
  readonly next: number;
  /** Records after `after` that the server holds no longer; null in another epoch. */
  readonly missed: number | null;
  /** Whether records remain behind the last one given. */
  readonly more: boolean;
  /** Oldest first; `data` as parsed, without a history's `decode`. */
  readonly events: readonly Row[];
}

/** A channel that feeds a history. */
export interface ChannelSubscription extends Handle {
  readonly channel: string;
  /**
   * `refused`: the server said no, or has ended it (`forbidden`: a refreshed token no longer covers it); told by `onError`, and
   * asked again after a reconnect. What it refuses for now (`rate_limited`, `overloaded`) stays `pending` and is asked again.
   */
  readonly state: 'pending' | 'active' | 'refused' | 'ended';
}

/** A connection that keeps itself alive. Made by `connect()`. */
export interface Client {
  /** Ends it, as `end()`. */
  (): void;
  readonly url: string;
  /** Immutable, the same object until something changes. */
  readonly state: ConnectionState;
  /**
   * Sends a channel's records into a history until the last handle of the pair ends. One channel feeds one history.
   * A history that was fed by the channel before goes on where it was.
   * @throws RangeError for a channel's name or an option out of bounds
   * @throws RingfenceError `already_subscribed` (the channel feeds another history), `already_attached` (the other way round)
   */
  subscribe(channel: string, history: History<unknown>, options?: SubscribeOptions): ChannelSubscription;
  /**
   * Resolves once the server has taken it. At most once: what was sent and has no answer when the connection is lost is
   * rejected with `connection_lost`, never sent again. What the server refuses for now (`rate_limited`, `overloaded`) waits
   * as long as it asks and goes again in its old order, one at a time. Without a connection up to `offlineMax` wait.
   * @throws (rejects) RingfenceError `not_connected`, `offline_full`, `ended` (not sent before `end()`), `too_many_publishes`,
   * `message_too_large`, `bad_json` (deeper than the server takes), `connection_lost` or `no_answer` (whether it was taken
   * is not known), or the server's code.
   */
  publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }>;
  /**
   * Records that the server holds of a channel, whether subscribed to or not. They go into no history: they are the caller's.
   * At most 64 may wait for their answer, each for `publishTimeoutMs`.
   * @throws (rejects) RangeError for an argument out of its bounds; RingfenceError `not_connected`, `too_many_requests`,
   * `connection_lost`, `no_answer`, or the server's code: `no_such_channel`, `seq_in_future`
   */
  history(channel: string, options?: PageOptions): Promise<HistoryPage>;
  /** After each change of `state`. */
  onState(listener: (state: ConnectionState) => void): Handle;
  /** What went wrong and had no caller to tell: refused subscriptions, bad frames, lost connections. */
  onError(listener: (error: Error) => void): Handle;
  /**
   * How each channel went on, after each reconnect and whenever a history comes back to its channel.
   *
   * ```ts
   * client.onResume(({ channel, text }) => console.log(`${channel}: ${text}`)); // room:1: replayed 12
   * ```
   */
  onResume(listener: (resume: ChannelResume) => void): Handle;
  stats(): ClientStats;
  /**
   * Looks at the connection now: one that is open has 5 s to answer a ping, one that is waiting is tried at once (not before the
   * server allows it, nor twice in a second). Called by itself when a page is seen again, or goes online or offline.
   */
  check(): void;
  /** Drops the socket as a lost network would; it reconnects with the usual backoff. */
  cut(): void;
  /** Closes until `reconnect()`. */
  disconnect(): void;
  /** Connects at once, also while waiting. */
  reconnect(): void;
  /** Ends the connection, every subscription and listener. Again: nothing. */
  end(): void;
  [Symbol.dispose](): void;
  /** The same; resolves once the socket has closed, 2 s later at the latest. For `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
