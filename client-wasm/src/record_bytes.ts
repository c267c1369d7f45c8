// Records as they lie in WASM, for what keeps them or sends them on. Apart from core.ts: most pages do neither.
import type { Core } from './core.js';

/** Of an entry of the core's table of rows, and where in it the address of the type is, which follows the record's head. */
const ROW_BYTES = 32;
const TYPE_AT = 16;
/** Of a record, before its type (shared/protocol.md). */
const RECORD_HEAD_BYTES = 24;

/** The records held of [position, position + count), padding included; each view is good until the next call of the core. */
export function recordBytes(core: Core, id: number, position: number, count: number): Uint8Array[] {
  const filled = core.wasm.rf_window(id, position, count);
  const rows = core.wasm.rf_rows_address();
  const { buffer } = core.memory;
  const memory = new DataView(buffer);
  return Array.from({ length: filled }, (_, index) => {
    const start = memory.getUint32(rows + index * ROW_BYTES + TYPE_AT, true) - RECORD_HEAD_BYTES;
    return new Uint8Array(buffer, start, (memory.getUint32(start, true) + 7) & ~7);
  });
}
