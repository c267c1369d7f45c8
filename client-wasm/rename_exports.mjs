// The WASM module with the names that the build gives to its exports, and no other export.
//
// Short names make the package 0.6 KB gzip smaller: they are in two files. And what nobody calls does harm: in a page that
// has an exported function table Chromium's Runtime.queryObjects never answers (seen in Chromium 156). It is what fuite and
// the DevTools' queryObjects() ask, so with the export they hang.

const EXPORT_SECTION = 7;
const CUSTOM_SECTION = 0;

/** Names a, b, ... z, a1, b1, ... by those of the module's functions that `wanted` matches. */
export function shortNames(bytes, wanted) {
  const names = WebAssembly.Module.exports(new WebAssembly.Module(bytes))
    .filter(({ name, kind }) => kind === 'function' && wanted.test(name))
    .map(({ name }) => name);
  const letter = (index) => String.fromCharCode(97 + (index % 26)) + (index < 26 ? '' : Math.floor(index / 26));
  return Object.fromEntries(names.map((name, index) => [name, letter(index)]));
}

/** `bytes`: a whole module. Exports that `names` does not have are left out, and custom sections. */
export function renameExports(bytes, names) {
  const parts = [bytes.subarray(0, 8)]; // magic and version
  for (let at = 8; at < bytes.length;) {
    const id = bytes[at];
    const size = readNumber(bytes, at + 1);
    const end = size.end + size.value;
    if (id === EXPORT_SECTION) {
      const kept = renamed(bytes.subarray(size.end, end), names);
      parts.push(Uint8Array.of(id), number(kept.length), kept);
    } else if (id !== CUSTOM_SECTION) {
      parts.push(bytes.subarray(at, end));
    }
    at = end;
  }
  return Buffer.concat(parts);
}

// A count of entries, each a name, a kind and an index.
function renamed(section, names) {
  const count = readNumber(section, 0);
  const kept = [];
  let at = count.end;
  for (let entry = 0; entry < count.value; ++entry) {
    const name = readNumber(section, at);
    const kindAt = name.end + name.value;
    const { end } = readNumber(section, kindAt + 1);
    const given = names[Buffer.from(section.subarray(name.end, kindAt)).toString()];
    if (given) kept.push(number(given.length), Buffer.from(given), section.subarray(kindAt, end));
    at = end;
  }
  return Buffer.concat([number(kept.length / 3), ...kept]);
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
