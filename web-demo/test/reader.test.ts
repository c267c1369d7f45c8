import { describe, expect, test } from 'vitest';
import { indexOf, kKeptRowsMax, layOut, readingOf, rowAt, type Layout } from '../src/logic/reader.ts';

const rowsOf = (layout: Layout) => Array.from({ length: layout.rows }, (_, index) => rowAt(layout, index));
const positionsOf = (layout: Layout) =>
  rowsOf(layout).map((row) => (row.kind === 'record' ? row.position : `-${row.gone}-`));

describe('the list', () => {
  test('shows what is held', () => {
    expect(positionsOf(layOut(5, 9, null))).toEqual([5, 6, 7, 8]);
    expect(layOut(7, 7, null).rows).toBe(0);
  });

  test('joins kept rows to those held while none is gone between them', () => {
    expect(positionsOf(layOut(7, 10, { from: 5, to: 9 }))).toEqual([5, 6, 7, 8, 9]);
    expect(positionsOf(layOut(4, 7, { from: 5, to: 7 }))).toEqual([4, 5, 6]);
  });

  test('says how many are gone between kept rows and held ones', () => {
    expect(positionsOf(layOut(20, 23, { from: 5, to: 8 }))).toEqual([5, 6, 7, '-12-', 20, 21, 22]);
    expect(positionsOf(layOut(8, 10, { from: 5, to: 8 }))).toEqual([5, 6, 7, 8, 9]);
  });

  test('finds the row of a position again, and the nearest one where it is gone', () => {
    for (const layout of [layOut(20, 40, { from: 5, to: 8 }), layOut(6, 40, { from: 5, to: 8 }), layOut(3, 9, null)]) {
      for (const [index, row] of rowsOf(layout).entries()) {
        if (row.kind === 'record') expect(indexOf(layout, row.position)).toBe(index);
      }
    }
    expect(indexOf(layOut(20, 40, { from: 5, to: 8 }), 12)).toBe(3);
    expect(indexOf(layOut(20, 40, null), 12)).toBe(0);
  });

  test('keeps no more rows than its bound', () => {
    expect(layOut(10_000, 10_001, { from: 0, to: 10_000 }).kept).toBe(kKeptRowsMax);
  });
});

// What the virtual list does with its keys: it scrolls so that the row on top stays where it is.
function shift(before: Layout, after: Layout, topIndex: number): number {
  const top = rowAt(before, topIndex);
  return top.kind === 'divider' ? after.kept - topIndex : indexOf(after, top.position) - topIndex;
}

describe('a reader who has scrolled up', () => {
  test('sees the same rows in the same place at any rate, for as long as nothing is scrolled', () => {
    let random = 20260115;
    const next = (below: number) => (random = (random * 48271) % 2147483647) % below;
    for (let round = 0; round < 50; ++round) {
      let first = next(1000);
      let end = first + 100;
      let layout = layOut(first, end, null);
      let top = next(80);
      let reading = readingOf(layout, top, top + 9, null);
      const seen = positionsOf(layout).slice(top, top + 10);
      for (let step = 0; step < 30; ++step) {
        const came = next(step % 3 === 0 ? 400 : 12);
        end += came;
        first = Math.max(first, end - 100);
        const after = layOut(first, end, reading);
        top += shift(layout, after, top);
        layout = after;
        expect(positionsOf(layout).slice(top, top + 10)).toEqual(seen);
        reading = readingOf(layout, top, top + 9, reading);
      }
    }
  });

  test('lets go of kept rows when the screen has left them', () => {
    const reading = { from: 5, to: 8 };
    const layout = layOut(20, 40, reading);
    expect(readingOf(layout, 2, 6, reading)).toBe(reading);
    expect(readingOf(layout, 3, 6, reading)).toBe(reading);
    expect(readingOf(layout, 6, 9, reading)).toEqual({ from: 22, to: 26 });
  });
});
