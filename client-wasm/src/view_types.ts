// The public types of views, projections and queues. Nothing here does any work.
import type { Handle, History, Row } from './types.js';

/**
 * What `useSyncExternalStore` takes. Both functions are bound, and stay the same. A snapshot is immutable, and the same
 * object until something in it changes; after the end it is the last one there was.
 */
export interface Readable<S> {
  readonly subscribe: (listener: () => void) => Handle;
  readonly getSnapshot: () => S;
}

/** What a record has to fulfil: all that is given. Evaluated in WASM, on the bytes as they came. */
export interface ViewFilter {
  /** One of these types, exactly. 1 to 64. */
  readonly types?: readonly string[];
  /** The channel that feeds the history is one of these; `room:*` stands for all that begin with `room:`. 1 to 64. */
  readonly channels?: readonly string[];
  /**
   * Is contained in a value of the JSON (names of members are not searched), 1 to 128 characters. Capitals and small
   * letters are the same in ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic. Letters that the sender wrote as
   * `\uXXXX` are not found. Of a pushed value, `textOf` is searched.
   */
  readonly text?: string;
}

export interface ViewOptions {
  /** The most matches held, 1 to 1,000,000; the oldest leave first. 8 bytes each are set aside. Default 1,000. */
  readonly capacity?: number;
  /** The width of one of the 60 buckets of `rates()`, 10 to 3,600,000 ms. Default 1,000. */
  readonly rateBucketMs?: number;
}

/** Which matches a window of a view shows: the newest, or `limit` from the position `offset`, which trimming does not move. */
export type ViewSelector = { readonly last: number } | { readonly offset: number; readonly limit: number };

/** An immutable part of a view. */
export interface ViewSnapshot<T = unknown> {
  /** The selected rows, oldest first; the same objects as in windows of the history. Frozen. */
  readonly items: readonly Row<T>[];
  /** Position of `items[0]` (or where it would be): matches of this view before it, held or gone. */
  readonly offset: number;
  /** Matches held: positions `total - count` to `total - 1`. */
  readonly count: number;
  /** Matches there ever were. */
  readonly total: number;
  /** Matches behind the mark of `markRead()`, held or gone. */
  readonly unread: number;
  /** Rises with each snapshot of its window. */
  readonly version: number;
}

export interface TypeRate {
  /** `''`: all types beyond the first 32. */
  readonly type: string;
  /** Matches in the last 60 buckets, by the records' own times. */
  readonly count: number;
  readonly perSecond: number;
}

export interface ViewStats {
  readonly history: string;
  readonly capacity: number;
  readonly count: number;
  readonly highWaterMark: number;
  readonly total: number;
  readonly unread: number;
  /** Records looked at. */
  readonly scanned: number;
  /** Matches that left for newer ones. */
  readonly evictedByCapacity: number;
  /** Matches that left because the history let go of the record. */
  readonly evictedWithHistory: number;
  /** Records that had left the history before the view could look at them: batches larger than the history. */
  readonly unseen: number;
  readonly listeners: number;
}

/** The records of a history that match a filter, kept current as they come. Made by `view()`. Ends with its history. */
export interface View<T = unknown> extends Handle {
  readonly history: History<T>;
  /** Matches held. The last number there was, once ended. */
  readonly count: number;
  /** Matches behind the mark of `markRead()`. Clearing the history marks all of them. */
  readonly unread: number;
  /** @throws RangeError for a selector out of its bounds. Holds nothing in WASM: needs no end. */
  window(selector: ViewSelector): Readable<ViewSnapshot<T>>;
  /** Called after changes of this view's matches or mark, once a notification. */
  readonly subscribe: (listener: () => void) => Handle;
  /** Marks as read what is there up to `seq`, inclusive; all of it without one. A mark never goes back. */
  markRead(seq?: number): void;
  /** Of each type that came within the last 60 buckets, busiest first. */
  rates(): readonly TypeRate[];
  stats(): ViewStats;
}

/** Makes the next state of a row. It must be pure: it is called again for `rebuild()`, and for what is evicted. */
export type Reducer<S, T = unknown> = (state: S, row: Row<T>) => S;

export interface ProjectionStats {
  readonly history: string;
  /** Rows folded into the state. */
  readonly folded: number;
  /** Rows folded into the checkpoint, of which the history may let go. */
  readonly checkpointed: number;
  /** Rows at which the reducer threw: the state stayed as it was. */
  readonly reducerErrors: number;
  /** Rows that did not decode, and were left out. */
  readonly undecodable: number;
  readonly rebuilds: number;
  readonly listeners: number;
}

/**
 * The fold of a history, of which each row is folded as it comes: the rows that the history has evicted stay in it, by a
 * checkpoint. Made by `projection()`. Ends with its history.
 *
 * `getSnapshot()` gives what the reducer returned last: the same object while it returns what it was given. Listeners are
 * called when that changes.
 */
export interface Projection<S, T = unknown> extends Handle, Readable<S> {
  readonly history: History<T>;
  /** The state now. */
  readonly state: S;
  /**
   * Folds the rows that are held once more, on the checkpoint, with another reducer. What was evicted before stays as the
   * old one had folded it.
   */
  rebuild(reducer?: Reducer<S, T>): void;
  /** Begins anew from a state of your own, such as one with its messages cleared; rows so far are not folded again. */
  reset(state: S): void;
  stats(): ProjectionStats;
}

export interface QueueOptions {
  /** The most values held, 1 to 1,000,000. */
  readonly capacity: number;
  /** A push into a full queue: is refused (returns false), or evicts the oldest value. Default: `'refuse'`. */
  readonly full?: 'refuse' | 'evict';
}

export interface QueueStats {
  readonly name: string;
  readonly size: number;
  readonly capacity: number;
  readonly highWaterMark: number;
  readonly pushed: number;
  readonly refused: number;
  readonly evicted: number;
  readonly listeners: number;
}

/** Values in the order they came, at most `capacity`. Made by `store.queue()`. The snapshot is a frozen array of them. */
export interface Queue<T = unknown> extends Handle, Readable<readonly T[]>, Iterable<T> {
  readonly name: string;
  readonly capacity: number;
  readonly size: number;
  /** False, counted as refused, if the queue is full and refuses. */
  push(value: T): boolean;
  /** The oldest value, taken out; undefined if there is none. */
  shift(): T | undefined;
  /** The oldest value, left in. */
  peek(): T | undefined;
  clear(): void;
  stats(): QueueStats;
}
