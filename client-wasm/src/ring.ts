'use client';
// ringfence/ring: useRing, a capped list of one component, in React's own state. No store, no WASM.
import { useMemo, useReducer } from 'react';

import { type Version, append, newest, read, versionOf } from './capped/versions.js';
import { checkInteger } from './check_integer.js';

/** As the ring buffers of the core. */
const CAPACITY_MAX = 2 ** 28;

interface Held {
  readonly rows: Version;
  readonly evicted: number;
}

interface Push<T> {
  readonly values: readonly T[];
  readonly capacity: number;
}

/** What `useRing` gives. `push`, `pushMany` and `clear` stay the same functions while the capacity does. */
export interface Ring<T> {
  /** The newest values, oldest first, at most `capacity`. Frozen; the same array until something is pushed or cleared. */
  readonly items: readonly T[];
  /** Values that were held and have left: `evicted + index` is a stable key of a row. */
  readonly evicted: number;
  /** Adds values behind the newest. */
  readonly push: (...values: T[]) => void;
  /** The same of anything that can be iterated, which is done now. */
  readonly pushMany: (values: Iterable<T>) => void;
  /** Lets go of all of them: they count as evicted. */
  readonly clear: () => void;
}

// Pure: from the same state it makes the same one again, as StrictMode and a render begun anew ask of it.
function reduce<T>({ rows, evicted }: Held, action: Push<T> | undefined): Held {
  const had = rows.end - rows.start;
  if (!action) return had === 0 ? { rows, evicted } : { rows: versionOf(Object.freeze([])), evicted: evicted + had };
  const kept = append(rows, action.values, action.capacity);
  return { rows: kept, evicted: evicted + had + action.values.length - (kept.end - kept.start) };
}

/**
 * The last `capacity` values that this component was given, without a store. Many pushes at once are one render, and a push
 * copies nothing. With a smaller capacity the oldest leave at once.
 *
 * ```tsx
 * const { items, evicted, push } = useRing<Line>(200);
 * useEffect(() => source.onLine(push), [push]);
 * return items.map((line, index) => <p key={evicted + index}>{line.text}</p>);
 * ```
 * @param initial what it begins with, looked at in the first render only; the oldest beyond the capacity are left out
 * @throws RangeError unless `capacity` is a whole number from 1 to 2^28
 */
export function useRing<T>(capacity: number, initial: readonly T[] = []): Ring<T> {
  checkInteger('capacity', capacity, 1, CAPACITY_MAX);
  const [held, dispatch] = useReducer(reduce<T>, undefined, (): Held => {
    const kept = newest(initial, capacity);
    return { rows: versionOf(Object.freeze(kept)), evicted: initial.length - kept.length };
  });
  const actions = useMemo(() => {
    const pushMany = (values: Iterable<T>): void => {
      const given = [...values]; // now: an iterator gives them once
      if (given.length > 0) dispatch({ values: given, capacity });
    };
    return { push: (...values: T[]) => pushMany(values), pushMany, clear: () => dispatch(undefined) };
  }, [capacity]);
  return useMemo(() => {
    const all = read(held.rows) as readonly T[];
    const items = all.length > capacity ? Object.freeze(newest(all, capacity) as T[]) : all;
    return { items, evicted: held.evicted + all.length - items.length, ...actions };
  }, [held, capacity, actions]);
}
