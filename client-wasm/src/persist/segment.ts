// Some records of a history as bytes, as they lie in WASM and came by the wire, with a checksum.
//
// Bounds   SEGMENT_RECORDS records and SEGMENT_BYTES, but one record at least.
// Errors   readSegment: undefined for what is none, does not fit its checksum, or holds no whole, rising records.
import type { Core } from '../core.js';
import { recordBytes } from '../record_bytes.js';

export const SEGMENT_BYTES = 32 * 1024;
/** As many as the core gives at once (ROWS_PER_READ_MAX). */
export const SEGMENT_RECORDS = 256;

const RECORD_HEAD_BYTES = 24;
const BATCH_HEAD_BYTES = 8;
const SECTION_HEAD_BYTES = 24;
/** Ahead of the records of a batch with one section. */
export const HEAD_BYTES = BATCH_HEAD_BYTES + SECTION_HEAD_BYTES;

export interface Segment {
  /** Seq of the oldest and the newest record. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly crc: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

const seqAt = (view: DataView, at: number): number => Number(view.getBigUint64(at + 8, true));
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
/** A record that was pushed by the page: its value is JavaScript's and is not kept. */
const isLocal = (record: Uint8Array): boolean => record[7] === 1;

/** The channel's records from `position` on, as many as fit in one segment; `next` is where to go on. */
export function takeSegment(
  core: Core,
  id: number,
  position: number,
  end: number,
): { readonly segment: Segment | undefined; readonly next: number } {
  const records = recordBytes(core, id, position, Math.min(end - position, SEGMENT_RECORDS));
  const taken: Uint8Array[] = [];
  let size = 0;
  let next = position;
  for (const record of records) {
    if (taken.length > 0 && size + record.length > SEGMENT_BYTES) break;
    ++next;
    if (isLocal(record)) continue;
    taken.push(record);
    size += record.length;
  }
  if (taken.length === 0) return { segment: undefined, next: records.length === 0 ? end : next };
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const record of taken) {
    bytes.set(record, at);
    at += record.length;
  }
  const newest = taken.at(-1) as Uint8Array;
  const first = seqAt(viewOf(bytes), 0);
  const last = seqAt(viewOf(bytes), size - newest.length);
  return { segment: { first, last, count: taken.length, crc: crc32(bytes), bytes }, next };
}

/** What was kept, checked. */
export function readSegment(value: unknown): Segment | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { first, last, count, crc, bytes } = value as Partial<Segment>;
  if (!(bytes instanceof Uint8Array) || bytes.length === 0 || crc32(bytes) !== crc) return undefined;
  if (!Number.isSafeInteger(first) || !Number.isSafeInteger(last)) return undefined;
  const view = viewOf(bytes);
  let seen = 0;
  let seq = 0;
  for (let at = 0; at < bytes.length; ++seen) {
    const stride = strideAt(view, at);
    const next = stride === 0 ? 0 : seqAt(view, at);
    if (next <= seq || (seen === 0 && next !== first)) return undefined;
    seq = next;
    at += stride;
  }
  return seen === count && seq === last ? (value as Segment) : undefined;
}

// Of the record there, padding included; 0 if there is no whole one.
function strideAt(view: DataView, at: number): number {
  if (at + RECORD_HEAD_BYTES > view.byteLength) return 0;
  const size = view.getUint32(at, true);
  const stride = Math.ceil(size / 8) * 8;
  return size > RECORD_HEAD_BYTES && at + stride <= view.byteLength ? stride : 0;
}

/** The batches that bring a segment into a history: each at most `bytesMax`, or one record. */
export function* batchesOf(
  { bytes }: Segment,
  channelId: number,
  prev: number,
  bytesMax: number,
): Generator<Uint8Array<ArrayBuffer>> {
  const view = viewOf(bytes);
  let before = prev;
  for (let start = 0; start < bytes.length;) {
    let end = start;
    let count = 0;
    let last = before;
    while (end < bytes.length) {
      const stride = strideAt(view, end);
      if (count > 0 && HEAD_BYTES + end + stride - start > bytesMax) break;
      last = seqAt(view, end);
      end += stride;
      ++count;
    }
    const batch = new Uint8Array(HEAD_BYTES + end - start);
    const head = viewOf(batch);
    batch.set([0x52, 0x46, 0x42, 0x31, 1, 0, 1, 0]); // RFB1, version 1, one section
    head.setUint32(8, channelId, true);
    head.setUint32(12, count, true);
    head.setBigUint64(16, BigInt(before), true);
    head.setUint32(24, end - start, true);
    batch.set(bytes.subarray(start, end), HEAD_BYTES);
    yield batch;
    before = last;
    start = end;
  }
}

let table: Uint32Array | undefined;

/** CRC-32 as of zip and PNG. */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; ++bit) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; ++at) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
