import { afterEach, expect, test, vi } from 'vitest';
import { kSamplePeriodMs, kSamplesMax, Sampler } from '../src/logic/sampler.ts';
import type { Session } from '../src/session.ts';

function session() {
  const state = { records: 0, received: 0, held: 0, evicted: 0 };
  const history = (name: string) => ({
    stats: () => ({ name, held: state.held, capacity: 100, heldBytes: state.held * 10, evictedTotal: state.evicted }),
  });
  const fake = {
    store: { stats: () => ({ records: state.records, memoryBytes: 1 << 20 }) },
    client: { stats: () => ({ receivedBytes: state.received }) },
    histories: { game: history('game'), chat: history('chat') },
  };
  return { state, fake: fake as unknown as Session };
}

afterEach(() => vi.useRealTimers());

test('rates are by the time that passed, not by the timer', () => {
  const { state, fake } = session();
  let nowMs = 0;
  const sampler = new Sampler(fake, () => nowMs);
  Object.assign(state, { records: 5000, received: 1_000_000, held: 100, evicted: 4900 });
  nowMs = 2500;
  sampler.sample();
  const sample = sampler.getSnapshot();
  expect(sample.eventsPerS).toBe(2000);
  expect(sample.bytesPerS).toBe(400_000);
  expect(sample.channelEventsPerS.game).toBe(2000);
  expect(sample.held).toBe(200);
  expect(sample.capacity).toBe(200);
});

test('a snapshot stays the same object until the next sample', () => {
  const { fake } = session();
  let nowMs = 0;
  const sampler = new Sampler(fake, () => nowMs);
  const before = sampler.getSnapshot();
  expect(sampler.getSnapshot()).toBe(before);
  nowMs = 1000;
  sampler.sample();
  expect(sampler.getSnapshot()).not.toBe(before);
});

test('holds five minutes however long it runs, and has a timer only while somebody listens', () => {
  vi.useFakeTimers();
  const { fake } = session();
  const sampler = new Sampler(fake);
  const ends = [sampler.subscribe(() => {}), sampler.subscribe(() => {})];
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(kSamplePeriodMs * (kSamplesMax + 50));
  expect(sampler.rates.size).toBe(kSamplesMax);
  expect(sampler.rates.evicted).toBe(50);
  for (const end of ends) end();
  expect(vi.getTimerCount()).toBe(0);
});
