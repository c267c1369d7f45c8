// What a new array of a capped field is to the one before: an append, a prepend or something else. The rows of the new
// array are taken as they are in any case; this only decides which end is trimmed, and how what left is counted.
//
// Cost     O(rows): a walk or two where all of the old ones stay or no two are equal, WALKS_MAX of them at most.

/** Through rows that are nearly all equal: what is not found by then counts as neither an append nor a prepend. */
const WALKS_MAX = 16;

export interface Change {
  /** Rows of the array before that are in the new one. */
  readonly kept: number;
  /** The new rows stand first: the cap takes from the end. */
  readonly prepended: boolean;
  /** Neither: filtered, edited or replaced. */
  readonly other: boolean;
}

/** As Object.is, but for the two zeros; that is a call in V8, and this is none. */
const same = (a: unknown, b: unknown): boolean => a === b || (a !== a && b !== b);

/** How many rows of a's end are b's beginning, `most` at most. */
function overlap(a: readonly unknown[], b: readonly unknown[], most: number): number {
  let count = most;
  for (let at = 0, tries = WALKS_MAX * most; at < count; --tries)
    if (tries < 0) return 0;
    else if (same(a[a.length - count + at], b[at])) ++at;
    else {
      at = 0;
      --count;
    }
  return count;
}

export function changeOf(before: readonly unknown[], after: readonly unknown[]): Change {
  const had = before.length;
  const has = after.length;
  const most = Math.max(0, Math.min(had, has - 1)); // a row has come
  let kept = overlap(before, after, most);
  const ahead = kept < most ? overlap(after, before, most) : 0;
  const prepended = ahead > kept;
  if (prepended) kept = ahead;
  const other = had > 0 && !kept;
  // Rows that stay, in their order.
  if (other)
    for (let at = 0; at < had; ++at) if (kept < has && same(before[at], after[has === had ? at : kept])) ++kept;
  return { kept, prepended, other };
}
