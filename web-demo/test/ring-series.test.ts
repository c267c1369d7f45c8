import { describe, expect, test } from 'vitest';
import { RingSeries } from '../src/logic/ring-series.ts';

describe('RingSeries', () => {
  test('gives samples oldest to newest before and after it wraps', () => {
    const ring = new RingSeries(1, 3);
    const seen: number[][] = [];
    for (let time = 1; time <= 5; ++time) {
      ring.push(time, time * 10);
      seen.push(Array.from(ring.columns()[0]!));
    }
    expect(seen).toEqual([[1], [1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]);
    expect(Array.from(ring.columns()[1]!)).toEqual([30, 40, 50]);
  });

  test('counts what it has overwritten and never holds more than its capacity', () => {
    const ring = new RingSeries(2, 4);
    for (let time = 0; time < 1000; ++time) ring.push(time, time, time);
    expect(ring.size).toBe(4);
    expect(ring.evicted).toBe(996);
    expect(ring.columns().map((column) => column.length)).toEqual([4, 4, 4]);
    expect(ring.columns()[0]!.buffer).toBe(ring.columns()[2]!.buffer);
  });

  test('refuses a sample of another width, and a capacity of 0', () => {
    expect(() => new RingSeries(2, 4).push(1, 2)).toThrow(RangeError);
    expect(() => new RingSeries(1, 0)).toThrow(RangeError);
  });

  test('is empty after clear', () => {
    const ring = new RingSeries(1, 2);
    for (const time of [1, 2, 3]) ring.push(time, time);
    ring.clear();
    expect(ring.columns().map((column) => column.length)).toEqual([0, 0]);
    ring.push(9, 90);
    expect(Array.from(ring.columns()[1]!)).toEqual([90]);
  });
});
