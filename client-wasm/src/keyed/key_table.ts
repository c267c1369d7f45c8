// KeyTable of key_table.h, as JavaScript calls it.
import type { Core } from '../core.js';
import type { KeyedReason } from '../keyed_types.js';

export const LEFT_PER_READ_MAX = 64;
/** A number that no entry has. */
export const NO_ENTRY = 2 ** 32 - 1;
/** As KeyTable::Reason; the last one stands for what was asked for, and has none. */
export const REASONS: readonly (KeyedReason | undefined)[] = ['age', 'capacity', 'bytes', 'cleared', undefined];
const NUMBERS = [
  'highWaterMark',
  'heldBytes',
  'hits',
  'misses',
  'refused',
  'age',
  'capacity',
  'bytes',
  'cleared',
  'removed',
] as const;

/** Owns the C++ object until delete(). */
export class KeyTable {
  readonly #core: Core;
  readonly #address: number;

  /** `bytesMax` 0: no limit. @throws RangeError for more than the budget; RingfenceError `over_budget`, `memory_full` */
  constructor(core: Core, label: string, capacity: number, bytesMax: number) {
    this.#core = core;
    this.#address = core.wasm.rf_add_keyed(capacity, bytesMax);
    if (this.#address === 0) core.check(core.wasm.rf_error(), `${label} of ${capacity} entries and ${bytesMax} bytes`);
  }

  delete(): void {
    this.#core.wasm.rf_remove_keyed(this.#address);
  }

  /** The code of its error, or undefined. `ttlMs` 0: none. */
  set(entry: number, nowMs: number, ttlMs: number, bytes: number): string | undefined {
    const error = this.#core.wasm.rf_keyed_set(this.#address, entry, nowMs, ttlMs, bytes);
    return error === 0 ? undefined : this.#core.errorName(error);
  }

  touch(entry: number, nowMs: number): void {
    this.#core.wasm.rf_keyed_touch(this.#address, entry, nowMs);
  }

  erase(entry: number, nowMs: number): void {
    this.#core.wasm.rf_keyed_erase(this.#address, entry, nowMs);
  }

  expire(nowMs: number): void {
    this.#core.wasm.rf_keyed_expire(this.#address, nowMs);
  }

  clear(nowMs: number): void {
    this.#core.wasm.rf_keyed_clear(this.#address, nowMs);
  }

  /** What left in the last call of these, from the `from`th on: eight times its entry, and the place of its reason. */
  left(from: number): Float64Array {
    return this.#core.numbers(this.#core.wasm.rf_keyed_left(this.#address, from));
  }

  counts(nowMs: number): Readonly<Record<(typeof NUMBERS)[number], number>> {
    this.#core.wasm.rf_read_keyed(this.#address, nowMs);
    return this.#core.named(NUMBERS);
  }
}
