// Sampler: once a second, what the store holds and how fast it comes, for the strip and its charts.
//
// Owns     a ring of the last kSamplesMax samples, and one timer while anybody listens.
// Bounds   5 minutes of samples; the oldest are overwritten.

import type { ClientStats, HistoryStats, StoreStats } from 'ringfence';
import { kChannels, type Channel } from '../channels.ts';
import type { Session } from '../session.ts';
import { RingSeries } from './ring-series.ts';

export const kSamplePeriodMs = 1000;
export const kSamplesMax = 300;

export interface Sample {
  readonly store: StoreStats;
  readonly client: ClientStats;
  readonly histories: readonly HistoryStats[];
  /** Sums over all histories. */
  readonly held: number;
  readonly capacity: number;
  readonly evicted: number;
  readonly heldBytes: number;
  /** Since the sample before. */
  readonly eventsPerS: number;
  readonly bytesPerS: number;
  readonly channelEventsPerS: Readonly<Record<Channel, number>>;
  readonly version: number;
}

export class Sampler {
  /** Events a second. */
  readonly rates = new RingSeries(1, kSamplesMax);
  /** Bytes held by histories, and the WASM memory's size. */
  readonly bytes = new RingSeries(2, kSamplesMax);

  readonly #session: Pick<Session, 'store' | 'client' | 'histories'>;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setInterval> | null = null;
  #sampledAtMs: number;
  #sample: Sample;

  constructor(session: Pick<Session, 'store' | 'client' | 'histories'>, nowMs: () => number = Date.now) {
    this.#session = session;
    this.#nowMs = nowMs;
    this.#sampledAtMs = nowMs();
    this.#sample = this.#take(null, 1);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    this.#timer ??= setInterval(() => this.sample(), kSamplePeriodMs);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0 || this.#timer === null) return;
      clearInterval(this.#timer);
      this.#timer = null;
    };
  };

  readonly getSnapshot = (): Sample => this.#sample;

  /** Takes one now; the timer calls it. */
  sample(): void {
    const nowMs = this.#nowMs();
    const elapsedS = (nowMs - this.#sampledAtMs) / 1000;
    if (elapsedS <= 0) return; // the clock was set back: the next one tells
    this.#sampledAtMs = nowMs;
    const sample = (this.#sample = this.#take(this.#sample, elapsedS));
    this.rates.push(nowMs / 1000, sample.eventsPerS);
    this.bytes.push(nowMs / 1000, sample.heldBytes, sample.store.memoryBytes);
    for (const listener of [...this.#listeners]) listener();
  }

  #take(before: Sample | null, elapsedS: number): Sample {
    const { store, client, histories } = this.#session;
    const rows = Object.values(histories).map((history) => history.stats());
    const sum = (pick: (row: HistoryStats) => number) => rows.reduce((total, row) => total + pick(row), 0);
    const stats = store.stats();
    const traffic = client.stats();
    const came = (name: string) => {
      const row = rows.find((each) => each.name === name);
      const earlier = before?.histories.find((each) => each.name === name);
      return row && earlier ? (row.held + row.evictedTotal - earlier.held - earlier.evictedTotal) / elapsedS : 0;
    };
    return {
      store: stats,
      client: traffic,
      histories: rows,
      held: sum((row) => row.held),
      capacity: sum((row) => row.capacity),
      evicted: sum((row) => row.evictedTotal),
      heldBytes: sum((row) => row.heldBytes),
      eventsPerS: before ? (stats.records - before.store.records) / elapsedS : 0,
      bytesPerS: before ? (traffic.receivedBytes - before.client.receivedBytes) / elapsedS : 0,
      channelEventsPerS: Object.fromEntries(kChannels.map((name) => [name, came(name)])) as Record<Channel, number>,
      version: (before?.version ?? 0) + 1,
    };
  }
}
