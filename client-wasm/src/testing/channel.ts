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
  #next = 1;
  evicted = 0;

  constructor(name: string, id: number, epoch: string, recordsMax: number) {
    this.name = name;
    this.id = id;
    this.epoch = epoch;
    this.#recordsMax = recordsMax;
  }

  /** Of the oldest record held; `next` if there is none. */
  get first(): number {
    return this.#next - this.#records.length;
  }

  get next(): number {
    return this.#next;
  }

  append(type: string, payload: string, timeUs: number): number {
    this.#records.push({ seq: this.#next++, timeUs, type, payload });
    this.evict(this.#records.length - this.#recordsMax);
    return this.#next - 1;
  }

  /** The oldest `count` records leave. */
  evict(count: number): void {
    if (count <= 0) return;
    this.evicted += this.#records.splice(0, count).length;
  }

  /** Those behind `after`: as many as fit in `bytesMax`, but one at least. */
  read(after: number, countMax: number, bytesMax: number): Stored[] {
    const start = Math.max(0, after + 1 - this.first);
    const taken: Stored[] = [];
    let bytes = 0;
    for (const record of this.#records.slice(start, start + countMax)) {
      bytes += 32 + byteLength(record.type) + byteLength(record.payload);
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(record);
    }
    return taken;
  }
}
