// Builds batches as shared/protocol.md lays them out, byte by byte, apart from the C++ codec: what the vectors, the tests
// of the npm package and the benchmarks feed to a decoder.

const text = new TextEncoder();
const padded = (bytes) => (bytes + 7) & ~7;

/**
 * @typedef {{ seq: number | bigint, timeUs?: number | bigint, type?: string, payload?: string, flags?: number }} Event
 * @typedef {{ channelId: number, prev?: number | bigint, records: Event[] }} Section
 */

/**
 * One record with its padding.
 * @param {Event} event
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeRecord({ seq, timeUs = 1_700_000_000_000_000, type = 'message', payload = '{}', flags = 0 }) {
  const typeBytes = text.encode(type);
  const payloadBytes = text.encode(payload);
  const size = 24 + typeBytes.length + payloadBytes.length;
  const bytes = new Uint8Array(padded(size));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  view.setUint16(4, flags, true);
  view.setUint8(6, typeBytes.length);
  view.setBigUint64(8, BigInt(seq), true);
  view.setBigInt64(16, BigInt(timeUs), true);
  bytes.set(typeBytes, 24);
  bytes.set(payloadBytes, 24 + typeBytes.length);
  return bytes;
}

/**
 * A whole message.
 * @param {Section[]} sections
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encodeBatch(sections) {
  const parts = [];
  for (const { channelId, prev = 0, records } of sections) {
    const encoded = records.map(encodeRecord);
    const header = new Uint8Array(24);
    const view = new DataView(header.buffer);
    view.setUint32(0, channelId, true);
    view.setUint32(4, records.length, true);
    view.setBigUint64(8, BigInt(prev), true);
    view.setUint32(16, encoded.reduce((sum, record) => sum + record.length, 0), true);
    parts.push(header, ...encoded);
  }
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 8));
  bytes.set(text.encode('RFB1'));
  bytes[4] = 1;
  new DataView(bytes.buffer).setUint16(6, sections.length, true);
  let at = 8;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
