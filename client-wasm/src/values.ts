// The values that JavaScript pushed into one history, by the position of their rows.
//
// Bounds   as many as the history holds: what it evicts is let go of at the next push or change.
// Cost     push, get: O(1) where only pushes come, O(log n) beside a channel's records. trim: amortised O(1).
const SHRINK_MIN = 64;

export class ValueRing<T> {
  readonly #positions: number[] = [];
  readonly #values: (T | undefined)[] = [];
  #head = 0;

  get size(): number {
    return this.#positions.length - this.#head;
  }

  push(position: number, value: T): void {
    this.#positions.push(position);
    this.#values.push(value);
  }

  /** Where the value of a position lies; -1 if it is none of a pushed value. */
  find(position: number): number {
    const positions = this.#positions;
    const guess = this.#head + position - (positions[this.#head] ?? position + 1);
    if (positions[guess] === position) return guess;
    let low = this.#head;
    let high = positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((positions[middle] ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return positions[low] === position ? low : -1;
  }

  at(index: number): T {
    return this.#values[index] as T;
  }

  /** Lets go of what lies before `first`. */
  trim(first: number): void {
    const positions = this.#positions;
    while (this.#head < positions.length && (positions[this.#head] ?? first) < first)
      this.#values[this.#head++] = undefined;
    if (this.#head < SHRINK_MIN || this.#head * 2 < positions.length) return;
    positions.splice(0, this.#head);
    this.#values.splice(0, this.#head);
    this.#head = 0;
  }
}
