// The only module that knows the generated code: one instance of the WASM core with memory of its own.
//
// Bounds   the memory's maximum is the budget, whatever happens inside.
// Refs     memory may grow in any call of the core, which detaches every view: each method makes its own.
import createGlue, { type NativeCore } from 'ringfence-glue';

import { RingfenceError, WasmLoadError } from './errors.js';

const PAGE_BYTES = 64 * 1024;
/** What the WASM module asks for at least (its -sINITIAL_MEMORY): static data, stack and a little heap. */
const INITIAL_PAGES = 4;
/** Of the first pages, what is no heap, and what the core's own tables and its reserve take. */
const FIXED_BYTES = 192 * 1024;
const ROW_BYTES = 32;
const ERROR_NUMBERS_MAX = 64;

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
] as const;
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

export type HistoryNumbers = Readonly<Record<(typeof HISTORY_NUMBERS)[number], number>>;
export type StoreNumbers = Readonly<Record<(typeof STORE_NUMBERS)[number], number>>;

export class Core {
  readonly budgetBytes: number;
  readonly #memory: WebAssembly.Memory;
  readonly #native: NativeCore;
  readonly #batchBytesMax: number;
  readonly #errorName: (error: number) => string;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #rowsAddress: number;
  readonly #numbersAddress: number;

  /** @throws WasmLoadError if the module is not ours or the memory cannot be had */
  constructor(module: WebAssembly.Module, budgetBytes: number, batchBytesMax: number) {
    const pages = Math.floor(budgetBytes / PAGE_BYTES);
    this.budgetBytes = pages * PAGE_BYTES;
    this.#batchBytesMax = batchBytesMax;
    try {
      this.#memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: pages });
      const glue = createGlue({
        wasmMemory: this.#memory,
        instantiateWasm(imports, receive) {
          const instance = new WebAssembly.Instance(module, imports);
          receive(instance, module);
          return instance.exports;
        },
      });
      this.#errorName = (error) => glue.errorName(error);
      this.#native = new glue.Core();
    } catch (cause) {
      throw new WasmLoadError(`the WASM core did not start: ${String(cause)}`, cause);
    }
    // A sixteenth is left to bookkeeping and to what lies between blocks.
    const recordBytes = this.budgetBytes - FIXED_BYTES - batchBytesMax - Math.floor(this.budgetBytes / 16);
    this.#check(this.#native.start(recordBytes, batchBytesMax), 'the store');
    this.#rowsAddress = this.#native.rowsAddress();
    this.#numbersAddress = this.#native.numbersAddress();
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Takes a batch whole or not at all: undefined, or the code of its error. `source`: whose channel ids it has. */
  ingest(bytes: Uint8Array, source = 0): string | undefined {
    const address = this.#native.staging(bytes.length);
    if (address === 0) return bytes.length > this.#batchBytesMax ? 'batch_too_large' : 'memory_full';
    new Uint8Array(this.#memory.buffer).set(bytes, address);
    const error = this.#native.ingest(bytes.length, source);
    return error === 0 ? undefined : this.#errorName(error);
  }

  addHistory(name: string, recordsMax: number, bytesMax: number, ageMaxMs: number): number {
    const id = this.#native.addHistory(name, recordsMax, bytesMax, ageMaxMs * 1000);
    if (id === 0) {
      const { capacityBytes, declaredBytes } = this.storeNumbers();
      const left = `${bytesMax} bytes asked for, ${capacityBytes - declaredBytes} of ${capacityBytes} not set aside yet`;
      this.#check(this.#native.error(), `history ${JSON.stringify(name)} (${left})`);
    }
    return id;
  }

  removeHistory(id: number): void {
    this.#native.removeHistory(id);
  }

  attach(channelId: number, id: number, newEpoch: boolean, after: number, source = 0): CoreHandle {
    return this.#handle(this.#native.attach(channelId, id, newEpoch, after, source), `channel id ${channelId}`);
  }

  noteGap(channelId: number, to: number, source = 0): void {
    this.#native.noteGap(channelId, to, source);
  }

  /** `callback` must not throw. */
  onChange(id: number, callback: () => void): CoreHandle {
    return this.#handle(this.#native.onChange(id, callback), 'listener');
  }

  markChanged(id: number): void {
    this.#native.markChanged(id);
  }

  get hasChanges(): boolean {
    return this.#native.hasChanges();
  }

  notify(): void {
    this.#native.notify();
  }

  expire(id: number, nowMs: number): number {
    return this.#native.expire(id, nowMs * 1000);
  }

  clear(id: number): void {
    this.#native.clear(id);
  }

  /** The position of the first record held with a seq at or above `seq`; the end if there is none. */
  lowerBound(id: number, seq: number): number {
    return this.#native.lowerBound(id, seq);
  }

  /** The records held of [position, position + count), at most ROWS_PER_READ_MAX of them. */
  rows(id: number, position: number, count: number): RawRow[] {
    const filled = this.#native.window(id, position, count);
    const bytes = new Uint8Array(this.#memory.buffer);
    const table = new DataView(this.#memory.buffer, this.#rowsAddress, filled * ROW_BYTES);
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
    this.#native.readPlace(id);
    const numbers = this.#numbers(5);
    return {
      first: numbers[0] ?? 0,
      end: numbers[1] ?? 0,
      firstSeq: numbers[2] ?? 0,
      lastSeq: numbers[3] ?? 0,
      holes: numbers[4] ?? 0,
    };
  }

  historyNumbers(id: number): HistoryNumbers {
    this.#native.readHistory(id);
    return this.#named(HISTORY_NUMBERS);
  }

  storeNumbers(): StoreNumbers {
    this.#native.readStore();
    return this.#named(STORE_NUMBERS);
  }

  /** Batches refused, by code; those that occurred. */
  refusedByCode(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let error = 1; error < ERROR_NUMBERS_MAX; ++error) {
      const count = this.#native.refusedBy(error);
      if (count > 0) counts[this.#errorName(error)] = count;
    }
    return counts;
  }

  delete(): void {
    this.#native.delete();
  }

  #numbers(count: number): Float64Array {
    return new Float64Array(this.#memory.buffer, this.#numbersAddress, count);
  }

  #named<Name extends string>(names: readonly Name[]): Record<Name, number> {
    const numbers = this.#numbers(names.length);
    return Object.fromEntries(names.map((name, index) => [name, numbers[index]])) as Record<Name, number>;
  }

  #handle(handle: CoreHandle | null, what: string): CoreHandle {
    if (handle === null) this.#check(this.#native.error(), what);
    return handle as CoreHandle;
  }

  #check(error: number, what: string): void {
    if (error === 0) return;
    const code = this.#errorName(error);
    throw new RingfenceError(code, `${what} was refused: ${code}`);
  }
}
