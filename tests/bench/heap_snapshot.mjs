// What of a V8 heap snapshot JavaScript holds: a heap's size alone also has what the engine makes for itself, and goes on making.

/** Kinds of nodes that are the engine's: code, feedback, shapes. */
const OF_ENGINE = new Set(['code', 'hidden', 'object shape']);
/** Of a browser's native nodes those that a script asked for. The others are its own: styles, text, timings of frames. */
const OF_SCRIPT = new Set(['system / JSArrayBufferData', 'system / ExternalStringData']);

/**
 * Bytes of objects, arrays, strings, closures and what buffers hold.
 * @param text the snapshot, as JSON
 * @param inBrowser native nodes that are the browser's own are left out
 */
export function heldBytes(text, { inBrowser = false } = {}) {
  const { snapshot, nodes, strings } = JSON.parse(text);
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field));
  let bytes = 0;
  for (let node = 0; node < nodes.length; node += fields.length) {
    const kind = types[typeAt][nodes[node + typeAt]];
    if (OF_ENGINE.has(kind)) continue;
    if (inBrowser && kind === 'native' && !OF_SCRIPT.has(strings[nodes[node + nameAt]])) continue;
    bytes += nodes[node + sizeAt];
  }
  return bytes;
}
