// One channel of a MemoryServer: its records, the newest `recordsMax` of them.
import { byteLength } from '../check.js';
import type { EncodedEvent } from './encode.js';

export interface Stored extends EncodedEvent {
  readonly seq: number;
  readonly timeUs: number;
  readonly type: string;
  readonly payload: string;
}

export class Channel {
  readonly name: string;
  readonly id: number;
  readonly epoch: string;
  readonly #recordsMax: number;
  #records: Stored[] = [];
  #last = 0;
  /** The seq of the newest record that has left. */
  evictedTo = 0;
  evicted = 0;

  constructor(name: string, id: number, epoch: string, recordsMax: number) {
    this.name = name;
    this.id = id;
    this.epoch = epoch;
    this.#recordsMax = recordsMax;
  }

  /** Of the oldest record held; `next` if there is none. */
  get first(): number {
    return this.#records[0]?.seq ?? this.next;
  }

  get next(): number {
    return this.#last + 1;
  }

  append(seq: number, type: string, payload: string, timeUs: number): void {
    this.#last = seq;
    this.#records.push({ seq, timeUs, type, payload });
    this.evict(this.#records.length - this.#recordsMax);
  }

  /** The oldest `count` records leave. */
  evict(count: number): void {
    if (count <= 0) return;
    const gone = this.#records.splice(0, count);
    this.evicted += gone.length;
    this.evictedTo = gone.at(-1)?.seq ?? this.evictedTo;
  }

  /** Where the newest `count` records that are held begin: a seq that they are above, and the others are not. */
  before(count: number): number {
    return this.#records.at(-1 - count)?.seq ?? this.evictedTo;
  }

  /** Those behind `after`: as many as fit in `bytesMax`, but one at least. */
  read(after: number, countMax: number, bytesMax: number): Stored[] {
    const start = this.#records.findIndex(({ seq }) => seq > after);
    const taken: Stored[] = [];
    if (start < 0) return taken;
    let bytes = 0;
    for (const record of this.#records.slice(start, start + countMax)) {
      bytes += 32 + byteLength(record.type) + byteLength(record.payload);
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(record);
    }
    return taken;
  }
}
