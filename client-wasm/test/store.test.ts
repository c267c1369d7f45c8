import { describe, expect, it, vi } from 'vitest';

import { EndedError, RingfenceError } from '../src/errors.js';
import { createStore } from '../src/inline.js';
import type { History } from '../src/types.js';
import { Feed, encodeBatch, makeStore, microtask } from './support.js';

const codeOf = (action: () => unknown): string | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof RingfenceError ? error.code : String(error);
  }
};

describe('store', () => {
  it.each([
    [{ budget: 0 }, /budget is 0: .* from 1048576/],
    [{ budget: '1 MB' }, /budget is "1 MB"/],
    [{ budget: -1 }, /budget is -1/],
    [{ budget: '4 GiB' }, /budget is "4 GiB"/],
    [{ budget: '4 MiB', batchBytes: '3 MiB' }, /batchBytes is "3 MiB": .* to 1048576 bytes/],
    [{ budget: '4 MiB', notify: 'soon' as 'frame' }, /notify is "soon"/],
  ])('refuses %j with its value and limit', async (options, message) => {
    await expect(createStore(options)).rejects.toThrow(RangeError);
    await expect(createStore(options)).rejects.toThrow(message);
  });

  it('reads budgets as numbers and as text', () => {
    for (const budget of [2 * 1024 * 1024, '2 MiB', '2mib', ' 2048 KiB ', '2097152', '2.0 MiB']) {
      const store = makeStore({ budget });
      expect(store.stats().budgetBytes).toBe(2 * 1024 * 1024);
      store.end();
    }
  });

  it('refuses a history that does not fit beside the others, at its declaration', () => {
    const store = makeStore({ budget: '2 MiB' });
    const { capacityBytes } = store.stats();
    store.history('a', { bytes: capacityBytes - 8192 });
    expect(codeOf(() => store.history('b', { bytes: 16384 }))).toBe('over_budget');
    expect(() => store.history('b', { bytes: 16384 })).toThrow(
      `history "b" (16384 bytes asked for, 8192 of ${capacityBytes} not set aside yet) was refused: over_budget`,
    );
    expect(codeOf(() => store.history('a', { bytes: 4096 }))).toBe('duplicate_name');
    const last = store.history('c', { bytes: 8192 });
    expect(codeOf(() => store.history('d', { bytes: 4096 }))).toBe('over_budget');
    last.end();
    store.history('c', { bytes: 8192 });
    store.end();
  });

  it('refuses what no budget of its size could ever hold, with the value and the limit', () => {
    const store = makeStore({ budget: '4 MiB' });
    const { capacityBytes } = store.stats();
    expect(() => store.history('a', { bytes: '1 GiB' })).toThrow(RangeError);
    expect(() => store.history('a', { bytes: '1 GiB' })).toThrow(
      `bytes is "1 GiB": it must be from 4096 to ${capacityBytes} bytes`,
    );
    const recordsMax = Math.floor(capacityBytes / 32);
    for (const capacity of [4e9, recordsMax + 1]) {
      expect(() => store.history('a', { capacity })).toThrow(RangeError);
      expect(() => store.history('a', { capacity })).toThrow(
        `capacity is ${capacity}: it must be a whole number from 1 to ${recordsMax}`,
      );
    }
    store.history('a', { capacity: recordsMax, bytes: capacityBytes });
    store.end();
  });

  it('holds 4,096 histories, and says so to one more', () => {
    const store = makeStore({ budget: '64 MiB' });
    for (let n = 0; n < 4096; ++n) store.history(`h${n}`, { bytes: 4096 });
    expect(() => store.history('more', { bytes: 4096 })).toThrow(
      'history "more" (there are 4096, and no more) was refused: over_budget',
    );
    store.end();
  });

  it('refuses options out of bounds with their value and limit', () => {
    const store = makeStore();
    for (const options of [
      { capacity: 0 },
      { capacity: 1.5 },
      { bytes: 4095 },
      { bytes: 'much' },
      { bytes: '4096.7' },
      { bytes: '4.3 KiB' },
      { maxAge: 0 },
    ])
      expect(() => store.history('a', options)).toThrow(RangeError);
    expect(() => store.history('')).toThrow(RangeError);
    expect(() => store.history('a', { capacity: 0 })).toThrow(
      /capacity is 0: it must be a whole number from 1 to \d+$/,
    );
    expect(store.handles().total).toBe(0);
    const history = store.history('a');
    for (const selector of [{ last: 0 }, { last: 100_001 }, { from: -1, to: 2 }, { offset: 0, limit: Number.NaN }])
      expect(() => history.window(selector)).toThrow(RangeError);
    store.end();
  });

  it('never lets memory pass the budget, however much comes', () => {
    const store = makeStore({ budget: '2 MiB' });
    const { capacityBytes, budgetBytes } = store.stats();
    const bytes = Math.floor(capacityBytes / 8 / 4096) * 4096;
    const feeds = Array.from({ length: 8 }, (_, index) => {
      const history = store.history(`h${index}`, { capacity: 46_000, bytes });
      return new Feed(store, history, index);
    });
    let seed = 12345;
    const random = (): number => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
    for (let round = 0; round < 4000; ++round) {
      const feed = feeds[Math.floor(random() * 8)];
      const payload = JSON.stringify('x'.repeat(Math.floor(random() ** 4 * 12_000)));
      feed?.push(1 + Math.floor(random() * 4), () => payload);
    }
    const stats = store.stats();
    expect(stats.records).toBeGreaterThan(8000);
    expect(stats.memoryBytes).toBeLessThanOrEqual(budgetBytes);
    expect(stats.usedBytes).toBeLessThanOrEqual(capacityBytes);
    expect(stats.refusedRecords).toBe(0);
    for (let index = 0; index < 8; ++index) expect(feeds[index]?.last).toBeGreaterThan(0);
    store.end();
  });

  it('counts a batch above batchBytes and goes on', () => {
    const store = makeStore({ batchBytes: 4096 });
    const feed = new Feed(store, store.history('a'));
    expect(() => feed.push(200)).toThrow(/batchBytes is 4096/);
    expect(store.stats().refusedBatchesByCode).toEqual({ batch_too_large: 1 });
    expect(store.stats().refusedBatches).toBe(1);
    store.end();
  });

  it('calls listeners once a notification, and one that throws stops no other', async () => {
    const thrown: unknown[] = [];
    const store = makeStore({ onError: (error) => thrown.push(error) });
    const history = store.history('a');
    const feed = new Feed(store, history);
    const calls: string[] = [];
    history.subscribe(() => calls.push('first'));
    history.subscribe(() => {
      throw new Error('mine');
    });
    const third = history.subscribe(() => calls.push('third'));
    feed.push(1);
    feed.push(1);
    expect(calls).toEqual([]);
    await microtask();
    expect(calls).toEqual(['first', 'third']);
    expect(thrown).toEqual([new Error('mine')]);
    expect(store.stats()).toMatchObject({ listenerErrors: 1, notifications: 1 });
    third.end();
    feed.push(1);
    await microtask();
    expect(calls).toEqual(['first', 'third', 'first']);
    store.end();
  });

  it('tells of what a listener changes in the next notification', async () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    let calls = 0;
    history.subscribe(() => {
      if (++calls < 3) feed.push(1);
    });
    feed.push(1);
    for (let turn = 0; turn < 5; ++turn) await microtask();
    expect(calls).toBe(3);
    store.end();
  });

  it('lets a listener end its handle, its history or the store', async () => {
    for (const what of ['handle', 'history', 'store'] as const) {
      const store = makeStore();
      const history = store.history('a');
      const feed = new Feed(store, history);
      const calls: string[] = [];
      const handle = history.subscribe(() => {
        calls.push('first');
        ({ handle, history, store })[what].end();
      });
      history.subscribe(() => calls.push('second'));
      feed.push(1);
      await microtask();
      expect(calls).toEqual(what === 'handle' ? ['first', 'second'] : ['first']);
      if (what !== 'store') expect(store.handles().listeners).toBe(what === 'handle' ? 1 : 0);
      expect(store.handles().histories).toBe(what === 'handle' ? 1 : 0);
      store.end();
    }
  });

  it('calls listeners in a frame, and without one in a page that gets none', async () => {
    vi.useFakeTimers();
    const frames = new Map<number, () => void>();
    vi.stubGlobal('requestAnimationFrame', (callback: () => void) => frames.set(frames.size + 1, callback).size);
    vi.stubGlobal('cancelAnimationFrame', (id: number) => frames.delete(id));
    try {
      const store = makeStore({ notify: 'frame' });
      const history = store.history('a');
      const feed = new Feed(store, history);
      let calls = 0;
      history.subscribe(() => ++calls);
      feed.push(1);
      feed.push(1);
      expect(frames.size).toBe(1);
      frames.get(1)?.();
      expect(calls).toBe(1);
      vi.advanceTimersByTime(1000);
      expect(calls).toBe(1);
      frames.clear();
      feed.push(1);
      vi.advanceTimersByTime(1000);
      expect(calls).toBe(2);
      expect(frames.size).toBe(0);
      store.end();
    } finally {
      vi.unstubAllGlobals();
      vi.useRealTimers();
    }
  });

  it('handles are a call, end() and dispose, and end once', async () => {
    const store = makeStore();
    const history = store.history('a');
    const a = history.subscribe(() => undefined);
    const b = history.subscribe(() => undefined);
    const c = history.subscribe(() => undefined);
    expect(store.handles()).toMatchObject({ listeners: 3, histories: 1, total: 4 });
    expect(history.stats().listeners).toBe(3);
    a();
    a();
    b.end();
    b.end();
    c[Symbol.dispose]();
    c();
    expect([a.active, b.active, c.active]).toEqual([false, false, false]);
    expect(store.handles().listeners).toBe(0);
    const late = history.subscribe(() => undefined);
    history.end();
    expect(late.active).toBe(false);
    late();
    expect(store.handles().total).toBe(0);
    store.end();
  });

  it('refuses listeners above 4,096 of one history', () => {
    const store = makeStore({ budget: '8 MiB' });
    const history = store.history('a');
    for (let count = 0; count < 4096; ++count) history.subscribe(() => undefined);
    expect(codeOf(() => history.subscribe(() => undefined))).toBe('too_many_subscriptions');
    history.end();
    expect(store.handles().total).toBe(0);
    store.end();
  });

  it('says by name what was used after its end', () => {
    const store = makeStore();
    const history = store.history('chat');
    const view = history.window({ last: 5 });
    new Feed(store, history).push(2);
    const snapshot = view.getSnapshot();
    history.end();
    history.end();
    for (const use of [() => history.size, () => history.stats(), () => history.at(1), () => history.clear()]) {
      expect(use).toThrow(EndedError);
      expect(use).toThrow('history "chat" was used after its end');
    }
    expect(() => view.subscribe(() => undefined)).toThrow(EndedError);
    expect(view.getSnapshot()).toBe(snapshot);
    store.end();
    store.end();
    expect(() => store.history('b')).toThrow('store was used after its end');
    expect(() => store.stats()).toThrow(EndedError);
    expect(store.handles().total).toBe(0);
  });

  it('evicts by age, also when nothing comes', async () => {
    const store = makeStore();
    const history = store.history('a', { maxAge: 300 });
    let calls = 0;
    history.subscribe(() => ++calls);
    const feed = new Feed(store, history);
    feed.push(3, () => '1', Date.now() * 1000);
    await microtask();
    expect(history.size).toBe(3);
    const before = calls;
    await vi.waitFor(() => expect(history.size).toBe(0), { timeout: 5000, interval: 20 });
    expect(history.stats().evicted.age).toBe(3);
    await vi.waitFor(() => expect(calls).toBeGreaterThan(before));
    store.end();
  });

  it('leaves histories as they were whatever bytes come', () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(20);
    const view = history.window({ last: 100 });
    let before = view.getSnapshot();
    const good = encodeBatch([
      { channelId: 1, prev: 20, records: [{ seq: 21 }, { seq: 22 }, { seq: 23, payload: '"abc"' }] },
    ]);
    const startSeed = Math.floor(Math.random() * 2 ** 31) || 1;
    let seed = startSeed;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    let refused = 0;
    let taken = 0;
    for (let round = 0; round < 20_000; ++round) {
      const bytes = round % 3 === 0 ? good.slice(0, random(good.length)) : good.slice();
      for (let flips = 1 + random(4); flips > 0 && bytes.length > 0; --flips) bytes[random(bytes.length)] = random(256);
      if (store.ingest(bytes)) {
        ++refused;
        if (view.getSnapshot() !== before) throw new Error(`a refused batch changed the history (seed ${startSeed})`);
      } else {
        ++taken; // a change in type, time or data is none that a decoder can see
        before = view.getSnapshot();
      }
    }
    expect(refused).toBeGreaterThan(10_000);
    expect(taken).toBeGreaterThan(100);
    expect(store.stats().refusedBatches).toBe(refused);
    expect(store.stats().memoryBytes).toBeLessThan(1024 * 1024);
    store.end();
  });
});

