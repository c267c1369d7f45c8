// Which end of a capped field loses rows where many of them are equal, so that one alone says little.
import { createSlice, configureStore, type PayloadAction } from '@reduxjs/toolkit';
import { createStore } from 'zustand/vanilla';
import { immer } from 'zustand/middleware/immer';
import { describe, expect, it } from 'vitest';

import { changeOf } from '../src/capped/changes.js';
import type { CappedStats } from '../src/capped/field.js';
import { capped as cappedSlice } from '../src/redux.js';
import { append, capped } from '../src/zustand.js';

type Rows = readonly unknown[];
interface Capped {
  rows(): Rows;
  set(change: (rows: unknown[]) => Rows): void;
  stats(): CappedStats;
}
interface State {
  list: Rows;
}

const zustand = (capacity: number, first: Rows): Capped => {
  const store = createStore<State>()(capped({ list: { capacity } }, () => ({ list: first })));
  return {
    rows: () => store.getState().list,
    set: (change) => store.setState((s) => ({ list: change([...s.list]) })),
    stats: () => store.capped.stats().list,
  };
};
const withinImmer = (capacity: number, first: Rows): Capped => {
  const store = createStore<State>()(immer(capped({ list: { capacity } }, () => ({ list: first }))));
  return {
    rows: () => store.getState().list,
    set: (change) => store.setState((s) => void (s.list = change([...s.list]) as unknown[])),
    stats: () => store.capped.stats().list,
  };
};
const redux = (capacity: number, first: Rows): Capped => {
  const { actions, reducer } = createSlice({
    name: 'log',
    initialState: { list: first } as State,
    reducers: { set: (state, { payload }: PayloadAction<Rows>) => ({ ...state, list: payload }) },
  });
  const log = cappedSlice('log', { list: { capacity } }, reducer);
  const store = configureStore({ reducer: { log } });
  return {
    rows: () => store.getState().log.list,
    set: (change) => void store.dispatch(actions.set(change([...store.getState().log.list]))),
    stats: () => log.stats().list,
  };
};
const kinds = [
  ['zustand', zustand],
  ['zustand within immer', withinImmer],
  ['redux', redux],
] as const;

describe.each(kinds)('capped of %s', (_, make) => {
  it('takes a prepend of what is the oldest row already for one', () => {
    const store = make(3, ['c', 'b', 'ok']);
    const before = store.stats();
    store.set((rows) => ['ok', ...rows]);
    expect(store.rows()).toEqual(['ok', 'c', 'b']);
    expect(since(before, store.stats())).toEqual({ appended: 1, capacity: 1, replaced: 0 });
  });

  it('takes a prepend for one where both ends and the middle would do for an append', () => {
    const store = make(5, ['x', 'x', 'a', 'x', 'x']);
    const before = store.stats();
    store.set((rows) => ['x', ...rows]);
    expect(store.rows()).toEqual(['x', 'x', 'x', 'a', 'x']);
    expect(since(before, store.stats())).toEqual({ appended: 1, capacity: 1, replaced: 0 });
  });

  it('judges by the longest run of old rows, at either end', () => {
    const store = make(4, ['a', 'b', 'c', 'd']);
    store.set((rows) => ['d', 'z', ...rows.slice(0, 3)]); // ends with three of them, and begins with one
    expect(store.rows()).toEqual(['d', 'z', 'a', 'b']);
    store.set((rows) => [...rows.slice(1), 'y', 'z', 'd', 'z']); // begins with three, and ends with two
    expect(store.rows()).toEqual(['y', 'z', 'd', 'z']);
  });

  it('tells NaN from a row that is not there', () => {
    const store = make(2, [Number.NaN, 1]);
    store.set((rows) => [Number.NaN, ...rows]);
    expect(store.rows()).toEqual([Number.NaN, Number.NaN]);
  });

  it('keeps what a model keeps, of rows that are mostly equal', () => {
    let seed = Number(process.env['RINGFENCE_TEST_SEED'] ?? 20260611);
    console.log(`RINGFENCE_TEST_SEED=${seed}`);
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % below;
    };
    const pool = ['ok', 'ok', 'ok', 'err', 0, -0, Number.NaN, undefined, null, { n: 1 }];
    const some = (count: number): unknown[] => Array.from({ length: count }, () => pool[random(pool.length)]);
    for (const capacity of [1, 2, 3, 5, 9])
      for (let round = 0; round < 120; ++round) {
        const store = make(capacity, some(random(capacity + 1)));
        for (let step = 0; step < 6; ++step) {
          const had = store.rows();
          const counted = store.stats();
          const added = some(1 + random(capacity + 1));
          const [front, back] = [random(2) === 0, random(3) === 0 ? random(had.length + 1) : 0];
          // `back`: of the old rows, so many that the update itself took at the other end.
          const stay = front ? had.slice(0, had.length - back) : had.slice(back);
          const set = front ? [...added, ...stay] : [...stay, ...added];
          store.set(() => set);
          const rows = store.rows();
          const [head, tail] = [set.slice(0, capacity), set.slice(-capacity)];
          const isHead = equal(rows, head);
          expect(isHead || equal(rows, tail)).toBe(true); // nothing from the middle, and as many as the cap allows
          const most = set.length - 1; // a row has come
          const asAppend = overlap(had, set, most);
          const asPrepend = overlap(set, had, most);
          if (asPrepend > asAppend) expect(rows).toEqual(head);
          if (asAppend > asPrepend || (asAppend > 0 && asAppend === asPrepend)) expect(rows).toEqual(tail);
          const now = store.stats();
          const [came, left] = [now.appended - counted.appended, gone(now) - gone(counted)];
          expect(came - left).toBe(rows.length - had.length);
          // All of the old rows are at one end, and the new ones at the other.
          if (had.length > 0 && Math.max(asAppend, asPrepend) === had.length)
            expect([came, now.evicted.replaced]).toEqual([set.length - had.length, counted.evicted.replaced]);
        }
      }
  });
});

