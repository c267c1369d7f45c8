// The only module that calls the WASM: one instance of the core with memory of its own.
//
// Bounds   the memory's maximum is the budget, whatever happens inside.
// Refs     memory may grow in any call of the core, which detaches every view: each method makes its own.
import { RingfenceError, WasmLoadError } from './errors.js';
import { type Exports, instantiate, textAt } from './instance.js';

const PAGE_BYTES = 64 * 1024;
/** What the WASM module asks for at least (its -sINITIAL_MEMORY): static data, stack and a little heap. */
const INITIAL_PAGES = 4;
/** Of the first pages, what is no heap, and what the core's own tables and its reserve take. */
const FIXED_BYTES = 224 * 1024;
/** Of the core's block of texts. */
export const TEXT_BYTES_MAX = 32 * 1024;
const ROW_BYTES = 32;
const ERROR_NUMBERS_MAX = 64;
const HISTORIES_MAX = 4096; // Replica::kHistoriesMax

export const BUDGET_BYTES_MIN = 1024 * 1024;
export const BUDGET_BYTES_MAX = 2 * 1024 ** 3 - PAGE_BYTES;
export const ROWS_PER_READ_MAX = 256;

/** A C++ object that JavaScript owns. */
export interface CoreHandle {
  active(): boolean;
  /** Runs the destructor, which ends what the handle stands for. Once. */
  delete(): void;
}

export interface RawRow {
  readonly seq: number;
  readonly timeUs: number;
  readonly type: string;
  readonly payload: string;
}

export interface Place {
  /** Positions held: [first, end). */
  readonly first: number;
  readonly end: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly holes: number;
}

const HISTORY_NUMBERS = [
  'held',
  'heldBytes',
  'allocatedBytes',
  'highWaterMarkBytes',
  'records',
  'duplicates',
  'refused',
  'holes',
  'listeners',
  'evictedByRecords',
  'evictedByBytes',
  'evictedByAge',
  'evictedByPressure',
  'evictedByCleared',
  'highWaterMark',
  'chargedBytes',
] as const;
const VIEW_NUMBERS = [
  'total',
  'count',
  'unread',
  'scanned',
  'unseen',
  'evictedByCapacity',
  'evictedWithHistory',
  'highWaterMark',
] as const;
const POSITIONS_PER_READ_MAX = 64;
const STORE_NUMBERS = [
  'usedBytes',
  'capacityBytes',
  'highWaterMarkBytes',
  'declaredBytes',
  'batches',
  'records',
  'batchBytes',
  'unrouted',
  'duplicates',
  'refusedRecords',
  'holes',
  'refusedBatches',
  'histories',
  'listeners',
  'routes',
] as const;

export type ViewNumbers = Readonly<Record<(typeof VIEW_NUMBERS)[number], number>>;
export type HistoryNumbers = Readonly<Record<(typeof HISTORY_NUMBERS)[number], number>>;
export type StoreNumbers = Readonly<Record<(typeof STORE_NUMBERS)[number], number>>;

export class Core {
  readonly budgetBytes: number;
  readonly memory: WebAssembly.Memory;
  readonly #batchBytesMax: number;
  /** For the parts of the package that a page loads by themselves. */
  readonly wasm: Exports;
  readonly #encoder = new TextEncoder();
  #pushType = '';
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #rowsAddress: number;
  readonly #numbersAddress: number;
  readonly #textAddress: number;
  readonly #listeners = new Map<number, () => void>();
  #lastListener = 0;

