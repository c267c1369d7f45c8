import { checkBytes, checkInteger } from './check.js';
import type { Place } from './core.js';
import { EndedError } from './errors.js';
import { type Registration, dispose } from './handle.js';
import { RowTable } from './rows.js';
import type { StoreImpl } from './store.js';
import type { Handle, History, HistoryOptions, HistoryStats, Row, Selector, Window } from './types.js';
import { type Source, WindowCache } from './window.js';

export const HISTORY_BYTES_MIN = 4096;
const NAME_CHARS_MAX = 256;
const AGE_MS_MAX = 100 * 365 * 24 * 3600 * 1000;

/** Where a history is in which channel: what a resume needs. */
export interface Resume {
  readonly channel: string;
  readonly epoch: string;
}

export class HistoryImpl<T> implements History<T>, Source<T> {
  readonly name: string;
  readonly id: number;
  readonly capacity: number;
  readonly bytesMax: number;
  readonly maxAge: number | undefined;
  /** Set by the client. */
  resume: Resume | undefined;
  missedAnnounced = 0;
  missedUnknown = 0;
  readonly #store: StoreImpl;
  readonly #rows: RowTable<T>;
  readonly #listeners = new Set<Registration>();
  readonly #registration: Registration;
  #place: Place | undefined;
  #placeTick = -1;

  /** @throws RangeError, RingfenceError as Store.history() */
  constructor(store: StoreImpl, name: string, options: HistoryOptions<T>) {
    if (typeof name !== 'string' || name === '' || name.length > NAME_CHARS_MAX)
      throw new RangeError(`name is ${JSON.stringify(name)}: it must have 1 to ${NAME_CHARS_MAX} characters`);
    this.#store = store;
    this.name = name;
    this.capacity = checkInteger('capacity', options.capacity ?? 1000, 1, 2 ** 32 - 1);
    this.bytesMax = checkBytes('bytes', options.bytes ?? '1 MiB', HISTORY_BYTES_MIN, 2 ** 31);
    if (options.maxAge !== undefined) this.maxAge = checkInteger('maxAge', options.maxAge, 1, AGE_MS_MAX);
    this.#rows = new RowTable(options.decode);
    this.id = store.core.addHistory(name, this.capacity, this.bytesMax, this.maxAge ?? 0);
    this.#registration = store.table.open('history', name, 'store', () => this.#end());
  }

  get ended(): boolean {
    return !this.#registration.active;
  }

  /** As errors and `liveHandles()` name it. */
  get label(): string {
    return `history ${JSON.stringify(this.name)}`;
  }

  get size(): number {
    const place = this.place();
    return place.end - place.first;
  }

  get tick(): number {
    return this.ended ? -1 : this.#store.tick;
  }

  get missed(): number {
    return this.missedAnnounced + this.place().holes;
  }

  window(selector: Selector): Window<T> {
    this.#check();
    const cache = new WindowCache<T>(this, selector);
    return Object.freeze({
      subscribe: (listener: () => void) => this.subscribe(listener),
      getSnapshot: () => cache.get(),
    });
  }

  at(seq: number): Row<T> | undefined {
    this.#check();
    checkInteger('seq', seq, 0, Number.MAX_SAFE_INTEGER);
    const position = this.lowerBound(seq);
    if (position >= this.place().end) return undefined;
    const row = this.rows(position, position + 1)[0];
    return row?.seq === seq ? row : undefined;
  }

  subscribe(listener: () => void): Handle {
    this.#check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    const store = this.#store;
    const native = store.core.onChange(this.id, () => {
      if (registration.active) store.guard(listener);
    });
    const registration = store.table.open('listener', '', this.label, () => {
      this.#listeners.delete(registration);
      native.delete();
    });
    this.#listeners.add(registration);
    return store.table.handle(registration);
  }

  stats(): HistoryStats {
    this.#check();
    const numbers = this.#store.core.historyNumbers(this.id);
    const evicted = {
      records: numbers.evictedByRecords,
      bytes: numbers.evictedByBytes,
      age: numbers.evictedByAge,
      pressure: numbers.evictedByPressure,
      cleared: numbers.evictedByCleared,
    };
    return {
      name: this.name,
      held: numbers.held,
      capacity: this.capacity,
      heldBytes: numbers.heldBytes,
      allocatedBytes: numbers.allocatedBytes,
      bytesMax: this.bytesMax,
      highWaterMarkBytes: numbers.highWaterMarkBytes,
      evicted,
      evictedTotal: Object.values(evicted).reduce((sum, count) => sum + count, 0),
      missed: this.missedAnnounced + numbers.holes,
      missedUnknown: this.missedUnknown,
      duplicates: numbers.duplicates,
      refused: numbers.refused,
      undecodable: this.#rows.undecodable,
      listeners: numbers.listeners,
    };
  }

  clear(): void {
    this.#check();
    this.#store.core.clear(this.id);
    this.#store.changed();
  }

  end(): void {
    this.#registration.end();
  }

  [dispose](): void {
    this.end();
  }

  // What a window asks.

  place(): Place {
    this.#check();
    if (this.#place === undefined || this.#placeTick !== this.#store.tick) {
      this.#place = this.#store.core.place(this.id);
      this.#placeTick = this.#store.tick;
      this.#rows.trim(this.#place.first);
    }
    return this.#place;
  }

  lowerBound(seq: number): number {
    return this.#store.core.lowerBound(this.id, seq);
  }

  rows(start: number, end: number): Row<T>[] {
    return this.#rows.read(this.#store.core, this.id, start, end);
  }

  #end(): void {
    for (const registration of [...this.#listeners]) registration.end();
    this.#store.remove(this);
  }

  #check(): void {
    if (this.ended) throw new EndedError(this.label);
  }
}
