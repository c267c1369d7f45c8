import { expect, test, vi } from 'vitest';
import { paced, type Clock } from '../src/logic/paced.ts';

function source() {
  const listeners = new Set<() => void>();
  const timers = new Map<number, { at: number; call: () => void }>();
  let now = 0;
  let ids = 0;
  const clock: Clock = {
    now: () => now,
    setTimeout: (call, ms) => (timers.set(++ids, { at: now + ms, call }), ids),
    clearTimeout: (id) => timers.delete(id as number),
  };
  return {
    listeners,
    timers,
    clock,
    subscribe: (listener: () => void) => (listeners.add(listener), () => void listeners.delete(listener)),
    change: () => listeners.forEach((listener) => listener()),
    advance: (ms: number) => {
      now += ms;
      for (const [id, { at, call }] of [...timers]) if (at <= now) (timers.delete(id), call());
    },
  };
}

test('calls at once when it was quiet, then once an interval however much changes', () => {
  const from = source();
  const listener = vi.fn();
  paced(from.subscribe, 100, from.clock)(listener);
  from.change();
  expect(listener).toHaveBeenCalledTimes(1);
  for (let ms = 0; ms < 1000; ms += 10) {
    from.change();
    from.advance(10);
  }
  expect(listener).toHaveBeenCalledTimes(11);
});

test('tells the last change, however late', () => {
  const from = source();
  const listener = vi.fn();
  paced(from.subscribe, 100, from.clock)(listener);
  from.change();
  from.change();
  expect(listener).toHaveBeenCalledTimes(1);
  from.advance(100);
  expect(listener).toHaveBeenCalledTimes(2);
});

test('leaves no listener and no timer once ended', () => {
  const from = source();
  const listener = vi.fn();
  const end = paced(from.subscribe, 100, from.clock)(listener);
  from.change();
  from.change();
  end();
  end();
  expect(from.listeners.size).toBe(0);
  expect(from.timers.size).toBe(0);
  from.advance(1000);
  expect(listener).toHaveBeenCalledTimes(1);
});