const equal = (a: Rows, b: Rows): boolean =>
  a.length === b.length && a.every((row, at) => row === b[at] || (row !== row && b[at] !== b[at]));
const since = (before: CappedStats, now: CappedStats) => ({
  appended: now.appended - before.appended,
  capacity: now.evicted.capacity - before.evicted.capacity,
  replaced: now.evicted.replaced - before.evicted.replaced,
});
const gone = ({ evicted }: CappedStats): number => evicted.capacity + evicted.replaced + evicted.cleared;
/** How many rows of a's end are b's beginning, `most` at most. */
const overlap = (a: Rows, b: Rows, most: number): number => {
  for (let count = Math.min(a.length, most); count > 0; --count)
    if (equal(a.slice(-count), b.slice(0, count))) return count;
  return 0;
};

describe('capped of zustand within immer', () => {
  interface Row {
    readonly n: number;
  }
  interface Log {
    list: Row[];
    first: (n: number) => void;
  }
  const makeLog = (capacity = 3) =>
    createStore<Log>()(
      immer(
        capped({ list: { capacity } }, (set) => ({
          list: [],
          first: (n) => set((draft) => void draft.list.unshift({ n })),
        })),
      ),
    );
  const numbers = (store: ReturnType<typeof makeLog>): number[] => store.getState().list.map(({ n }) => n);

  it('keeps the rows that a draft puts first, and counts those that leave', () => {
    const store = makeLog();
    for (let n = 1; n <= 5; ++n) store.getState().first(n);
    expect(numbers(store)).toEqual([5, 4, 3]);
    const [second] = store.getState().list;
    store.getState().first(6);
    expect(numbers(store)).toEqual([6, 5, 4]);
    expect(store.getState().list[1]).toBe(second);
    expect(store.capped.stats().list).toMatchObject({ appended: 6, evicted: { capacity: 3, cleared: 0, replaced: 0 } });
  });

  it('keeps those of an array that an update returns', () => {
    const store = makeLog();
    for (let n = 1; n <= 5; ++n) store.setState((s) => ({ list: [{ n }, ...s.list] }));
    expect(numbers(store)).toEqual([5, 4, 3]);
    store.setState((s) => ({ list: [...s.list, { n: 6 }] }));
    expect(numbers(store)).toEqual([4, 3, 6]);
    expect(store.capped.stats().list).toMatchObject({ appended: 6, evicted: { capacity: 3, cleared: 0, replaced: 0 } });
  });

  it('knows rows that the same update has edited, and more than the cap at once', () => {
    const store = makeLog();
    for (let n = 1; n <= 3; ++n) store.getState().first(n);
    store.setState((s) => {
      for (const row of s.list) (row as { n: number }).n *= 10;
      s.list.unshift({ n: 4 });
    });
    expect(numbers(store)).toEqual([4, 30, 20]);
    store.setState((s) => void s.list.unshift(...[9, 8, 7, 6, 5].map((n) => ({ n }))));
    expect(numbers(store)).toEqual([9, 8, 7]);
    expect(store.capped.stats().list).toMatchObject({ appended: 9, evicted: { capacity: 6, cleared: 0, replaced: 0 } });
  });

  it('forgets a draft that immer refuses', () => {
    const store = makeLog();
    for (let n = 1; n <= 3; ++n) store.getState().first(n);
    const both = (s: Log): { list: Row[] } => {
      s.first = () => undefined;
      return { list: [{ n: 0 }, ...s.list] };
    };
    expect(() => store.setState(both)).toThrow();
    append(store, 'list', { n: 4 });
    expect(numbers(store)).toEqual([2, 1, 4]);
    expect(store.capped.stats().list).toMatchObject({ appended: 4, evicted: { capacity: 1 } });
  });
});

describe('changeOf', () => {
  it('takes a time in proportion to the rows, however many are equal', () => {
    const before = Array<string>(100_000).fill('ok');
    before[50_000] = 'err';
    const began = performance.now();
    const filtered = before.filter((row) => row === 'ok');
    expect(changeOf(before, filtered)).toEqual({ kept: 99_999, prepended: false, other: true });
    expect(changeOf(before, ['a', ...before.slice(2), 'b'])).toMatchObject({ other: true });
    // The whole of it at either end is always found, and so is all but a few.
    expect(changeOf(before, ['ok', ...before])).toEqual({ kept: 100_000, prepended: true, other: false });
    expect(changeOf(before, [...before.slice(5), 'b'])).toEqual({ kept: 99_995, prepended: false, other: false });
    expect(performance.now() - began).toBeLessThan(2000); // seconds, if all were tried
  });

  it('leaves nothing of rows that came where none did', () => {
    const none = { prepended: false, other: true };
    expect(changeOf([1, 2], [])).toEqual({ kept: 0, ...none });
    expect(changeOf([1, 2], [2])).toEqual({ kept: 1, ...none });
    expect(changeOf([], [1])).toEqual({ kept: 0, prepended: false, other: false });
    expect(changeOf([], [])).toEqual({ kept: 0, prepended: false, other: false });
  });
});
