// HostSeries: the machine's telemetry as lines to plot, taken from the history record by record.
//
// Reads only what came since the last time, so a plot costs the new records, not the history.
// Bounds   the last kSamplesMax samples (5 minutes at 4 a second).

import type { History } from 'ringfence';
import { RingSeries } from './ring-series.ts';

const kSamplesMax = 1200;

export interface HostSample {
  /** Of all cores, 0 to 1. */
  readonly cpu: number;
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  readonly receivedBytesPerS: number;
  readonly sentBytesPerS: number;
  /** Within the machine itself: where the demo runs on the visitor's own machine, its traffic is here. */
  readonly loopbackBytesPerS: number;
}

export function hostSample(data: unknown): HostSample | null {
  if (typeof data !== 'object' || data === null) return null;
  const fields = data as Record<string, unknown>;
  const number = (name: string) => (typeof fields[name] === 'number' ? (fields[name] as number) : NaN);
  const sample = {
    cpu: number('cpu'),
    memoryUsedBytes: number('memory_used_bytes'),
    memoryTotalBytes: number('memory_total_bytes'),
    receivedBytesPerS: number('rx_bytes_per_s'),
    sentBytesPerS: number('tx_bytes_per_s'),
    loopbackBytesPerS: number('loopback_bytes_per_s'),
  };
  return Number.isNaN(sample.cpu) ? null : sample;
}

export class HostSeries {
  readonly cpu = new RingSeries(1, kSamplesMax);
  readonly memory = new RingSeries(1, kSamplesMax);
  readonly network = new RingSeries(3, kSamplesMax);

  readonly #history: History;
  readonly #newest: ReturnType<History['window']>;
  #nextPosition = 0;
  #latest: HostSample | null = null;

  constructor(history: History) {
    this.#history = history;
    this.#newest = history.window({ last: 1 });
  }

  readonly subscribe = (listener: () => void): (() => void) =>
    this.#history.subscribe(() => {
      this.read();
      listener();
    });

  readonly getSnapshot = (): HostSample | null => this.#latest;

  /** Takes what came since the last time. */
  read(): void {
    const { size, evicted } = this.#newest.getSnapshot();
    const end = evicted + size;
    const from = Math.max(this.#nextPosition, evicted, end - kSamplesMax);
    this.#nextPosition = end;
    if (from >= end) return;
    for (const row of this.#history.window({ offset: from, limit: end - from }).getSnapshot().items) {
      const sample = hostSample(row.data);
      if (sample === null) continue;
      const timeS = row.time / 1000;
      this.cpu.push(timeS, sample.cpu * 100);
      this.memory.push(timeS, sample.memoryUsedBytes);
      this.network.push(timeS, sample.receivedBytesPerS, sample.sentBytesPerS, sample.loopbackBytesPerS);
      this.#latest = sample;
    }
  }
}
