// What the panel and the Redux DevTools extension show of a store: numbers, read a few times a second, never an event.
import type { History, LiveHandle, Store, StoreStats } from '../types.js';

/** What a summary says of one history. */
export interface HistoryRow {
  /** As declared. */
  readonly name: string;
  /** Records held. */
  readonly held: number;
  /** The most records held. */
  readonly capacity: number;
  /** Of segments. */
  readonly allocatedBytes: number;
  /** The most `allocatedBytes`. */
  readonly bytesMax: number;
  /** Records that have left, for any reason. */
  readonly evicted: number;
  /** Records that never came and whose number is known. */
  readonly missed: number;
  /** Records taken since the summary before, by second. */
  readonly perSecond: number;
  /** Listeners that are live. */
  readonly listeners: number;
}

/** Immutable, and JSON. */
export interface Summary {
  /** Milliseconds since 1970-01-01. */
  readonly time: number;
  /** As `store.stats()`. */
  readonly store: StoreStats;
  /** The histories that have not ended, oldest first. */
  readonly histories: readonly HistoryRow[];
  /** As `store.liveHandles()`. */
  readonly handles: readonly LiveHandle[];
}

/** Makes a store's summaries; remembers the counts of the one before, for the rates. */
export class Summarizer {
  readonly #store: Store;
  readonly #before = new WeakMap<History, number>();
  #timeBefore = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** @param nowMs milliseconds since 1970-01-01 */
  make(nowMs: number): Summary {
    const seconds = (nowMs - this.#timeBefore) / 1000;
    const histories = this.#store.histories().map((history) => {
      const stats = history.stats();
      const taken = stats.held + stats.evictedTotal;
      const before = this.#before.get(history);
      this.#before.set(history, taken);
      return {
        name: stats.name,
        held: stats.held,
        capacity: stats.capacity,
        allocatedBytes: stats.allocatedBytes,
        bytesMax: stats.bytesMax,
        evicted: stats.evictedTotal,
        missed: stats.missed,
        perSecond: before === undefined || seconds <= 0 ? 0 : Math.max(0, Math.round((taken - before) / seconds)),
        listeners: stats.listeners,
      };
    });
    this.#timeBefore = nowMs;
    return { time: nowMs, store: this.#store.stats(), histories, handles: this.#store.liveHandles() };
  }
}
