// What the panel and the Redux DevTools extension show of a store: numbers, read a few times a second, never an event.
import type { History, LiveHandle, Store, StoreStats } from '../types.js';

export interface HistoryRow {
  readonly name: string;
  readonly held: number;
  readonly capacity: number;
  readonly allocatedBytes: number;
  readonly bytesMax: number;
  readonly evicted: number;
  readonly missed: number;
  /** Records taken since the summary before, by second. */
  readonly perSecond: number;
  readonly listeners: number;
}

/** Immutable, and JSON. */
export interface Summary {
  /** Milliseconds since 1970-01-01. */
  readonly time: number;
  readonly store: StoreStats;
  readonly histories: readonly HistoryRow[];
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