  /** @throws WasmLoadError if the module is not ours or the memory cannot be had */
  constructor(module: WebAssembly.Module, budgetBytes: number, batchBytesMax: number) {
    const pages = Math.floor(budgetBytes / PAGE_BYTES);
    this.budgetBytes = pages * PAGE_BYTES;
    this.#batchBytesMax = batchBytesMax;
    try {
      this.memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: pages });
      this.wasm = instantiate(module, this.memory, (listener) => this.#listeners.get(listener)?.());
    } catch (cause) {
      throw new WasmLoadError(`the WASM core did not start: ${String(cause)}`, cause);
    }
    // A sixteenth is left to bookkeeping and to what lies between blocks.
    const recordBytes = this.budgetBytes - FIXED_BYTES - batchBytesMax - Math.floor(this.budgetBytes / 16);
    this.check(this.wasm.rf_start(recordBytes, batchBytesMax), 'the store');
    this.#rowsAddress = this.wasm.rf_rows_address();
    this.#numbersAddress = this.wasm.rf_numbers_address();
    this.#textAddress = this.wasm.rf_text_address();
  }

  get memoryBytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Takes a batch whole or not at all: undefined, or the code of its error. `source`: whose channel ids it has. */
  ingest(bytes: Uint8Array, source = 0): string | undefined {
    const address = this.wasm.rf_staging(bytes.length);
    if (address === 0) return bytes.length > this.#batchBytesMax ? 'batch_too_large' : 'memory_full';
    new Uint8Array(this.memory.buffer).set(bytes, address);
    const error = this.wasm.rf_ingest(bytes.length, source);
    return error === 0 ? undefined : this.errorName(error);
  }

  /** The history that must let its readers see what it holds before resume(); 0: none. */
  get blocked(): number {
    return this.wasm.rf_blocked();
  }

  resume(): void {
    this.wasm.rf_resume();
  }

  /** Keeps positions from there on from eviction; below 0: none. */
  hold(id: number, position: number): void {
    this.wasm.rf_hold(id, position);
  }

  wanted(id: number): number {
    return this.wasm.rf_wanted(id);
  }

  setChannel(id: number, channel: string): void {
    this.wasm.rf_set_channel(id, this.#put(channel));
  }

  /** The position, or the code of its error. */
  push(id: number, timeMs: number, type: string, charge: number, text: string, own: boolean): number | string {
    if (type !== this.#pushType) {
      this.wasm.rf_set_push_type(this.#put(type));
      this.#pushType = type;
    }
    const position = this.wasm.rf_push(id, timeMs * 1000, charge, this.#put(text), own ? 1 : 0);
    return position >= 0 ? position : this.errorName(-position);
  }

  firstPosition(id: number): number {
    return this.wasm.rf_first_position(id);
  }

  /** The seq of the row that came last. */
  lastKey(id: number): number {
    return this.wasm.rf_last_key(id);
  }

  addView(
    id: number,
    types: readonly string[],
    channels: readonly string[],
    text: string,
    capacity: number,
    bucketMs: number,
  ): number {
    const typesBytes = this.#put(types.join('\n'));
    const channelsBytes = this.#put(channels.join('\n'), typesBytes);
    const textBytes = this.#put(text, typesBytes + channelsBytes);
    const view = this.wasm.rf_add_view(id, typesBytes, channelsBytes, textBytes, capacity, bucketMs * 1000);
    if (view === 0) this.check(this.wasm.rf_error(), `a view of ${capacity} matches`);
    return view;
  }

  removeView(view: number): void {
    this.wasm.rf_remove_view(view);
  }

  viewNumbers(view: number): ViewNumbers {
    this.wasm.rf_read_view(view);
    return this.named(VIEW_NUMBERS);
  }

  /** Positions in the history of matches [match, match + count), as far as they are held. */
  viewPositions(view: number, match: number, count: number): number[] {
    const positions: number[] = [];
    while (positions.length < count) {
      const wanted = Math.min(count - positions.length, POSITIONS_PER_READ_MAX);
      const filled = this.wasm.rf_view_positions(view, match + positions.length, wanted);
      positions.push(...this.numbers(filled));
      if (filled < wanted) break;
    }
    return positions;
  }

  markRead(view: number, id: number, seq: number): boolean {
    return this.wasm.rf_mark_read(view, id, seq) !== 0;
  }

  /** Counts by type, busiest first. */
  viewRates(view: number, nowMs: number): (readonly [type: string, count: number])[] {
    return this.#table(this.wasm.rf_view_rates(view, nowMs * 1000))
      .map(({ type, seq }) => [type, seq] as const)
      .filter(([, count]) => count > 0)
      .sort((a, b) => b[1] - a[1]);
  }

  addHistory(name: string, recordsMax: number, bytesMax: number, ageMaxMs: number): number {
    const id = this.wasm.rf_add_history(this.#put(name), recordsMax, bytesMax, ageMaxMs * 1000);
    if (id === 0) {
      const { capacityBytes, declaredBytes, histories } = this.storeNumbers();
      const left =
        histories === HISTORIES_MAX
          ? `there are ${histories}, and no more`
          : `${bytesMax} bytes asked for, ${capacityBytes - declaredBytes} of ${capacityBytes} not set aside yet`;
      this.check(this.wasm.rf_error(), `history ${JSON.stringify(name)} (${left})`);
    }
    return id;
  }

  removeHistory(id: number): void {
    this.wasm.rf_remove_history(id);
  }

  attach(channelId: number, id: number, newEpoch: boolean, after: number, source = 0): CoreHandle {
    return this.#handle(this.wasm.rf_attach(channelId, id, newEpoch ? 1 : 0, after, source), `channel id ${channelId}`);
  }

  noteGap(channelId: number, to: number, source = 0): void {
    this.wasm.rf_note_gap(channelId, to, source);
  }

  /** `callback` must not throw. */
  onChange(id: number, callback: () => void): CoreHandle {
    const listener = ++this.#lastListener;
    const handle = this.#handle(this.wasm.rf_on_change(id, listener), 'listener', () =>
      this.#listeners.delete(listener),
    );
    this.#listeners.set(listener, callback);
    return handle;
  }

  markChanged(id: number): void {
    this.wasm.rf_mark_changed(id);
  }

  get hasChanges(): boolean {
    return this.wasm.rf_has_changes() !== 0;
  }

  notify(): void {
    this.wasm.rf_notify();
  }

  expire(id: number, nowMs: number): number {
    return this.wasm.rf_expire(id, nowMs * 1000);
  }

  clear(id: number): void {
    this.wasm.rf_clear(id);
  }

  /** The position of the first record held with a seq at or above `seq`; the end if there is none. */
  lowerBound(id: number, seq: number): number {
    return this.wasm.rf_lower_bound(id, seq);
  }

  /** The records held of [position, position + count), at most ROWS_PER_READ_MAX of them. */
  rows(id: number, position: number, count: number): RawRow[] {
    return this.#table(this.wasm.rf_window(id, position, count));
  }

  #table(filled: number): RawRow[] {
    const bytes = new Uint8Array(this.memory.buffer);
    const table = new DataView(this.memory.buffer, this.#rowsAddress, filled * ROW_BYTES);
    const rows: RawRow[] = [];
    for (let at = 0; at < filled * ROW_BYTES; at += ROW_BYTES) {
      const text = (offset: number): string => {
        const start = table.getUint32(at + offset, true);
        return this.#decoder.decode(bytes.subarray(start, start + table.getUint32(at + offset + 4, true)));
      };
      rows.push({
        seq: table.getFloat64(at, true),
        timeUs: table.getFloat64(at + 8, true),
        type: text(16),
        payload: text(24),
      });
    }
    return rows;
  }

  place(id: number): Place {
    this.wasm.rf_read_place(id);
    const numbers = this.numbers(5);
    return {
      first: numbers[0] ?? 0,
      end: numbers[1] ?? 0,
      firstSeq: numbers[2] ?? 0,
      lastSeq: numbers[3] ?? 0,
      holes: numbers[4] ?? 0,
    };
  }

  historyNumbers(id: number): HistoryNumbers {
    this.wasm.rf_read_history(id);
    return this.named(HISTORY_NUMBERS);
  }

  storeNumbers(): StoreNumbers {
    this.wasm.rf_read_store();
    return this.named(STORE_NUMBERS);
  }

  /** Batches refused, by code; those that occurred. */
  refusedByCode(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let error = 1; error < ERROR_NUMBERS_MAX; ++error) {
      const count = this.wasm.rf_refused_by(error);
      if (count > 0) counts[this.errorName(error)] = count;
    }
    return counts;
  }

  delete(): void {
    this.wasm.rf_delete();
  }

  errorName(error: number): string {
    return textAt(this.memory, this.wasm.rf_error_name(error));
  }

  /** The first numbers of the core's table, until its next call. */
  numbers(count: number): Float64Array {
    return new Float64Array(this.memory.buffer, this.#numbersAddress, count);
  }

  /** The same by name. */
  named<Name extends string>(names: readonly Name[]): Record<Name, number> {
    const numbers = this.numbers(names.length);
    return Object.fromEntries(names.map((name, index) => [name, numbers[index]])) as Record<Name, number>;
  }

  #handle(address: number, what: string, ended?: () => void): CoreHandle {
    if (address === 0) this.check(this.wasm.rf_error(), what);
    let alive = true;
    return {
      active: () => alive && this.wasm.rf_active(address) !== 0,
      delete: () => {
        if (!alive) return;
        alive = false;
        ended?.();
        this.wasm.rf_end(address);
      },
    };
  }

  /** Puts a text where the core reads those of the next call; its length in bytes. */
  #put(text: string, offset = 0): number {
    if (text === '') return 0;
    const room = new Uint8Array(this.memory.buffer, this.#textAddress + offset, TEXT_BYTES_MAX - offset);
    const { read, written } = this.#encoder.encodeInto(text, room);
    if (read < text.length) throw new RangeError(`${text.length} characters of text: at most ${TEXT_BYTES_MAX} bytes`);
    return written;
  }

  /** @throws RangeError for what could never fit, RingfenceError for any other `error` but 0 */
  check(error: number, what: string): void {
    if (error === 0) return;
    const code = this.errorName(error);
    if (code === 'bad_capacity')
      throw new RangeError(`${what}: the budget leaves at most ${this.storeNumbers().capacityBytes} bytes`);
    throw new RingfenceError(code, `${what} was refused: ${code}`);
  }
}
