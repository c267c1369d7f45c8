/// <reference lib="esnext.disposable" preserve="true" />
import type { ConnectionState, SubscribeOptions, Timers } from './client_types.js';
import type { Queue, QueueOptions } from './view_types.js';

export type * from './client_types.js';
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
  /** Ends it. Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
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
  /** What it is; each kind has a count in `store.handles()`, but for `persist`. */
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
  /** As its publisher named it, 1 to 255 bytes of UTF-8; of a pushed value what `typeOf` says. */
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
  | {
      /** The newest so many rows, 1 to 100,000. */
      readonly last: number;
    }
  | {
      /** The lowest seq shown, 0 to 2^53 - 1. */
      readonly from: number;
      /** The highest seq shown, 0 to 2^53 - 1; below `from` no row is. */
      readonly to: number;
    }
  | {
      /** The position of the first row, 0 to 2^53 - 1: how many records this history had before it. */
      readonly offset: number;
      /** The most rows, 0 to 100,000. */
      readonly limit: number;
    };

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
  /** Called once a notification in which the history has changed. @throws EndedError after the history's end */
  readonly subscribe: (listener: () => void) => Handle;
  /**
   * The rows now: the same object until something changes; after the history's end the last one that was read. Does not
   * throw.
   */
  readonly getSnapshot: () => Snapshot<T>;
}

