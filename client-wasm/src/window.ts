import { checkInteger } from './check.js';
import type { Place } from './core.js';
import type { Row, Selector, Snapshot } from './types.js';

export const WINDOW_ROWS_MAX = 100_000;

/** What a server renders, and what a component sees that has no history yet. */
export const EMPTY_SNAPSHOT: Snapshot<never> = Object.freeze({
  items: Object.freeze([]) as readonly never[],
  offset: 0,
  firstSeq: 0,
  lastSeq: 0,
  size: 0,
  evicted: 0,
  missed: 0,
  conflated: 0,
  version: 0,
});

/** @throws RangeError */
export function checkSelector(selector: Selector): Selector {
  if ('last' in selector) return { last: checkInteger('last', selector.last, 1, WINDOW_ROWS_MAX) };
  if ('from' in selector)
    return {
      from: checkInteger('from', selector.from, 0, Number.MAX_SAFE_INTEGER),
      to: checkInteger('to', selector.to, 0, Number.MAX_SAFE_INTEGER),
    };
  if ('offset' in selector)
    return {
      offset: checkInteger('offset', selector.offset, 0, Number.MAX_SAFE_INTEGER),
      limit: checkInteger('limit', selector.limit, 0, WINDOW_ROWS_MAX),
    };
  throw new RangeError('a selector is { last }, { from, to } or { offset, limit }');
}

/** What a window asks of its history. */
export interface Source<T> {
  /** Rises whenever something may have changed; -1 once the history has ended. */
  readonly tick: number;
  readonly missed: number;
  readonly conflated: number;
  place(): Place;
  lowerBound(seq: number): number;
  rows(start: number, end: number): Row<T>[];
}

/** The snapshots of one selector. */
export class WindowCache<T> {
  readonly #source: Source<T>;
  readonly #selector: Selector;
  #snapshot: Snapshot<T> = EMPTY_SNAPSHOT;
  #tick = -1;
  #start = 0;
  #end = 0;

  constructor(source: Source<T>, selector: Selector) {
    this.#source = source;
    this.#selector = checkSelector(selector);
  }

  get(): Snapshot<T> {
    const { tick } = this.#source;
    if (tick === this.#tick || tick === -1) return this.#snapshot;
    this.#tick = tick;
    const place = this.#source.place();
    const size = place.end - place.first;
    const old = this.#snapshot;
    const [start, end] = this.#range(place);
    const next = {
      offset: start,
      firstSeq: size === 0 ? 0 : place.firstSeq,
      lastSeq: place.lastSeq,
      size,
      evicted: place.first,
      missed: this.#source.missed,
      conflated: this.#source.conflated,
    };
    // A position names one record for good, so the same positions are the same rows.
    const sameRows = start === this.#start && end === this.#end;
    if (
      sameRows &&
      old.offset === next.offset &&
      old.firstSeq === next.firstSeq &&
      old.lastSeq === next.lastSeq &&
      old.size === next.size &&
      old.evicted === next.evicted &&
      old.missed === next.missed &&
      old.conflated === next.conflated
    )
      return old;
    const items = sameRows ? old.items : Object.freeze(this.#source.rows(start, end));
    this.#start = start;
    this.#end = end;
    this.#snapshot = Object.freeze({ items, ...next, version: old.version + 1 });
    return this.#snapshot;
  }

  #range({ first, end }: Place): readonly [number, number] {
    const selector = this.#selector;
    const within = (position: number): number => Math.min(Math.max(position, first), end);
    if ('last' in selector) return [within(end - selector.last), end];
    if ('offset' in selector) return [within(selector.offset), within(selector.offset + selector.limit)];
    if (selector.to < selector.from) return [end, end];
    const until = selector.to >= Number.MAX_SAFE_INTEGER ? end : this.#source.lowerBound(selector.to + 1);
    return [Math.max(this.#source.lowerBound(selector.from), until - WINDOW_ROWS_MAX), until];
  }
}
