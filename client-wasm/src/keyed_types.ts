// The public types of keyed maps. Nothing here does any work.
import type { Handle } from './types.js';
import type { Readable } from './view_types.js';

/** What `keyed()` may be told. Anything out of its bounds is a `RangeError`. */
export interface KeyedOptions<K = string, V = unknown> {
  /** The most entries held, 1 to 1,000,000: a new one takes the place of the one that was not used for the longest time. */
  readonly capacity: number;
  /** How long an entry lives after its last `set`, 1 ms to 100 years. Default: no limit. */
  readonly ttl?: number;
  /**
   * The most bytes held, as `sizeOf` says, a number or e.g. `'1 MiB'`, set aside in the store's budget: the entries that were
   * not used for the longest time leave. Default: no limit.
   */
  readonly bytes?: number | string;
  /** What an entry takes: a whole number from 0 to 2^31. Default: 256 for each, as a value pushed into a history. */
  readonly sizeOf?: (value: V, key: K) => number;
}

/** What `set()` may be told of one entry. */
export interface KeyedSetOptions {
  /** Of this entry, instead of the map's: 1 ms to 100 years. */
  readonly ttl?: number;
}

/** Why an entry left by itself: room for another, its `ttl`, or `clear()`. */
export type KeyedReason = 'capacity' | 'bytes' | 'age' | 'cleared';

/** Frozen; the same object until the key has another value. */
export type KeyedEntry<K = string, V = unknown> = readonly [key: K, value: V];

/** What `onTrim` tells of. */
export interface KeyedLeft<K = string, V = unknown> {
  /** Its key. */
  readonly key: K;
  /** The value it had. */
  readonly value: V;
  /** Why it left. */
  readonly reason: KeyedReason;
}

/** An immutable picture of a keyed map. */
export interface KeyedSnapshot<K = string, V = unknown> {
  /** In the order in which the keys came, as of a `Map`. Frozen. `new Map(entries)` finds by key. */
  readonly entries: readonly KeyedEntry<K, V>[];
  /** The length of `entries`. */
  readonly size: number;
  /** Entries that left by themselves, ever. */
  readonly evicted: number;
  /** Rises with each snapshot. */
  readonly version: number;
}

/** The counters of a keyed map: since it was made, never reset, but for what is so now. */
export interface KeyedStats {
  /** As declared. */
  readonly name: string;
  /** Entries held now. */
  readonly size: number;
  /** The most entries held, as declared. */
  readonly capacity: number;
  /** The most entries there have been at once. */
  readonly highWaterMark: number;
  /** The sum of what `sizeOf` said of the entries held. */
  readonly heldBytes: number;
  /** The most `heldBytes`, as declared (`bytes`); undefined without. */
  readonly bytesMax: number | undefined;
  /** Calls of `get` that found an entry. */
  readonly hits: number;
  /** Calls of `get` that found none. */
  readonly misses: number;
  /** Entries larger than `bytes`. */
  readonly refused: number;
  /** Entries that left by `delete`, or because a refused one was to take their place. */
  readonly deleted: number;
  /** Entries that left by themselves, by reason. */
  readonly evicted: Readonly<Record<KeyedReason, number>>;
  /** Listeners that are live, those of `onTrim` among them; 4,096 at the most. */
  readonly listeners: number;
}

/**
 * Values by key, any key that a `Map` takes: at most `capacity`, each for at most its `ttl`. The values lie in JavaScript's
 * memory and keep their identity; which of them stay is decided in WASM. Made by `keyed()`, and ends with its store.
 *
 * What has expired is never given back by `get`, `has`, `size` or an iteration. Snapshots follow at the next such look, at
 * the latest after a tenth of the shortest `ttl` (50 ms to 10 s).
 */
export interface Keyed<K = string, V = unknown>
  extends Handle, Readable<KeyedSnapshot<K, V>>, Iterable<KeyedEntry<K, V>> {
  /** As declared: 1 to 256 characters, another one for each keyed map of a store. */
  readonly name: string;
  /** The most entries held, as declared. */
  readonly capacity: number;
  /** Entries held that have not expired. The last number there was, once ended. */
  readonly size: number;
  /** Entries that left by themselves, by reason. @throws EndedError after its end */
  readonly evicted: Readonly<Record<KeyedReason, number>>;
  /** The value, which counts as used now; undefined if there is none. @throws EndedError after its end */
  get(key: K): V | undefined;
  /** The value as the snapshot shows it: no use, no count, no look at the clock. Does not throw. */
  peek(key: K): V | undefined;
  /** Whether there is one. No use, no count. @throws EndedError after its end */
  has(key: K): boolean;
  /**
   * Puts an entry, or gives a key another value in the same place. It counts as used, and lives for its `ttl` from now on.
   * The same value again changes no snapshot and calls no listener.
   * @throws RangeError for a size or `ttl` out of its bounds; what `sizeOf` throws. Then nothing has changed.
   * @throws RingfenceError `cost_too_large` (above `bytes`): then the key has no entry, as the old value would be wrong
   * @throws EndedError after its end
   */
  set(key: K, value: V, options?: KeyedSetOptions): void;
  /** Whether there was one. @throws EndedError after its end */
  delete(key: K): boolean;
  /** Takes out all of them, which is told and counted as `cleared`. @throws EndedError after its end */
  clear(): void;
  /**
   * Called once a notification with how many entries left by themselves since the last one, and with the newest of them, at
   * most `capacity`, oldest first. Before the listeners of `subscribe`.
   * @throws RingfenceError `too_many_subscriptions` above 4,096
   * @throws EndedError after its end
   */
  onTrim(listener: (count: number, left: readonly KeyedLeft<K, V>[]) => void): Handle;
  /** Its counters. @throws EndedError after its end */
  stats(): KeyedStats;
}
