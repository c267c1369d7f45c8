// The decoded rows of one history. A row is decoded when it is first shown, and is the same object for as long as
// anybody holds it; this table holds it weakly, so rows that nobody shows cost nothing.
//
// Bounds   entries: those of rows alive, and at most as many again that the collector has taken since the last sweep.
import { type Core, ROWS_PER_READ_MAX, type RawRow } from './core.js';
import type { Row } from './types.js';
import type { ValueRing } from './values.js';

const SWEEP_MIN = 256;

export class RowTable<T> {
  readonly #rows = new Map<number, WeakRef<Row<T>>>(); // by position
  readonly #decode: ((value: unknown, type: string) => T) | undefined;
  readonly #values: ValueRing<T>;
  #first = 0;
  #sweepAt = SWEEP_MIN;
  readonly #tell: (error: Error) => void;
  undecodable = 0;

  /** @param tell gets the first error of each read; it is called later, since a read may be part of a rendering */
  constructor(
    decode: ((value: unknown, type: string) => T) | undefined,
    values: ValueRing<T>,
    tell: (error: Error) => void,
  ) {
    this.#decode = decode;
    this.#values = values;
    this.#tell = tell;
  }

  /** Entries in the table, for tests. */
  get entries(): number {
    return this.#rows.size;
  }

  /** The rows at [start, end), all of which are held. */
  read(core: Core, id: number, start: number, end: number): Row<T>[] {
    const rows: Row<T>[] = [];
    const before = this.undecodable;
    let error: Error | undefined;
    for (let position = start; position < end;) {
      const row = this.#rows.get(position)?.deref();
      if (row) {
        rows.push(row);
        ++position;
        continue;
      }
      let until = position + 1;
      const limit = Math.min(end, position + ROWS_PER_READ_MAX);
      while (until < limit && !this.#rows.get(until)?.deref()) ++until;
      const raws = core.rows(id, position, until - position);
      if (raws.length === 0) break; // a `decode` has cleared or ended the history
      for (const raw of raws) {
        const decoded = this.#make(raw, this.#values.find(position));
        this.#rows.set(position++, new WeakRef(decoded));
        rows.push(decoded);
        error ??= decoded.error;
      }
    }
    if (error && this.undecodable > before) queueMicrotask(() => this.#tell(error));
    if (this.#rows.size >= this.#sweepAt) this.#sweep();
    return rows;
  }

  /** Forgets what lies before `first`. */
  trim(first: number): void {
    if (first <= this.#first) return;
    if (first - this.#first <= this.#rows.size) {
      for (let position = this.#first; position < first; ++position) this.#rows.delete(position);
    } else {
      for (const position of this.#rows.keys()) if (position < first) this.#rows.delete(position);
    }
    this.#first = first;
  }

  #sweep(): void {
    for (const [position, row] of this.#rows) if (!row.deref()) this.#rows.delete(position);
    this.#sweepAt = Math.max(SWEEP_MIN, this.#rows.size * 2);
  }

  // `value`: where the pushed value lies; -1 for bytes.
  #make(raw: RawRow, value: number): Row<T> {
    const head = { seq: raw.seq, time: raw.timeUs / 1000, type: raw.type };
    if (value >= 0) return Object.freeze({ ...head, data: this.#values.at(value) });
    try {
      const value: unknown = JSON.parse(raw.payload);
      return Object.freeze({ ...head, data: this.#decode ? this.#decode(value, raw.type) : (value as T) });
    } catch (thrown) {
      ++this.undecodable;
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      return Object.freeze({ ...head, data: undefined as T, error });
    }
  }
}
