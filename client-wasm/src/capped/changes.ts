// What a new array of a capped field is to the one before: an append, a prepend or something else. The rows of the new
// array are taken as they are in any case; this only decides which end is trimmed, and how what left is counted.

export interface Change {
  /** Rows that came. */
  readonly added: number;
  /** Rows that the new array left out at its other end. */
  readonly left: number;
  /** The new rows stand first: the cap takes from the end. */
  readonly prepended: boolean;
  /** Neither: filtered, edited or replaced. */
  readonly other: boolean;
}

/** As Object.is, but for the two zeros; that is a call in V8, and this is none. */
const same = (a: unknown, b: unknown): boolean => a === b || (a !== a && b !== b);

/** Whether b[bAt...] goes on as a[aAt...], judged by both ends and the middle: never a walk over all of it. */
const goesOn = (a: readonly unknown[], aAt: number, b: readonly unknown[], bAt: number, count: number): boolean =>
  [0, count >> 1, count - 1].every((at) => same(a[aAt + at], b[bAt + at]));

export function changeOf(before: readonly unknown[], after: readonly unknown[]): Change {
  const had = before.length;
  const has = after.length;
  if (!had) return { added: has, left: 0, prepended: false, other: false };
  if (has > 0) {
    // Appended: the new array begins with a tail of the old one. Often all of it, or all but the oldest.
    for (let skip = 0; skip < had; ++skip)
      if (same(before[skip], after[0]) && had - skip < has && goesOn(before, skip, after, 0, had - skip))
        return { added: has - had + skip, left: skip, prepended: false, other: false };
    // Prepended: it ends with a head of the old one.
    const last = after[has - 1];
    for (let kept = Math.min(had, has - 1); kept > 0; --kept)
      if (same(before[kept - 1], last) && goesOn(before, 0, after, has - kept, kept))
        return { added: has - kept, left: had - kept, prepended: true, other: false };
  }
  // Rows that stay, in their order.
  let stays = 0;
  if (has === had) for (let at = 0; at < had; ++at) stays += same(before[at], after[at]) ? 1 : 0;
  else for (let at = 0; at < had && stays < has; ++at) stays += same(before[at], after[stays]) ? 1 : 0;
  return { added: has - stays, left: had - stays, prepended: false, other: true };
}
