import { expect, test } from 'vitest';
import { bytes, duration, oneLine, short } from '../src/logic/format.ts';
import { scaleTop } from '../src/logic/scale.ts';
import { kSliderSteps, kSpeedMax, speedAt, speedIn, stepOf } from '../src/logic/speed.ts';

test('bytes are written with at most three digits', () => {
  expect([0, 512, 1023, 1024, 1536, 10_240, 1024 * 1024 - 1, 16 * 1024 * 1024, 3 * 1024 ** 3].map(bytes)).toEqual([
    '0 B',
    '512 B',
    '1023 B',
    '1 KiB',
    '1.50 KiB',
    '10 KiB',
    '1 MiB',
    '16 MiB',
    '3 GiB',
  ]);
});

test('axis numbers are short', () => {
  expect([0, 0.5, 950, 1200, 10_000, 999_499, 999_500, 3e6].map(short)).toEqual([
    '0',
    '0.5',
    '950',
    '1.2k',
    '10k',
    '999k',
    '1M',
    '3M',
  ]);
});

test('durations change unit', () => {
  expect([0.2, 12.4, 1500, 61_000].map(duration)).toEqual(['<1 ms', '12 ms', '1.5 s', '1 min 1 s']);
});

test('a payload on one line is cut and has no control characters', () => {
  expect(oneLine({ text: 'a\nb' })).toBe('{"text":"a\\nb"}');
  expect(oneLine('a\u0000\nb')).toBe('a b');
  expect(oneLine('x'.repeat(500), 10)).toHaveLength(10);
  expect(oneLine(undefined)).toBe('');
});

test('the speed slider covers 1 to 10,000, never falls, and finds its step again', () => {
  const speeds = Array.from({ length: kSliderSteps + 1 }, (_, step) => speedAt(step));
  expect(speeds[0]).toBe(1);
  expect(speeds.at(-1)).toBe(kSpeedMax);
  expect([...speeds].sort((a, b) => a - b)).toEqual(speeds);
  for (const speed of speeds.filter((value) => value >= 10)) expect(speedAt(stepOf(speed))).toBe(speed);
  expect(speedAt(-5)).toBe(1);
  expect(speedAt(1e9)).toBe(kSpeedMax);
});

test('a record without a usable speed tells none', () => {
  expect(
    [{ events_per_s: 20 }, { events_per_s: '20' }, { events_per_s: -1 }, {}, null, 'x', undefined].map(speedIn),
  ).toEqual([20, null, null, null, null, null, null]);
});

test('the top of a scale is round, has room and does not follow every change', () => {
  expect([0, 90, 91, 199, 950, 10_000].map((value) => scaleTop(value))).toEqual([1, 100, 200, 500, 2000, 20_000]);
  expect([0, 900, 1000, 5 * 1024 ** 3].map((value) => scaleTop(value, 1024))).toEqual([1, 1024, 2048, 8 * 1024 ** 3]);
});