describe('a full store', () => {
  it('refuses what it has no memory for, and goes on with what it has', async () => {
    const store = makeStore({ budget: '1 MiB' });
    const histories: History[] = [];
    for (;;) {
      const name = `h${histories.length}`;
      if (codeOf(() => histories.push(store.history(name, { bytes: 4096, capacity: 100 }))) !== undefined) break;
    }
    expect(histories.length).toBeGreaterThan(100);
    const feeds = histories.map((history, index) => new Feed(store, history, index));
    let listeners = 0;
    let refusal: string | undefined;
    let calls = 0;
    for (const history of histories) {
      for (let count = 0; count < 4096 && !refusal; ++count) {
        refusal = codeOf(() => history.subscribe(() => ++calls));
        if (!refusal) ++listeners;
      }
    }
    expect(refusal).toBe('memory_full');
    expect(listeners).toBeGreaterThan(500);
    expect(store.handles().listeners).toBe(listeners);
    const stats = store.stats();
    expect(stats.memoryBytes).toBeLessThanOrEqual(stats.budgetBytes);
    // What comes now is taken, or refused and counted: record by record, or a batch at a time.
    let pushed = 0;
    let refusedPushes = 0;
    for (let round = 0; round < 50; ++round) {
      for (const feed of feeds) {
        try {
          feed.push(2, () => JSON.stringify('x'.repeat(200)));
          pushed += 2;
        } catch {
          refusedPushes += 1;
        }
      }
    }
    const after = store.stats();
    expect(after.records + after.refusedRecords).toBe(pushed);
    expect(after.refusedBatches).toBe(refusedPushes);
    // Everything ends, and then there is room again.
    for (const history of histories.slice(0, -1)) history.end();
    histories.at(-1)?.subscribe(() => ++calls);
    calls = 0;
    feeds.at(-1)?.push(1);
    await microtask();
    expect(calls).toBeGreaterThan(0);
    store.end();
    expect(store.handles().total).toBe(0);
  });
});
