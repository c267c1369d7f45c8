import { describe, expect, it } from 'vitest';

import { codeOf, makeStore, microtask } from './support.js';

describe('A queue', () => {
  it('gives values back in their order, and refuses or evicts when it is full', () => {
    const store = makeStore();
    const refusing = store.queue<number>('a', { capacity: 2 });
    const evicting = store.queue<number>('b', { capacity: 2, full: 'evict' });
    expect([1, 2, 3].map((value) => refusing.push(value))).toEqual([true, true, false]);
    expect([1, 2, 3].map((value) => evicting.push(value))).toEqual([true, true, true]);
    expect([...refusing]).toEqual([1, 2]);
    expect([...evicting]).toEqual([2, 3]);
    expect(refusing.peek()).toBe(1);
    expect([refusing.shift(), refusing.shift(), refusing.shift()]).toEqual([1, 2, undefined]);
    expect(refusing.stats()).toMatchObject({ size: 0, pushed: 2, refused: 1, evicted: 0, highWaterMark: 2 });
    expect(evicting.stats()).toMatchObject({ size: 2, pushed: 3, refused: 0, evicted: 1 });
    store.end();
  });

  it('does what an array does, whatever comes', () => {
    const store = makeStore();
    const queue = store.queue<number>('a', { capacity: 7, full: 'evict' });
    let model: number[] = [];
    let seed = 42;
    for (let step = 0; step < 2000; ++step) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      if (seed % 100 < 60) {
        queue.push(step);
        model = [...model, step].slice(-7);
      } else if (seed % 100 < 98) expect(queue.shift()).toBe(model.shift());
      else {
        queue.clear();
        model = [];
      }
      expect(queue.getSnapshot()).toEqual(model);
      expect(queue.size).toBe(model.length);
    }
    store.end();
  });

  it('tells listeners once a notification, and its snapshot stays the same until it changes', async () => {
    const store = makeStore({ onError: () => undefined });
    const queue = store.queue<number>('a', { capacity: 5 });
    let calls = 0;
    queue.subscribe(() => {
      throw new Error('mine');
    });
    queue.subscribe(() => ++calls);
    queue.push(1);
    queue.push(2);
    const snapshot = queue.getSnapshot();
    expect(queue.getSnapshot()).toBe(snapshot);
    expect(Object.isFrozen(snapshot)).toBe(true);
    await microtask();
    expect(calls).toBe(1);
    expect(store.stats().listenerErrors).toBe(1);
    queue.clear();
    queue.clear();
    await microtask();
    expect(calls).toBe(2);
    expect(snapshot).toEqual([1, 2]);
    store.end();
  });

  it('refuses bad options with their value, a name that is taken, and use after its end', () => {
    const store = makeStore();
    for (const capacity of [0, -1, 1.5, Number.NaN, 1_000_001])
      expect(() => store.queue('a', { capacity })).toThrow(
        /capacity is .*: it must be a whole number from 1 to 1000000/,
      );
    expect(() => store.queue('a', { capacity: 1, full: 'maybe' as 'evict' })).toThrow(/full is "maybe"/);
    const queue = store.queue<number>('a', { capacity: 1 });
    expect(codeOf(() => store.queue('a', { capacity: 1 }))).toBe('duplicate_name');
    queue.subscribe(() => undefined);
    queue.push(1);
    expect(store.handles()).toMatchObject({ queues: 1 });
    queue();
    queue.end();
    expect(queue.active).toBe(false);
    expect(queue.getSnapshot()).toEqual([1]);
    expect(() => queue.push(1)).toThrow('queue "a" was used after its end');
    store.queue('a', { capacity: 1 });
    store.end();
    expect(store.handles().total).toBe(0);
  });
});
