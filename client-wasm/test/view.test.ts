import { describe, expect, it } from 'vitest';

import { view } from '../src/view.js';
import type { HistoryImpl } from '../src/history.js';
import { Feed, codeOf, makeStore, microtask, seqsOf } from './support.js';

describe('A view', () => {
  it('shows what matches, of what is there and of what comes, as the rows of the history', async () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(10, (seq) => JSON.stringify({ text: seq % 2 ? 'Dragon' : 'mouse' }));
    const dragons = view(history, { text: 'dRAGON' });
    const window = dragons.window({ last: 3 });
    let calls = 0;
    window.subscribe(() => ++calls);
    const snapshot = window.getSnapshot();
    expect(seqsOf(snapshot.items)).toEqual([5, 7, 9]);
    expect(snapshot).toMatchObject({ offset: 2, count: 5, total: 5, unread: 5 });
    expect(snapshot.items[2]).toBe(history.at(9));
    expect(window.getSnapshot()).toBe(snapshot);
    feed.push(1, () => '{"text":"mouse","dragon":1}');
    await microtask();
    expect(calls).toBe(0);
    expect(window.getSnapshot()).toBe(snapshot);
    feed.push(1, () => '{"text":"a dragon again"}');
    await microtask();
    expect(calls).toBe(1);
    expect(seqsOf(window.getSnapshot().items)).toEqual([7, 9, 12]);
    expect(Object.isFrozen(window.getSnapshot().items)).toBe(true);
    expect(seqsOf(dragons.window({ offset: 1, limit: 2 }).getSnapshot().items)).toEqual([3, 5]);
    store.end();
  });

  it('filters pushed values by type and by their text', () => {
    const store = makeStore();
    const history = store.history<{ kind: string; text: string }>('a', {
      typeOf: ({ kind }) => kind,
      textOf: ({ text }) => text,
    });
    history.pushMany([
      { kind: 'say', text: 'Привет "all"' },
      { kind: 'tick', text: 'ПРИВЕТ' },
      { kind: 'say', text: 'hello' },
    ]);
    expect(view(history, { types: ['say'] }).count).toBe(2);
    expect(view(history, { text: 'привет' }).count).toBe(2);
    expect(view(history, { types: ['say', 'x'], text: 'ПРИВЕТ "ALL' }).count).toBe(1);
    expect(view(history).rates()).toEqual([
      { type: 'say', count: 2, perSecond: 2 / 60 },
      { type: 'tick', count: 1, perSecond: 1 / 60 },
    ]);
    store.end();
  });

  it('filters by the channel that feeds the history', () => {
    const store = makeStore();
    const history = store.history('a') as HistoryImpl<unknown>;
    history.resume = { channel: 'room:1', epoch: 'e' };
    new Feed(store, history).push(3);
    expect(view(history, { channels: ['room:*'] }).count).toBe(3);
    expect(view(history, { channels: ['room:2', 'room:1'] }).count).toBe(3);
    expect(view(history, { channels: ['hall'] }).count).toBe(0);
    store.end();
  });

  it('is capped, and counts what it lets go of', () => {
    const store = makeStore();
    const history = store.history('a', { capacity: 20 });
    const newest = view(history, {}, { capacity: 5 });
    new Feed(store, history).push(30);
    expect(newest.stats()).toMatchObject({ count: 5, total: 20, unseen: 10, evictedByCapacity: 15, highWaterMark: 5 });
    store.end();
  });

  it('counts what is unread until it is marked, by seq or all, or cleared', async () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    const all = view(history);
    const seen: number[] = [];
    all.subscribe(() => seen.push(all.unread));
    feed.push(5);
    await microtask();
    all.markRead(3);
    await microtask();
    all.markRead(1); // never back
    await microtask();
    all.markRead();
    await microtask();
    expect(seen).toEqual([5, 2, 0]);
    feed.push(2);
    history.clear();
    expect(all.unread).toBe(0);
    expect(all.count).toBe(0);
    feed.push(1);
    expect(all.unread).toBe(1);
    store.end();
  });

  it('refuses filters and options out of bounds with their value and limit', () => {
    const store = makeStore({ budget: '1 MiB' });
    const history = store.history('a', { bytes: 4096 });
    for (const filter of [
      { types: [] },
      { types: [''] },
      { text: '' },
      { text: 'x'.repeat(129) },
      { channels: ['a b'] },
    ])
      expect(() => view(history, filter)).toThrow(RangeError);
    for (const capacity of [0, -1, 1.5, Number.NaN, 1_000_001])
      expect(() => view(history, {}, { capacity })).toThrow(
        /capacity is .*: it must be a whole number from 1 to 1000000/,
      );
    expect(() => view(history, {}, { rateBucketMs: 9 })).toThrow(RangeError);
    const { capacityBytes, declaredBytes: before } = store.stats();
    const overBudget = (): unknown => view(history, {}, { capacity: Math.floor(capacityBytes / 8) });
    expect(overBudget).toThrow(RangeError);
    expect(overBudget).toThrow(/^a view of \d+ matches: the budget leaves at most \d+ bytes$/);
    const most = store.history('most', { bytes: capacityBytes - before - 8192 });
    expect(codeOf(() => view(history))).toBe('over_budget');
    most.end();
    expect(store.handles().views).toBe(0);
    const { declaredBytes } = store.stats();
    const one = view(history);
    expect(() => one.window({ last: 0 })).toThrow(RangeError);
    expect(() => one.markRead(-1)).toThrow(RangeError);
    expect(store.stats().declaredBytes).toBeGreaterThan(declaredBytes);
    one.end();
    expect(store.stats().declaredBytes).toBe(declaredBytes);
    store.end();
  });

  it('is a handle: ends once, by itself or with its history, and keeps its last snapshot', () => {
    const store = makeStore();
    const history = store.history('a');
    new Feed(store, history).push(3);
    const one = view(history);
    const other = view(history);
    const window = one.window({ last: 5 });
    one.subscribe(() => undefined);
    window.subscribe(() => undefined);
    const snapshot = window.getSnapshot();
    expect(store.handles()).toMatchObject({ views: 2, listeners: 2 });
    one();
    one.end();
    expect(one.active).toBe(false);
    expect(store.handles()).toMatchObject({ views: 1, listeners: 0 });
    expect(window.getSnapshot()).toBe(snapshot);
    expect(one.count).toBe(3);
    for (const use of [
      () => one.stats(),
      () => one.markRead(),
      () => one.subscribe(() => undefined),
      () => one.rates(),
    ])
      expect(use).toThrow('view of history "a" was used after its end');
    history.end();
    expect(other.active).toBe(false);
    expect(store.handles().total).toBe(0);
    expect(() => view(history)).toThrow('history "a" was used after its end');
    store.end();
  });
});
