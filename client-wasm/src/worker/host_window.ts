// A window that a page shows of a history in the worker: what is new in it, as bytes.
//
// Bounds   what is sent: the rows of the window that the page has not got. Records that came and left in between never are.
import type { HistoryImpl } from '../history.js';
import type { Registration } from '../handle.js';
import type { Row, Selector, Snapshot } from '../types.js';
import { type Source, WindowCache } from '../window.js';
import type { WindowNews } from './messages.js';
import type { Dirty, Outbox } from './outbox.js';
import { recordBytes } from '../record_bytes.js';

const RECORDS_A_READ = 256;

export class HostWindow implements Dirty {
  readonly #id: number;
  readonly #history: HistoryImpl<unknown>;
  readonly #outbox: Outbox;
  readonly #cache: WindowCache<unknown>;
  readonly #listener: Registration;
  #range: readonly [start: number, end: number] = [0, 0]; // of the snapshot that the cache has
  #sent: Snapshot | undefined;
  #start = 0;
  #end = 0;

  /** @throws RangeError for a selector out of its bounds, EndedError */
  constructor(id: number, history: HistoryImpl<unknown>, selector: Selector, outbox: Outbox) {
    this.#id = id;
    this.#history = history;
    this.#outbox = outbox;
    // Asked for positions instead of rows, which are the page's to decode.
    const positions = (start: number, end: number): Row[] => {
      this.#range = [start, end];
      return [];
    };
    const source: Source<unknown> = {
      get tick() {
        return history.tick;
      },
      get missed() {
        return history.missed;
      },
      get conflated() {
        return history.conflated;
      },
      place: () => history.place(),
      lowerBound: (seq) => history.lowerBound(seq),
      rows: positions,
    };
    this.#cache = new WindowCache(source, selector);
    this.#listener = history.listen(() => outbox.window(this), `window ${id} of the page`);
    outbox.window(this);
  }

  take(): WindowNews | undefined {
    if (this.#history.ended) return undefined;
    const got = this.#cache.get();
    if (got === this.#sent) return undefined;
    this.#sent = got;
    const { items: _, version: __, ...snapshot } = got;
    const [start, end] = this.#range;
    let keptStart = Math.max(start, this.#start);
    let keptEnd = Math.min(end, this.#end);
    if (keptStart >= keptEnd) keptStart = keptEnd = start;
    const parts = [...this.#records(start, keptStart), ...this.#records(keptEnd, end)];
    const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#start = start;
    this.#end = end;
    return { window: this.#id, snapshot, start, end, keptStart, keptEnd, bytes: bytes.buffer };
  }

  end(): void {
    this.#listener.end();
    this.#outbox.closed(this);
  }

  #records(start: number, end: number): Uint8Array[] {
    const copies: Uint8Array[] = [];
    const { core } = this.#history.store;
    for (let at = start; at < end; at += RECORDS_A_READ)
      for (const record of recordBytes(core, this.#history.id, at, Math.min(RECORDS_A_READ, end - at)))
        copies.push(record.slice());
    return copies;
  }
}
