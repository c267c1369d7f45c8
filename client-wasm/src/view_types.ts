// The public types of views, projections and queues. Nothing here does any work.
import type { Handle, History, Row } from './types.js';

/**
 * What `useSyncExternalStore` takes. Both functions are bound, and stay the same. A snapshot is immutable, and the same
 * object until something in it changes; after the end it is the last one that was read.
 */
export interface Readable<S> {
  /** Called after changes, once a notification. @throws EndedError after the end of what is read */
  readonly subscribe: (listener: () => void) => Handle;
  /** How it is now: the same object until something changes. Does not throw. */
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

/** What `view()` may be told. */
export interface ViewOptions {
  /** The most matches held, 1 to 1,000,000; the oldest leave first. 8 bytes each are set aside. Default 1,000. */
  readonly capacity?: number;
  /** The width of one of the 60 buckets of `rates()`, 10 to 3,600,000 ms. Default 1,000. */
  readonly rateBucketMs?: number;
}

/** Which matches a window of a view shows: the newest, or `limit` from the position `offset`, which trimming does not move. */
export type ViewSelector =
  | {
      /** The newest so many matches, 1 to 100,000. */
      readonly last: number;
    }
  | {
      /** The position of the first match, 0 to 2^53 - 1: how many matches this view had before it. */
      readonly offset: number;
      /** The most matches, 0 to 100,000. */
      readonly limit: number;
    };

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

/** How often records of one type came. */
export interface TypeRate {
  /** `''`: all types beyond the first 32. */
  readonly type: string;
  /** Matches in the last 60 buckets, by the records' own times. */
  readonly count: number;
  /** `count` by second, over all 60 buckets. */
  readonly perSecond: number;
}

/** The counters of a view: since it was made, never reset, but for what is so now. */
export interface ViewStats {
  /** The name of the history. */
  readonly history: string;
  /** The most matches held, as declared. */
  readonly capacity: number;
  /** Matches held now. */
  readonly count: number;
  /** The most matches there have been at once. */
  readonly highWaterMark: number;
  /** Matches there ever were. */
  readonly total: number;
  /** Matches behind the mark of `markRead()`, held or gone. */
  readonly unread: number;
  /** Records looked at. */
  readonly scanned: number;
  /** Matches that left for newer ones. */
  readonly evictedByCapacity: number;
  /** Matches that left because the history let go of the record. */
  readonly evictedWithHistory: number;
  /** Records that had left the history before the view could look at them: batches larger than the history. */
  readonly unseen: number;
  /** Listeners that are live, those of its windows among them. */
  readonly listeners: number;
}

/** The records of a history that match a filter, kept current as they come. Made by `view()`. Ends with its history. */
export interface View<T = unknown> extends Handle {
  /** What it is a view of. */
  readonly history: History<T>;
  /** Matches held. The last number that was read, once ended. */
  readonly count: number;
  /** Matches behind the mark of `markRead()`. Clearing the history marks all of them. */
  readonly unread: number;
  /**
   * Matches for `useSyncExternalStore`. Holds nothing in WASM: needs no end.
   * @throws RangeError for a selector out of its bounds
   * @throws EndedError after its end
   */
  window(selector: ViewSelector): Readable<ViewSnapshot<T>>;
  /**
   * Called after changes of this view's matches or mark, once a notification.
   * @throws RingfenceError `too_many_subscriptions` above 4,096 of the history, `memory_full`
   * @throws EndedError after its end
   */
  readonly subscribe: (listener: () => void) => Handle;
  /**
   * Marks as read what is there up to `seq`, inclusive; all of it without one. A mark never goes back.
   * @throws RangeError unless `seq` is from 0 to 2^53 - 1
   * @throws EndedError after its end
   */
  markRead(seq?: number): void;
  /** Of each type that came within the last 60 buckets, busiest first. @throws EndedError after its end */
  rates(): readonly TypeRate[];
  /** Its counters, read from WASM. @throws EndedError after its end */
  stats(): ViewStats;
}

/** Makes the next state of a row. It must be pure: it is called again for `rebuild()`, and for what is evicted. */
export type Reducer<S, T = unknown> = (state: S, row: Row<T>) => S;

/** The counters of a projection: since it was made, never reset. */
export interface ProjectionStats {
  /** The name of the history. */
  readonly history: string;
  /** Rows folded into the state. */
  readonly folded: number;
  /** Rows folded into the checkpoint, of which the history may let go. */
  readonly checkpointed: number;
  /** Rows at which the reducer threw: the state stayed as it was. */
  readonly reducerErrors: number;
  /** Rows that did not decode, and were left out. */
  readonly undecodable: number;
  /** Calls of `rebuild()`. */
  readonly rebuilds: number;
  /** Listeners that are live. */
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
  /** What it folds. */
  readonly history: History<T>;
  /** The state now. The last one that was read, once ended. */
  readonly state: S;
  /**
   * Folds the rows that are held once more, on the checkpoint, with another reducer. What was evicted before stays as the
   * old one had folded it.
   * @throws TypeError for a reducer that is no function
   * @throws EndedError after its end
   */
  rebuild(reducer?: Reducer<S, T>): void;
  /**
   * Begins anew from a state of your own, such as one with its messages cleared; rows so far are not folded again.
   * @throws EndedError after its end
   */
  reset(state: S): void;
  /** Its counters. @throws EndedError after its end */
  stats(): ProjectionStats;
}

/** What `store.queue()` may be told. */
export interface QueueOptions {
  /** The most values held, 1 to 1,000,000. */
  readonly capacity: number;
  /** A push into a full queue: is refused (returns false), or evicts the oldest value. Default: `'refuse'`. */
  readonly full?: 'refuse' | 'evict';
}

/** The counters of a queue: since it was made, never reset, but for what is so now. */
export interface QueueStats {
  /** As declared. */
  readonly name: string;
  /** Values held now. */
  readonly size: number;
  /** The most values held, as declared. */
  readonly capacity: number;
  /** The most values there have been at once. */
  readonly highWaterMark: number;
  /** Values taken. */
  readonly pushed: number;
  /** Values not taken, as it was full. */
  readonly refused: number;
  /** The oldest values, out for others. */
  readonly evicted: number;
  /** Listeners that are live; 4,096 at the most. */
  readonly listeners: number;
}

/** Values in the order they came, at most `capacity`. Made by `store.queue()`. The snapshot is a frozen array of them. */
export interface Queue<T = unknown> extends Handle, Readable<readonly T[]>, Iterable<T> {
  /** As declared: 1 to 256 characters, another one for each queue of a store. */
  readonly name: string;
  /** The most values held, as declared. */
  readonly capacity: number;
  /** Values held. The last number there was, once ended. */
  readonly size: number;
  /** False, counted as refused, if the queue is full and refuses. @throws EndedError after its end */
  push(value: T): boolean;
  /** The oldest value, taken out; undefined if there is none. @throws EndedError after its end */
  shift(): T | undefined;
  /** The oldest value, left in. @throws EndedError after its end */
  peek(): T | undefined;
  /** Takes out all of them, which is not counted. @throws EndedError after its end */
  clear(): void;
  /** Its counters. @throws EndedError after its end */
  stats(): QueueStats;
}
