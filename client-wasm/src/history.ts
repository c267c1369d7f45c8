import { byteLength, checkBytes, checkInteger, checkType } from './check.js';
import { type Place, TEXT_BYTES_MAX } from './core.js';
import { EndedError, RingfenceError } from './errors.js';
import { Callable, type Registration, dispose } from './handle.js';
import { RowTable } from './rows.js';
import type { StoreImpl } from './store.js';
import type {
  EvictionReason,
  Handle,
  History,
  HistoryOptions,
  HistoryStats,
  PushOptions,
  Row,
  Selector,
  Window,
} from './types.js';
import { ValueRing } from './values.js';
import { type Source, WINDOW_ROWS_MAX, WindowCache } from './window.js';

export const HISTORY_BYTES_MIN = 4096;
const NAME_CHARS_MAX = 256;
const PUSH_TYPE = 'pushed';
/** What a pushed value is charged where nobody says what it takes. */
export const PUSH_BYTES = 256;
const PUSH_BYTES_MAX = 2 ** 31;
/** Of a record as the core has it: the least, and what one takes beside a value's type and text (a segment's header too). */
const RECORD_BYTES_MIN = 32;
const ENTRY_BYTES = 80;
const TIME_MS_MAX = 2 ** 43;
const ITERATE_ROWS = 64;
const AGE_MS_MAX = 100 * 365 * 24 * 3600 * 1000;

/** Where a history is in which channel: what a resume needs. */
export interface Resume {
  readonly channel: string;
  readonly epoch: string;
}

/** What folds the rows of a history. */
export interface Folding {
  /** All below this position may be evicted. */
  readonly checkpointed: number;
  makeWay(position: number): void;
  update(): void;
}

interface Entry<T> {
  readonly value: T;
  readonly type: string;
  readonly charge: number;
  readonly text: string;
}

export class HistoryImpl<T> extends Callable implements History<T>, Source<T> {
  override readonly name: string;
  readonly id: number;
  readonly capacity: number;
  readonly bytesMax: number;
  readonly maxAge: number | undefined;
  /** Set by the client: a channel feeds it, or did. What is pushed then leaves the channel's numbers alone. */
  fed = false;
  missedAnnounced = 0;
  conflated = 0;
  missedUnknown = 0;
  readonly #store: StoreImpl;
  readonly #values = new ValueRing<T>();
  readonly #rows: RowTable<T>;
  readonly #options: HistoryOptions<unknown>; // of T: what it is given has been pushed as T
  readonly #foldings = new Set<Folding>();
  /** Views and projections, which end with it. */
  readonly children = new Set<Registration>();
  readonly #listeners = new Set<Registration>();
  readonly #registration: Registration;
  #place: Place | undefined;
  #placeTick = -1;
  #resume: Resume | undefined;

  /** @throws RangeError, RingfenceError as Store.history() */
  constructor(store: StoreImpl, name: string, options: HistoryOptions<T>) {
    super();
    if (typeof name !== 'string' || name === '' || name.length > NAME_CHARS_MAX)
      throw new RangeError(`name is ${JSON.stringify(name)}: it must have 1 to ${NAME_CHARS_MAX} characters`);
    this.#store = store;
    this.name = name;
    const { capacityBytes } = store.core.storeNumbers();
    this.capacity = checkInteger('capacity', options.capacity ?? 1000, 1, Math.floor(capacityBytes / RECORD_BYTES_MIN));
    this.bytesMax = checkBytes('bytes', options.bytes ?? '1 MiB', HISTORY_BYTES_MIN, capacityBytes);
    if (options.maxAge !== undefined) this.maxAge = checkInteger('maxAge', options.maxAge, 1, AGE_MS_MAX);
    this.#options = options as HistoryOptions<unknown>;
    this.#rows = new RowTable(options.decode, this.#values, (error) => store.tell(error));
    this.id = store.core.addHistory(name, this.capacity, this.bytesMax, this.maxAge ?? 0);
    this.#registration = store.table.open('history', name, 'store', () => this.#end());
  }

  get ended(): boolean {
    return !this.#registration.active;
  }

  /** Set by the client: the place in its channel. */
  get resume(): Resume | undefined {
    return this.#resume;
  }

