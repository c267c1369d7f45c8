// What of a history has to be written, so that what is kept is what it holds. Knows nothing of databases.
//
// Bounds   kept are the segments of which the history still holds a record: its own bounds, and less than one segment more.
// Cost     collect: one copy of the records that are new (and of a small segment before them), at most `segmentsMax` of 32 KiB.
import type { HistoryImpl } from '../history.js';
import { FORMAT, type Kept, type Save } from './database.js';
import { SEGMENT_BYTES, SEGMENT_RECORDS, type Segment, takeSegment } from './segment.js';

/** Of a segment that is kept, all but its bytes. */
type Written = Pick<Segment, 'first' | 'last' | 'count'> & { readonly size: number };

export interface Change {
  readonly save: Save;
  readonly written: readonly Written[];
  /** There is more to be written than `segmentsMax`. */
  readonly more: boolean;
}

const written = ({ first, last, count, bytes }: Segment): Written => ({ first, last, count, size: bytes.length });
const stamp = (): string => Math.random().toString(36).slice(2) + Date.now().toString(36);

export class Saver {
  readonly #history: HistoryImpl<unknown>;
  #written: readonly Written[] = [];
  #kept: Kept | undefined;

  constructor(history: HistoryImpl<unknown>) {
    this.#history = history;
  }

  get segments(): number {
    return this.#written.length;
  }

  get records(): number {
    return this.#written.reduce((sum, { count }) => sum + count, 0);
  }

  get bytes(): number {
    return this.#written.reduce((sum, { size }) => sum + size, 0);
  }

  /** This is what is kept now. */
  loaded(kept: Kept, segments: readonly Segment[]): void {
    this.#kept = kept;
    this.#written = segments.map(written);
  }

  saved({ save, written }: Change): void {
    this.#kept = save.kept;
    this.#written = written;
  }

  /** Undefined: what is kept is what the history holds. `anew`: all of it, whatever is kept. */
  collect(segmentsMax: number, anew = false): Change | undefined {
    const { resume, store, id } = this.#history;
    if (!resume) return undefined; // no channel has fed it
    const { core } = store;
    const place = core.place(id);
    const kept = anew ? undefined : this.#kept;
    const same = kept?.epoch === resume.epoch && kept.channel === resume.channel;
    const held = place.end > place.first;
    const left = same ? this.#written.filter(({ last }) => held && last >= place.firstSeq) : [];
    const dropped = same && left.length < this.#written.length;
    const tail = left.at(-1);
    let position = core.lowerBound(id, (tail?.last ?? 0) + 1);
    let replaced: number | undefined;
    if (position < place.end && tail && tail.count < SEGMENT_RECORDS / 2 && tail.size < SEGMENT_BYTES / 2) {
      // A small one is written again with what is new, so that there are few.
      left.pop();
      replaced = tail.first;
      position = core.lowerBound(id, tail.first);
    }
    const segments: Segment[] = [];
    while (position < place.end && segments.length < segmentsMax) {
      const { segment, next } = takeSegment(core, id, position, place.end);
      if (segment) segments.push(segment);
      position = next;
    }
    const more = position < place.end;
    const lastSeq = more ? (segments.at(-1) as Segment).last : place.lastSeq;
    if (same && !dropped && segments.length === 0 && kept.lastSeq === lastSeq) return undefined;
    let below = 0;
    if (!same) below = Number.POSITIVE_INFINITY;
    else if (dropped) below = left[0]?.first ?? Number.POSITIVE_INFINITY;
    return {
      save: {
        kept: { format: FORMAT, ...resume, lastSeq, stamp: stamp() },
        expected: kept?.stamp,
        below,
        replaced,
        segments,
      },
      written: [...left, ...segments.map(written)],
      more,
    };
  }
}
