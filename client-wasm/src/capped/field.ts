// One capped field of a store: its newest version, its cap and its counters. They follow ring_buffer.h: a push past the
// capacity evicts the oldest, and counters never go down.
import { RingfenceError } from '../errors.js';
import { type Change, changeOf } from './changes.js';
import { append, newest, read, versionOf, type Version } from './versions.js';

/** Why rows left: the cap (or the store's own `.slice(-n)`), an empty array in their place, or any other array. */
export type CappedReason = 'capacity' | 'cleared' | 'replaced';

/** The counters of a capped field: since its store was made, never reset, but for what is so now. */
export interface CappedStats {
  /** The most rows held, as declared. */
  readonly capacity: number;
  /** Rows held now. */
  readonly size: number;
  /** The most rows held at once. */
  readonly highWaterMark: number;
  /** Rows that ever came. */
  readonly appended: number;
  /** Rows that were held and have left, by reason. */
  readonly evicted: Readonly<Record<CappedReason, number>>;
  /** Values that were no arrays: the rows before them stayed. */
  readonly refused: number;
}

/** What is left of an array that was set, and what it is to the one before. */
interface Trimmed {
  readonly kept: readonly unknown[];
  /** Rows that the cap took. */
  readonly over: number;
  readonly change: Change;
}

export class Field {
  head: Version = versionOf(Object.freeze([]));
  refused = 0;
  #appended = 0;
  #highWaterMark = 0;
  #drafted: Trimmed | undefined;
  readonly #evicted = { capacity: 0, cleared: 0, replaced: 0 };

  constructor(
    readonly name: string,
    readonly capacity: number,
  ) {}

  /** @throws RingfenceError `not_an_array` */
  check(value: unknown): readonly unknown[] {
    if (Array.isArray(value)) return value as readonly unknown[];
    ++this.refused;
    throw new RingfenceError(
      'not_an_array',
      `the capped field ${JSON.stringify(this.name)} must be an array, and is ${value === null ? value : typeof value}`,
    );
  }

  /** The array that takes the place of the one before: itself, frozen, if it is within the cap. */
  adopt(next: readonly unknown[]): readonly unknown[] {
    const before = read(this.head);
    if (next === before) return next;
    let trimmed = this.#drafted;
    this.#drafted = undefined;
    if (trimmed?.kept !== next) {
      const pushed = this.pushed(next);
      if (pushed) return pushed;
      trimmed = this.#trim(next, next);
    }
    const { kept, over, change } = trimmed;
    this.#appended += kept.length + over - change.kept;
    this.#evicted[!next.length ? 'cleared' : change.other ? 'replaced' : 'capacity'] += before.length - change.kept;
    this.#evicted.capacity += over;
    this.#became(versionOf(Object.freeze(kept)));
    return kept;
  }

  /** Another array in place of a draft's rows; what left is counted once adopt() is given it. */
  draft(rows: readonly unknown[], own: readonly unknown[]): readonly unknown[] {
    return (this.#drafted = this.#trim(rows, own)).kept;
  }

  /** @param own the rows as they were before a draft was made of them */
  #trim(rows: readonly unknown[], own: readonly unknown[]): Trimmed {
    const change = changeOf(read(this.head), own);
    const over = Math.max(0, rows.length - this.capacity);
    const kept = !over ? rows : change.prepended ? [...rows].slice(0, this.capacity) : newest(rows, this.capacity);
    return { kept, over, change };
  }

  /** What adopt() makes of the commonest change, a row more at the end, judged by both ends; undefined of any other. */
  pushed(next: unknown): readonly unknown[] | undefined {
    const before = this.head.items;
    if (!before || next === before || !Array.isArray(next)) return undefined;
    const had = before.length;
    const left = had + 1 - next.length; // 1 where the store's own slice(-n) took the oldest
    const last = before[had - 1];
    if (
      (left !== 1 && left !== 0) ||
      had < 2 ||
      before[left] !== next[0] ||
      last !== next[had - 1 - left] ||
      last === next[had - left] // as after a row that was put first
    )
      return undefined;
    const over = next.length > this.capacity;
    ++this.#appended;
    this.#evicted.capacity += over ? 1 : left;
    const kept = Object.freeze(over ? newest(next, this.capacity) : next);
    this.#became(versionOf(kept));
    return kept;
  }

  append(head: Version, rows: readonly unknown[]): Version {
    const had = head.end - head.start;
    const next = append(head, rows, this.capacity);
    this.#appended += rows.length;
    this.#evicted.capacity += had + rows.length - (next.end - next.start);
    this.#became(next);
    return next;
  }

  stats(): CappedStats {
    return Object.freeze({
      capacity: this.capacity,
      size: this.head.end - this.head.start,
      highWaterMark: this.#highWaterMark,
      appended: this.#appended,
      evicted: Object.freeze({ ...this.#evicted }),
      refused: this.refused,
    });
  }

  #became(head: Version): void {
    this.head = head;
    this.#highWaterMark = Math.max(this.#highWaterMark, head.end - head.start);
  }
}