  set resume(resume: Resume | undefined) {
    this.#resume = resume;
    if (resume) this.#store.core.setChannel(this.id, resume.channel);
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

  get evicted(): Readonly<Record<EvictionReason, number>> {
    return this.stats().evicted;
  }

  get highWaterMark(): number {
    return this.stats().highWaterMark;
  }

  push(value: T, options: PushOptions = {}): number {
    this.#checkMayChange();
    const time = this.#time(options);
    this.#push(this.#entry(value, options), time);
    return this.#store.core.lastKey(this.id);
  }

  pushMany(values: Iterable<T>, options: PushOptions = {}): number {
    this.#checkMayChange();
    const time = this.#time(options);
    // All of them are looked at before any is added.
    const entries = Array.from(values, (value) => this.#entry(value, options));
    this.#check(); // what was called may have ended it
    for (const entry of entries) this.#push(entry, time);
    return this.#store.core.lastKey(this.id);
  }

  last(n: number): readonly Row<T>[] {
    checkInteger('n', n, 0, WINDOW_ROWS_MAX);
    const { first, end } = this.place();
    return Object.freeze(this.rows(Math.max(first, end - n), end));
  }

  slice(start = 0, end = Number.MAX_SAFE_INTEGER): readonly Row<T>[] {
    const least = Number.MIN_SAFE_INTEGER;
    checkInteger('start', start, least, Number.MAX_SAFE_INTEGER);
    checkInteger('end', end, least, Number.MAX_SAFE_INTEGER);
    const place = this.place();
    const clip = (index: number): number =>
      Math.min(Math.max((index < 0 ? place.end : place.first) + index, place.first), place.end);
    const [from, to] = [clip(start), clip(end)];
    if (to - from > WINDOW_ROWS_MAX)
      throw new RangeError(`${to - from} rows asked for: it must be at most ${WINDOW_ROWS_MAX}`);
    return Object.freeze(from < to ? this.rows(from, to) : []);
  }

  find(predicate: (row: Row<T>) => boolean): Row<T> | undefined {
    for (const row of this) {
      try {
        if (predicate(row)) return row;
      } catch (error) {
        this.#store.tell(error);
      }
      if (this.ended) break; // by the predicate
    }
    return undefined;
  }

  *[Symbol.iterator](): IterableIterator<Row<T>> {
    let at = this.place().first;
    while (!this.ended) {
      const { first, end } = this.place();
      at = Math.max(at, first);
      if (at >= end) return;
      const rows = this.rows(at, Math.min(end, at + ITERATE_ROWS));
      if (rows.length === 0) return;
      for (const row of rows) {
        ++at;
        yield row;
      }
    }
  }

  onTrim(listener: (count: number) => void): Handle {
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    let seen = this.place().first;
    return this.subscribe(() => {
      const { first } = this.place();
      const count = first - seen;
      seen = first;
      if (count > 0) listener(count);
    });
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
    if (typeof seq !== 'number' || !(seq >= 0 && seq <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`seq is ${seq}: it must be from 0 to ${Number.MAX_SAFE_INTEGER}`);
    const position = this.lowerBound(seq);
    if (position >= this.place().end) return undefined;
    const row = this.rows(position, position + 1)[0];
    return row?.seq === seq ? row : undefined;
  }

  subscribe(listener: () => void): Handle {
    return this.#store.table.handle(this.listen(listener, this.label));
  }

  /** As subscribe(), for `owner`, who ends it. */
  listen(listener: () => void, owner: string): Registration {
    this.#check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    const store = this.#store;
    const native = store.core.onChange(this.id, () => {
      if (registration.active) store.guard(listener);
    });
    const registration = store.table.open('listener', '', owner, () => {
      this.#listeners.delete(registration);
      native.delete();
    });
    this.#listeners.add(registration);
    return registration;
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
      highWaterMark: numbers.highWaterMark,
      capacity: this.capacity,
      heldBytes: numbers.heldBytes,
      allocatedBytes: numbers.allocatedBytes,
      bytesMax: this.bytesMax,
      highWaterMarkBytes: numbers.highWaterMarkBytes,
      evicted,
      evictedTotal: Object.values(evicted).reduce((sum, count) => sum + count, 0),
      missed: this.missedAnnounced + numbers.holes,
      missedUnknown: this.missedUnknown,
      conflated: this.conflated,
      duplicates: numbers.duplicates,
      refused: numbers.refused,
      undecodable: this.#rows.undecodable,
      listeners: numbers.listeners,
    };
  }

  clear(): void {
    this.#checkMayChange();
    for (const folding of this.#foldings) folding.update();
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

  // What folds and what views ask.

  get store(): StoreImpl {
    return this.#store;
  }

  /** The rows at these positions, as far as they are held. */
  rowsAt(positions: readonly number[]): Row<T>[] {
    const rows: Row<T>[] = [];
    for (let from = 0; from < positions.length;) {
      const start = positions[from] as number;
      let until = from + 1;
      while (until < positions.length && positions[until] === start + until - from) ++until;
      rows.push(...this.rows(start, start + until - from));
      from = until;
    }
    return rows;
  }

  addFolding(folding: Folding): void {
    this.#foldings.add(folding);
    this.hold();
  }

  removeFolding(folding: Folding): void {
    this.#foldings.delete(folding);
    if (!this.ended) this.hold();
  }

  /** Keeps from eviction what some checkpoint has not got. */
  hold(): void {
    let position = Number.POSITIVE_INFINITY;
    for (const folding of this.#foldings) position = Math.min(position, folding.checkpointed);
    this.#store.core.hold(this.id, position === Number.POSITIVE_INFINITY ? -1 : position);
  }

  /** The core has stopped for the hold: moves it on. */
  makeWay(): void {
    const wanted = this.#store.core.wanted(this.id);
    for (const folding of [...this.#foldings]) folding.makeWay(wanted);
    if (!this.ended) this.hold();
  }

  expire(nowMs: number): number {
    const { core } = this.#store;
    let expired = core.expire(this.id, nowMs);
    if (this.#foldings.size === 0) return expired;
    this.#store.changed();
    // Again, as far as the hold kept some.
    while (core.wanted(this.id) > Math.max(...[...this.#foldings].map(({ checkpointed }) => checkpointed))) {
      this.makeWay();
      const more = core.expire(this.id, nowMs);
      if (more === 0) break;
      expired += more;
    }
    return expired;
  }

  trimValues(): void {
    this.#values.trim(this.#store.core.firstPosition(this.id));
  }

  #time({ time }: PushOptions): number {
    return time === undefined ? this.#store.timers.now() : checkInteger('time', time, 0, TIME_MS_MAX);
  }

  #entry(value: T, options: PushOptions): Entry<T> {
    const { typeOf, sizeOf, textOf } = this.#options;
    const own = options.type ?? typeOf?.(value);
    const type = own === undefined ? PUSH_TYPE : checkType(own);
    const charge = sizeOf ? checkInteger('size', sizeOf(value), 0, PUSH_BYTES_MAX) : PUSH_BYTES;
    const text = textOf ? JSON.stringify(String(textOf(value))).slice(1, -1) : ''; // as the core searches it
    const textBytes = byteLength(text);
    checkInteger('text', textBytes, 0, TEXT_BYTES_MAX);
    const bytes = charge + ENTRY_BYTES + Math.ceil((byteLength(type) + textBytes) / 8) * 8;
    if (bytes > this.bytesMax)
      throw new RingfenceError('record_too_large', `a value was refused: record_too_large, it takes ${bytes} bytes`);
    return { value, type, charge, text };
  }

  #push({ value, type, charge, text }: Entry<T>, time: number): void {
    const { core } = this.#store;
    let position = core.push(this.id, time, type, charge, text, !this.fed);
    while (position === 'held') {
      ++this.#store.tick;
      this.makeWay();
      this.#check();
      position = core.push(this.id, time, type, charge, text, !this.fed);
    }
    if (typeof position === 'string') throw new RingfenceError(position, `a value was refused: ${position}`);
    this.#values.push(position, value);
    this.#values.trim(core.firstPosition(this.id));
    this.#store.pushed(this as HistoryImpl<unknown>);
  }

  #checkMayChange(): void {
    this.#check();
    if (this.#store.reducing)
      throw new RingfenceError('reducing', `${this.label} was changed by a reducer: reducers must be pure`);
  }

  #end(): void {
    for (const registration of [...this.children]) registration.end();
    for (const registration of [...this.#listeners]) registration.end();
    this.#store.remove(this);
  }

  #check(): void {
    if (this.ended) throw new EndedError(this.label);
  }
}
