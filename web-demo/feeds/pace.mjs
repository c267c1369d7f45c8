// Pace: how many events are due, at a speed that may change while it runs.
//
// What could not be sent in time is made up for, but of at most kDebtMaxMs: a feed that was held up for a minute does
// not send that minute at once.

const kDebtMaxMs = 250;

export const kSpeedMin = 1;
export const kSpeedMax = 10_000;

/** Within the bounds; none if it is no number. */
export function speedOf(value) {
  return typeof value === 'number' && Number.isFinite(value) ? Math.min(kSpeedMax, Math.max(kSpeedMin, value)) : null;
}

export class Pace {
  #eventsPerS;
  #lastMs;
  #due = 0;

  constructor(eventsPerS, nowMs) {
    this.#eventsPerS = eventsPerS;
    this.#lastMs = nowMs;
  }

  get eventsPerS() {
    return this.#eventsPerS;
  }

  set(eventsPerS, nowMs) {
    this.#advance(nowMs);
    this.#eventsPerS = eventsPerS;
  }

  /** Events due now; take(n) those that were sent. */
  due(nowMs) {
    this.#advance(nowMs);
    return Math.floor(this.#due);
  }

  take(count) {
    this.#due -= count;
  }

  #advance(nowMs) {
    const debtMax = Math.max(1, (this.#eventsPerS * kDebtMaxMs) / 1000);
    this.#due = Math.min(this.#due + ((nowMs - this.#lastMs) * this.#eventsPerS) / 1000, debtMax);
    this.#lastMs = nowMs;
  }
}
