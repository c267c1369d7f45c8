// The rows of one history that lives in the worker, decoded here: the same object for as long as anybody holds it.
//
// Bounds   entries: those of rows alive, and at most as many again that the collector has taken since the last sweep.
import type { Row } from '../types.js';
import type { Link } from './link.js';

const RECORD_HEAD_BYTES = 24;
const SWEEP_MIN = 256;

export type Decode<T> = ((value: unknown, type: string) => T) | undefined;

export class RemoteRows<T> {
  readonly #decode: Decode<T>;
  readonly #rows = new Map<number, WeakRef<Row<T>>>(); // by position
  readonly #text = new TextDecoder('utf-8', { ignoreBOM: true });
  #sweepAt = SWEEP_MIN;
  readonly #link: Link;
  undecodable = 0;

  constructor(decode: Decode<T>, link: Link) {
    this.#decode = decode;
    this.#link = link;
  }

  /** Of the records there: the first `before` of them at positions from `start` on, the others from `rest` on. */
  read(buffer: ArrayBuffer, start: number, before: number, rest: number): Row<T>[] {
    const view = new DataView(buffer);
    const rows: Row<T>[] = [];
    for (let at = 0; at < buffer.byteLength; at += (view.getUint32(at, true) + 7) & ~7) {
      const position = rows.length < before ? start + rows.length : rest + rows.length - before;
      let row = this.#rows.get(position)?.deref();
      if (!row) {
        row = this.#make(buffer, view, at);
        this.#rows.set(position, new WeakRef(row));
      }
      rows.push(row);
    }
    if (this.#rows.size >= this.#sweepAt) this.#sweep();
    return rows;
  }

  #sweep(): void {
    for (const [position, row] of this.#rows) if (!row.deref()) this.#rows.delete(position);
    this.#sweepAt = Math.max(SWEEP_MIN, this.#rows.size * 2);
  }

  #make(buffer: ArrayBuffer, view: DataView, at: number): Row<T> {
    const payloadAt = at + RECORD_HEAD_BYTES + view.getUint8(at + 6);
    const text = (from: number, to: number): string => this.#text.decode(new Uint8Array(buffer, from, to - from));
    const type = text(at + RECORD_HEAD_BYTES, payloadAt);
    const head = {
      seq: Number(view.getBigUint64(at + 8, true)),
      time: Number(view.getBigInt64(at + 16, true)) / 1000,
      type,
    };
    try {
      const value = JSON.parse(text(payloadAt, at + view.getUint32(at, true))) as unknown;
      return Object.freeze({ ...head, data: this.#decode ? this.#decode(value, type) : (value as T) });
    } catch (thrown) {
      ++this.undecodable;
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      this.#link.failed(error);
      return Object.freeze({ ...head, data: undefined as T, error });
    }
  }
}
