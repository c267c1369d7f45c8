// Batches as shared/protocol.md lays them out: what a server sends. tests/vectors holds this to the bytes.

/** One record of a batch. */
export interface EncodedEvent {
  /** 1 to 2^53 - 1, above the one before it. */
  readonly seq: number | bigint;
  /** Microseconds since 1970-01-01. Default 1,700,000,000,000,000 (in November 2023). */
  readonly timeUs?: number | bigint;
  /** 1 to 255 bytes of UTF-8. Default `message`. */
  readonly type?: string;
  /** JSON. Default `{}`. Not checked: a test may want another text. */
  readonly payload?: string;
  /** Of the record, 0 to 255. Default 0, as the protocol has it. */
  readonly flags?: number;
}

/** The records of one channel in a batch. */
export interface EncodedSection {
  /** As told in `subscribed`, 0 to 2^32 - 1. */
  readonly channelId: number;
  /** The seq before the first record's, 0 if none. Default 0. */
  readonly prev?: number | bigint;
  /** In the order in which they are written. */
  readonly records: readonly EncodedEvent[];
}

const utf8 = new TextEncoder();
const BATCH_HEAD_BYTES = 8;
const SECTION_HEAD_BYTES = 24;
const RECORD_HEAD_BYTES = 24;

/**
 * The binary message of some sections, as `FakeSocket.binary()` takes it. Nothing is checked, so that a test can make
 * what a client must refuse.
 *
 * ```ts
 * socket.binary(encodeBatch([{ channelId: 1, records: [{ seq: 1, payload: '{"text":"hello"}' }] }]));
 * ```
 */
export function encodeBatch(sections: readonly EncodedSection[]): Uint8Array<ArrayBuffer> {
  const parts = sections.map(({ channelId, prev = 0, records }) => {
    const encoded = records.map(
      ({ seq, timeUs = 1_700_000_000_000_000, type = 'message', payload = '{}', flags = 0 }) => {
        const head = { seq: BigInt(seq), timeUs: BigInt(timeUs), flags };
        return { ...head, type: utf8.encode(type), payload: utf8.encode(payload) };
      },
    );
    const bytes = encoded.reduce((sum, record) => sum + paddedBytes(record), 0);
    return { channelId, prev: BigInt(prev), encoded, bytes };
  });
  const total = parts.reduce((sum, part) => sum + SECTION_HEAD_BYTES + part.bytes, BATCH_HEAD_BYTES);
  const message = new Uint8Array(total);
  const view = new DataView(message.buffer);
  message.set(utf8.encode('RFB1'));
  view.setUint8(4, 1);
  view.setUint16(6, parts.length, true);
  let at = BATCH_HEAD_BYTES;
  for (const { channelId, prev, encoded, bytes } of parts) {
    view.setUint32(at, channelId, true);
    view.setUint32(at + 4, encoded.length, true);
    view.setBigUint64(at + 8, prev, true);
    view.setUint32(at + 16, bytes, true);
    at += SECTION_HEAD_BYTES;
    for (const record of encoded) {
      view.setUint32(at, sizeOf(record), true);
      view.setUint16(at + 4, record.flags, true);
      view.setUint8(at + 6, record.type.length);
      view.setBigUint64(at + 8, record.seq, true);
      view.setBigInt64(at + 16, record.timeUs, true);
      message.set(record.type, at + RECORD_HEAD_BYTES);
      message.set(record.payload, at + RECORD_HEAD_BYTES + record.type.length);
      at += paddedBytes(record);
    }
  }
  return message;
}

type Sized = { readonly type: Uint8Array; readonly payload: Uint8Array };
const sizeOf = ({ type, payload }: Sized): number => RECORD_HEAD_BYTES + type.length + payload.length;
const paddedBytes = (record: Sized): number => (sizeOf(record) + 7) & ~7;
