// RingSeries: the last `capacity` samples of several lines over one time axis. Full: a push overwrites the oldest.
//
// Bounds   rows x capacity numbers in one block, taken at construction, and as much again for columns().
// Cost     push: O(rows). columns(): O(rows x size), no allocation of numbers.

export class RingSeries {
  readonly #rows: number;
  readonly #capacity: number;
  readonly #values: Float64Array<ArrayBuffer>;
  readonly #ordered: Float64Array<ArrayBuffer>;
  #pushed = 0;

  /** `lines` does not count the time axis. */
  constructor(lines: number, capacity: number) {
    if (!Number.isInteger(lines) || lines < 1) throw new RangeError(`lines must be 1 or more, not ${lines}`);
    if (!Number.isInteger(capacity) || capacity < 1)
      throw new RangeError(`capacity must be 1 or more, not ${capacity}`);
    this.#rows = lines + 1;
    this.#capacity = capacity;
    this.#values = new Float64Array(this.#rows * capacity);
    this.#ordered = new Float64Array(this.#rows * capacity);
  }

  get size(): number {
    return Math.min(this.#pushed, this.#capacity);
  }

  get capacity(): number {
    return this.#capacity;
  }

  get evicted(): number {
    return this.#pushed - this.size;
  }

  /** One sample: the time, then a value for each line. */
  push(...sample: number[]): void {
    if (sample.length !== this.#rows) throw new RangeError(`a sample has ${this.#rows} numbers, not ${sample.length}`);
    const slot = this.#pushed % this.#capacity;
    for (let row = 0; row < this.#rows; ++row) this.#values[row * this.#capacity + slot] = sample[row] ?? NaN;
    ++this.#pushed;
  }

  clear(): void {
    this.#pushed = 0;
  }

  /** Time and lines, oldest to newest. Views of one block that is reused: valid until the next call. */
  columns(): Float64Array[] {
    const size = this.size;
    const start = this.#pushed % this.#capacity;
    const wrapped = this.#pushed > this.#capacity;
    return Array.from({ length: this.#rows }, (_, row) => {
      const from = row * this.#capacity;
      const line = this.#values.subarray(from, from + this.#capacity);
      const ordered = this.#ordered.subarray(from, from + size);
      if (wrapped) {
        ordered.set(line.subarray(start), 0);
        ordered.set(line.subarray(0, start), this.#capacity - start);
      } else {
        ordered.set(line.subarray(0, size));
      }
      return ordered;
    });
  }
}
