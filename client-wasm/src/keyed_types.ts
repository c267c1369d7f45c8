// The public types of keyed maps. Nothing here does any work.
import type { Handle } from './types.js';
import type { Readable } from './view_types.js';

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
  readonly key: K;
  readonly value: V;
  readonly reason: KeyedReason;
}

/** An immutable picture of a keyed map. */
export interface KeyedSnapshot<K = string, V = unknown> {
  /** In the order in which the keys came, as of a `Map`. Frozen. `new Map(entries)` finds by key. */
  readonly entries: readonly KeyedEntry<K, V>[];
  readonly size: number;
  /** Entries that left by themselves, ever. */
  readonly evicted: number;
  /** Rises with each snapshot. */
  readonly version: number;
}

export interface KeyedStats {
  readonly name: string;
  readonly size: number;
  readonly capacity: number;
  readonly highWaterMark: number;
  /** The sum of what `sizeOf` said of the entries held. */
  readonly heldBytes: number;
  readonly bytesMax: number | undefined;
  /** Calls of `get` that found an entry, and that did not. */
  readonly hits: number;
  readonly misses: number;
  /** Entries larger than `bytes`. */
  readonly refused: number;
  /** Entries that left by `delete`, or because a refused one was to take their place. */
  readonly deleted: number;
  readonly evicted: Readonly<Record<KeyedReason, number>>;
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
  readonly name: string;
  readonly capacity: number;
  readonly size: number;
  /** Entries that left by themselves, by reason. */
  readonly evicted: Readonly<Record<KeyedReason, number>>;
  /** The value, which counts as used now; undefined if there is none. */
  get(key: K): V | undefined;
  /** The value as the snapshot shows it: no use, no count, no look at the clock. */
  peek(key: K): V | undefined;
  has(key: K): boolean;
  /**
   * Puts an entry, or gives a key another value in the same place. It counts as used, and lives for its `ttl` from now on.
   * The same value again changes no snapshot and calls no listener.
   * @throws RangeError for a size or `ttl` out of its bounds; what `sizeOf` throws. Then nothing has changed.
   * @throws RingfenceError `cost_too_large` (above `bytes`): then the key has no entry, as the old value would be wrong
   */
  set(key: K, value: V, options?: KeyedSetOptions): void;
  /** Whether there was one. */
  delete(key: K): boolean;
  clear(): void;
  /**
   * Called once a notification with how many entries left by themselves since the last one, and with the newest of them, at
   * most `capacity`, oldest first. Before the listeners of `subscribe`.
   */
  onTrim(listener: (count: number, left: readonly KeyedLeft<K, V>[]) => void): Handle;
  stats(): KeyedStats;
}
