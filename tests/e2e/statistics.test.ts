// The benchmarks' verdict whether a series grows, which `bench frames` ends with status 1 by.

import { expect, test } from 'vitest';
// @ts-expect-error: plain JavaScript, without types
import { median, quantile, theilSen, trend } from '../bench/statistics.mjs';

// By hand, 12 samples: each of 66 pairs rises, the variance is 212.67, z = 65 / 14.58 = 4.457.
test('a series that rises each time grows, by its slope', () => {
  const { slope, p, grows } = trend(Array.from({ length: 12 }, (_, index) => 1000 + 7 * index));
  expect(slope).toBe(7);
  expect(p).toBeCloseTo(4.2e-6, 6);
  expect(grows).toBe(true);
});

test('one that falls, one that stays and one that goes up and down do not grow', () => {
  expect(trend([9, 8, 7, 6, 5, 4, 3, 2])).toMatchObject({ slope: -1, grows: false });
  expect(trend([5, 5, 5, 5, 5, 5, 5, 5])).toEqual({ slope: 0, p: expect.closeTo(0.5, 6), grows: false });
  expect(trend([3, 9, 1, 8, 2, 9, 3, 7, 4, 8]).grows).toBe(false);
});

test('a slope that one odd sample makes is not one', () => {
  expect(theilSen([1, 1, 1, 1, 500, 1, 1, 1])).toBe(0);
  expect(trend([1, 1, 1, 1, 1, 1, 1, 500]).grows).toBe(false);
});

test('fewer than 8 samples say nothing', () => {
  expect(() => trend([1, 2, 3, 4, 5, 6, 7])).toThrow(RangeError);
  expect(trend([1, 2, 3, 4, 5, 6, 7, 8]).grows).toBe(true);
});

test('medians and quantiles', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([5, 1, 4, 2, 3], 0.99)).toBe(5);
  expect(quantile([], 0.5)).toBeNaN();
});
