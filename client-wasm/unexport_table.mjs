// Takes the function table out of what a WASM module exports. Nobody calls through it from outside, and in a page that has
// an exported table Chromium's Runtime.queryObjects never answers (seen in Chromium 156): it is what fuite and the
// DevTools' queryObjects() ask, so with the export they hang.

const EXPORT_SECTION = 7;
const TABLE = 1;

/** `bytes`: a whole module. Another one without exported tables. */
export function unexportTable(bytes) {
  const parts = [bytes.subarray(0, 8)]; // magic and version
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at];
    const size = readNumber(bytes, at + 1);
    const end = size.end + size.value;
    if (id === EXPORT_SECTION) {
      const kept = withoutTables(bytes.subarray(size.end, end));
      parts.push(Uint8Array.of(id), number(kept.length), kept);
    } else {
      parts.push(bytes.subarray(at, end));
    }
    at = end;
  }
  return Buffer.concat(parts);
}

// A count of entries, each a name, a kind and an index.
function withoutTables(section) {
  const count = readNumber(section, 0);
  const kept = [];
  let at = count.end;
  for (let entry = 0; entry < count.value; ++entry) {
    const name = readNumber(section, at);
    const kindAt = name.end + name.value;
    const { end } = readNumber(section, kindAt + 1);
    if (section[kindAt] !== TABLE) kept.push(section.subarray(at, end));
    at = end;
  }
  return Buffer.concat([number(kept.length), ...kept]);
}

// Unsigned LEB128.
function readNumber(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, end: at };
  }
}

function number(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return Uint8Array.from(bytes);
}
