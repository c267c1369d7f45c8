// The rows of one capped field, as versions: what each state shows. Rows lie in an append-only buffer that versions
// share, so an append copies nothing; the frozen array is made when somebody reads it, once a version.
//
// Bounds   a version shows at most `capacity` rows. The buffer keeps up to an eighth of that more (8 at the least) of rows
//          that have left, until it is compacted.
// Cost     append: O(1) amortised. read: one copy of the rows the first time, then nothing.

export interface Version {
  /** Rows start to end of it; later ones belong to later versions. Undefined once only `items` is needed. */
  buffer: unknown[] | undefined;
  readonly start: number;
  readonly end: number;
  items: readonly unknown[] | undefined;
}

/** Below this many rows a copy costs less than a state that makes it later. */
export const LAZY_ROWS_MIN = 256;

export function versionOf(items: readonly unknown[]): Version {
  return { buffer: undefined, start: 0, end: items.length, items };
}

export function read(version: Version): readonly unknown[] {
  return (version.items ??= Object.freeze((version.buffer ?? []).slice(version.start, version.end)));
}

/** The newest `count` rows, 1 at the least. A frozen array's own slice() is slow in V8: a spread of it is not. */
export function newest(items: readonly unknown[], count: number): unknown[] {
  return (Object.isFrozen(items) ? [...items] : items).slice(-count);
}

/** The version after `rows` came; the older one keeps what it shows. */
export function append(version: Version, rows: readonly unknown[], capacity: number): Version {
  let { buffer } = version;
  // Read-only rows, or another state went on from the same ones: what follows in the buffer is not ours.
  if (buffer?.length !== version.end) buffer = [...read(version)];
  for (let at = Math.max(0, rows.length - capacity); at < rows.length; ++at) buffer.push(rows[at]);
  const held = Math.min(capacity, version.end - version.start + rows.length);
  let end = buffer.length;
  if (rows.length > capacity || end - held > Math.max(8, capacity >> 3)) {
    buffer = buffer.slice(end - held);
    end = held;
  }
  if (version.items) version.buffer = undefined;
  return { buffer, start: end - held, end, items: undefined };
}