/** What `store.history()` may be told. Anything out of its bounds is a `RangeError`. */
export interface HistoryOptions<T = unknown> {
  /** The most records held: from 1 to what the budget could hold of the smallest, of 32 bytes each. Default 1,000. */
  readonly capacity?: number;
  /** The most bytes held, whole segments counted: a number or e.g. `'1 MiB'`, from 4,096 to the store's `capacityBytes`. Default `'1 MiB'`. */
  readonly bytes?: number | string;
  /** Records older than this many milliseconds leave. Default: no limit. */
  readonly maxAge?: number;
  /** Makes the row's data of the parsed JSON; what it throws becomes the row's `error`, is counted, and told to `onError`. Default: the value itself. */
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

/** The counters of a history: since it was made, never reset. */
export interface HistoryStats {
  /** As declared. */
  readonly name: string;
  /** Records held now. */
  readonly held: number;
  /** The most records there have been at once. */
  readonly highWaterMark: number;
  /** The most records held, as declared. */
  readonly capacity: number;
  /** Of records held, padding included. */
  readonly heldBytes: number;
  /** Of segments, which is what `bytesMax` bounds. */
  readonly allocatedBytes: number;
  /** The most bytes of segments, as declared (`bytes`). */
  readonly bytesMax: number;
  /** The highest `allocatedBytes` there has been. */
  readonly highWaterMarkBytes: number;
  /** Records that were held and have left, by reason. */
  readonly evicted: Readonly<Record<EvictionReason, number>>;
  /** The sum of `evicted`. */
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
  /** Listeners that are live, those of windows, views and projections among them; 4,096 at the most. */
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
  /** How it is now: the same object until something changes. */
  readonly state: ConnectionState;
  /** Called after each change of `state`. @throws EndedError after its end */
  onState(listener: (state: ConnectionState) => void): Handle;
}

/** What `useSubscription` asks: a `Client`, or one that lives in a worker, whose histories are of that worker too. */
export interface SubscriptionSource<H = History<unknown>> {
  /** Sends the channel's records into the history until the handle ends. @throws EndedError after the end of either */
  subscribe(channel: string, history: H, options?: SubscribeOptions): Handle;
}

/**
 * A channel's records in WASM memory. Made by `store.history()`.
 * Once it has ended, what is not its `name`, `end()` or a snapshot throws `EndedError`.
 */
export interface History<T = unknown> {
  /** Ends it, as `end()`. */
  (): void;
  /** As declared: 1 to 256 characters, another one for each history of a store. */
  readonly name: string;
  /** Records held. @throws EndedError after its end */
  readonly size: number;
  /** Records that have left, by reason. @throws EndedError after its end */
  readonly evicted: Readonly<Record<EvictionReason, number>>;
  /** The most records there have been at once. @throws EndedError after its end */
  readonly highWaterMark: number;
  /**
   * Adds a value, which comes back as `row.data`: the very same object. Returns the row's seq.
   * @throws RangeError for a type, time or size out of its bounds; what `typeOf`, `sizeOf`, `textOf` throw
   * @throws RingfenceError `record_too_large` (above `bytes`), `memory_full`, `seq_exhausted` (a million pushes between two
   * records of the channel), `reducing` (by a reducer of this history). What throws has added nothing.
   * @throws EndedError after its end
   */
  push(value: T, options?: PushOptions): number;
  /**
   * Adds all of them, or none where one is out of its bounds or too large. Returns the seq of the last one; `lastSeq` if there is none.
   * @throws as `push`. Only after `memory_full` and `seq_exhausted` those before the one that was refused are there.
   * @throws as `push()`; `memory_full` and `seq_exhausted` may come when some of them have been added
   */
  pushMany(values: Iterable<T>, options?: PushOptions): number;
  /**
   * The newest n rows, oldest first; 0 gives none. n: 0 to 100,000.
   * @throws RangeError for another n
   * @throws EndedError after its end
   */
  last(n: number): readonly Row<T>[];
  /**
   * As `Array.prototype.slice` of all rows held; at most 100,000.
   * @throws RangeError for what is no whole number, or more rows
   * @throws EndedError after its end
   */
  slice(start?: number, end?: number): readonly Row<T>[];
  /**
   * The oldest row for which it returns true. What it throws is told to `onError` and counted; that row does not match.
   * @throws EndedError after its end
   */
  find(predicate: (row: Row<T>) => boolean): Row<T> | undefined;
  /**
   * The rows, oldest first, decoded as they are asked for. Rows may come and go meanwhile.
   * @throws EndedError if it has ended when the first is asked for; one that ends meanwhile ends them
   */
  [Symbol.iterator](): IterableIterator<Row<T>>;
  /**
   * Called once a notification with how many rows have left at the head, so that a virtual list can keep its place.
   * @throws as `subscribe()`
   */
  onTrim(listener: (count: number) => void): Handle;
  /**
   * Rows for `useSyncExternalStore`.
   * @throws RangeError for a selector out of its bounds
   * @throws EndedError after its end
   */
  window(selector: Selector): Window<T>;
  /**
   * The row of one record; undefined if it is not held.
   * @throws RangeError unless it is from 0 to 2^53 - 1
   * @throws EndedError after its end
   */
  at(seq: number): Row<T> | undefined;
  /**
   * Called after changes, once a notification.
   * @throws RingfenceError `too_many_subscriptions` above 4,096, `memory_full`
   * @throws EndedError after its end
   */
  subscribe(listener: () => void): Handle;
  /** Its counters, read from WASM. @throws EndedError after its end */
  stats(): HistoryStats;
  /**
   * Evicts all records. The place in the channel stays: what was cleared does not come again. Projections keep their state.
   * @throws RingfenceError `reducing` by a reducer
   * @throws EndedError after its end
   */
  clear(): void;
  /** Ends the history and its listeners, and gives its memory back to the store. Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
}

/** What `createStore()` may be told. Anything out of its bounds is a `RangeError`. */
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
  /**
   * Told of what a listener, reducer or predicate threw, and of each reading of rows the first error of one that did not decode.
   * Default: `reportError`, so that it reaches `window.onerror`.
   */
  readonly onError?: (error: unknown) => void;
  /**
   * In development: told once of each handle that was garbage-collected without its end. What it stood for stays until
   * its owner ends. Default: `console.warn` with the stack of where it was made.
   */
  readonly onLeak?: (leaked: LiveHandle) => void;
  /** The clock of `maxAge`, `ttl`, pushed values and, unless they have their own, clients. Default: the page's. For tests. */
  readonly timers?: Timers;
}

/** How many handles are live, by kind. All zero but for what is in use: a leak shows here. `liveHandles()` lists each. */
export interface HandleCounts {
  /** Histories that have not ended. */
  readonly histories: number;
  /** Listeners: of histories, as the WASM side counts them, and of queues and keyed maps. */
  readonly listeners: number;
  /** Channels that feed a history, as the WASM side counts them. */
  readonly routes: number;
  /** Connections that have not ended, whether they are open or not. */
  readonly clients: number;
  /** `client.subscribe()` handles. */
  readonly subscriptions: number;
  /** Listeners of clients. */
  readonly clientListeners: number;
  /** What `view()` made, and components of `useView`. */
  readonly views: number;
  /** What `projection()` made, and components of `useProjection`. */
  readonly projections: number;
  /** What `store.queue()` made. */
  readonly queues: number;
  /** What `keyed()` made. */
  readonly keyed: number;
  /** Handles of ringfence/presence and their listeners. */
  readonly presences: number;
  /** The sum of all of these. */
  readonly total: number;
}

/** The counters of a store: since it was made, never reset. Histories that have ended stay counted. */
export interface StoreStats {
  /** The most WASM memory, as declared (whole pages). */
  readonly budgetBytes: number;
  /** WASM memory now. Never shrinks, never passes the budget. */
  readonly memoryBytes: number;
  /** Of segments of all histories. */
  readonly usedBytes: number;
  /** The highest `usedBytes` there has been. */
  readonly highWaterMarkBytes: number;
  /** The most that segments may take; the sum of the declared `bytes` stays within it. */
  readonly capacityBytes: number;
  /** Set aside by the `bytes` of histories and by views and keyed maps that are live. */
  readonly declaredBytes: number;
  /** Batches taken. */
  readonly batches: number;
  /** Records taken into histories, pushed values included. */
  readonly records: number;
  /** Bytes of the batches taken. */
  readonly batchBytes: number;
  /** Records that their history had already: skipped. */
  readonly duplicates: number;
  /** Records too large for their history. */
  readonly refusedRecords: number;
  /** Records of channels that nobody is subscribed to any more. */
  readonly unrouted: number;
  /** Records that should have come before others and were not announced as missed. */
  readonly holes: number;
  /** Batches that did not validate, or did not fit: nothing of them was taken. */
  readonly refusedBatches: number;
  /** Refused batches by error code. Only codes that occurred. */
  readonly refusedBatchesByCode: Readonly<Record<string, number>>;
  /** How many errors were told to `onError`. */
  readonly listenerErrors: number;
  /** Times that listeners were called: once a frame or microtask at the most. */
  readonly notifications: number;
  /** As `store.handles()`. */
  readonly handles: HandleCounts;
  /** Handles that were garbage-collected without their end. Counted in development only; 0 in production. */
  readonly collectedHandles: number;
}

/**
 * WASM memory with a fixed maximum, and the histories in it. Made by `createStore()`.
 * Once it has ended, `history()`, `queue()` and `stats()` throw `EndedError`.
 */
export interface Store {
  /**
   * Declares a history. Its `bytes` are set aside at once: one that does not fit is refused here, not later.
   * @throws RangeError for an option out of its bounds, or above what the whole budget could hold
   * @throws RingfenceError `over_budget` (beside the others, or more than 4,096 histories), `duplicate_name`, `memory_full` (listeners and histories took what is not records)
   * @throws EndedError after its end
   */
  history<T = unknown>(name: string, options?: HistoryOptions<T>): History<T>;
  /** The histories that have not ended, oldest first. */
  histories(): readonly History[];
  /**
   * A bounded first-in first-out queue of values, in JavaScript's memory.
   * @throws RangeError for an option out of its bounds
   * @throws RingfenceError `duplicate_name`, `too_many_handles` (65,536 of a store)
   * @throws EndedError after its end
   */
  queue<T = unknown>(name: string, options: QueueOptions): Queue<T>;
  /** The live counts, for tests of leaks. */
  handles(): HandleCounts;
  /** Each live handle with its kind, owner and, in development, the stack of where it was made. Oldest first. */
  liveHandles(): readonly LiveHandle[];
  /** Its counters, read from WASM. @throws EndedError after its end */
  stats(): StoreStats;
  /** Ends every history, listener and client. The memory is free once the page lets go of the store. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
}
