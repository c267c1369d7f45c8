import type { Timers } from '../types.js';

const TIMERS_RUN_MAX = 1_000_000;

/**
 * A clock that runs when told to: `connect(url, { timers: clock })`. Timers run in the order they are due, those of the
 * same moment in the order they were set; a timer may set others.
 *
 * ```ts
 * const clock = new FakeClock();
 * clock.advance(30_000); // runs what falls due in 30 s, now
 * ```
 */
export class FakeClock implements Timers {
  #nowMs: number;
  #nextId = 1;
  readonly #timers = new Map<number, { readonly dueMs: number; readonly callback: () => void }>();

  /** @param nowMs what `now()` begins with, in milliseconds. Default 1,000,000. */
  constructor(nowMs = 1_000_000) {
    if (!Number.isFinite(nowMs)) throw new RangeError(`nowMs is ${nowMs}: it must be a finite number of milliseconds`);
    this.#nowMs = nowMs;
  }

  /** Milliseconds. Moves by `advance()` alone. */
  now(): number {
    return this.#nowMs;
  }

  /** A delay below 0, or that is no number, is 0: as in a browser. */
  setTimeout(callback: () => void, ms: number): number {
    const id = this.#nextId++;
    this.#timers.set(id, { dueMs: this.#nowMs + (ms > 0 ? ms : 0), callback });
    return id;
  }

  /** What is no timer of this clock, or has run, is ignored. */
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as number);
  }

  /** Timers that are set and have not run. 0 once everything has ended: a leak of timers shows here. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Moves on by `ms` milliseconds, and runs what falls due until then at the time it is due.
   * @throws RangeError if `ms` is below 0 or no number
   * @throws Error after 1,000,000 timers: they set each other without end
   */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`ms is ${ms}: it must be a number of at least 0`);
    const untilMs = this.#nowMs + ms;
    for (let run = 0; ; ++run) {
      let next: number | undefined;
      let dueMs = Number.POSITIVE_INFINITY;
      for (const [id, timer] of this.#timers) {
        if (timer.dueMs > untilMs || timer.dueMs >= dueMs) continue; // ids rise: the first of a moment stays
        next = id;
        dueMs = timer.dueMs;
      }
      if (next === undefined) break;
      if (run >= TIMERS_RUN_MAX) throw new Error(`${TIMERS_RUN_MAX} timers ran in one advance(${ms})`);
      const { callback } = this.#timers.get(next) as { callback: () => void };
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, dueMs);
      callback();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }
}
