import { describe, expect, it } from 'vitest';

import type { Row } from '../src/types.js';
import { Feed, idOf, makeStore, microtask } from './support.js';

const seqs = (rows: readonly Row[]): number[] => rows.map((row) => row.seq);

describe('window', () => {
  it('is the same object until something changes, and frozen', () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    const view = history.window({ last: 3 });
    const empty = view.getSnapshot();
    expect(empty).toEqual({
      items: [],
      offset: 0,
      firstSeq: 0,
      lastSeq: 0,
      size: 0,
      evicted: 0,
      missed: 0,
      conflated: 0,
      version: 0,
    });
    feed.push(5);
    const first = view.getSnapshot();
    expect(first).not.toBe(empty);
    expect(view.getSnapshot()).toBe(first);
    expect(first).toMatchObject({ offset: 2, firstSeq: 1, lastSeq: 5, size: 5, evicted: 0, missed: 0, version: 1 });
    expect(seqs(first.items)).toEqual([3, 4, 5]);
    expect([Object.isFrozen(first), Object.isFrozen(first.items), Object.isFrozen(first.items[0])]).toEqual([
      true,
      true,
      true,
    ]);
    const other = store.history('b');
    new Feed(store, other, 2).push(3);
    expect(view.getSnapshot()).toBe(first);
    feed.push(1);
    const second = view.getSnapshot();
    expect(second.version).toBe(2);
    expect(second.items[0]).toBe(first.items[1]);
    expect(second.items[1]).toBe(first.items[2]);
    store.end();
  });

  it('keeps its items where rows elsewhere change', () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(10);
    const view = history.window({ offset: 2, limit: 3 });
    const first = view.getSnapshot();
    expect(seqs(first.items)).toEqual([3, 4, 5]);
    feed.push(1);
    const second = view.getSnapshot();
    expect(second).not.toBe(first);
    expect(second.size).toBe(11);
    expect(second.items).toBe(first.items);
    store.end();
  });

  it('selects by seq and by position, which survive trimming', () => {
    const store = makeStore();
    const history = store.history('a', { capacity: 10 });
    const feed = new Feed(store, history);
    feed.push(25);
    const at = (selector: Parameters<typeof history.window>[0]) => history.window(selector).getSnapshot();
    expect(at({ last: 100 })).toMatchObject({ offset: 15, evicted: 15, size: 10, firstSeq: 16, lastSeq: 25 });
    expect(seqs(at({ from: 18, to: 20 }).items)).toEqual([18, 19, 20]);
    expect(seqs(at({ from: 1, to: 17 }).items)).toEqual([16, 17]);
    expect(seqs(at({ from: 24, to: 99 }).items)).toEqual([24, 25]);
    expect(seqs(at({ from: 0, to: Number.MAX_SAFE_INTEGER }).items)).toHaveLength(10);
    expect(seqs(at({ from: 20, to: 19 }).items)).toEqual([]);
    expect(seqs(at({ from: 1, to: 15 }).items)).toEqual([]);
    expect(seqs(at({ offset: 0, limit: 5 }).items)).toEqual([]);
    expect(at({ offset: 13, limit: 5 })).toMatchObject({ offset: 15 });
    expect(seqs(at({ offset: 13, limit: 5 }).items)).toEqual([16, 17, 18]);
    expect(seqs(at({ offset: 20, limit: 3 }).items)).toEqual([21, 22, 23]);
    expect(seqs(at({ offset: 24, limit: 50 }).items)).toEqual([25]);
    expect(seqs(at({ offset: 30, limit: 0 }).items)).toEqual([]);
    expect(history.at(16)?.data).toEqual({ n: 16 });
    expect(history.at(15)).toBeUndefined();
    expect(history.at(26)).toBeUndefined();
    expect(history.size).toBe(10);
    expect(history.stats()).toMatchObject({ held: 10, capacity: 10, evictedTotal: 15, evicted: { records: 15 } });
    store.end();
  });

  it('reads windows of many rows, across segments', () => {
    const store = makeStore();
    const history = store.history('a', { capacity: 90_000, bytes: '2 MiB' });
    const feed = new Feed(store, history);
    for (let round = 0; round < 20; ++round) feed.push(1000);
    const { items } = history.window({ last: 100_000 }).getSnapshot();
    expect(items).toHaveLength(20_000);
    expect(items.every((row, index) => row.seq === index + 1 && (row.data as { n: number }).n === index + 1)).toBe(
      true,
    );
    store.end();
  });

  it('gives one row object for a record, whoever asks', () => {
    const store = makeStore();
    const history = store.history('a');
    new Feed(store, history).push(5);
    const { items } = history.window({ last: 5 }).getSnapshot();
    expect(history.at(3)).toBe(items[2]);
    expect(history.window({ from: 3, to: 3 }).getSnapshot().items[0]).toBe(items[2]);
    store.end();
  });

  it('makes a row with an error of a payload that does not decode, and tells the first of each read', async () => {
    const told: unknown[] = [];
    const store = makeStore({ onError: (error) => told.push(error) });
    const history = store.history<number>('a', {
      decode: (value) => {
        if (typeof value !== 'number') throw new Error('no number');
        return value * 2;
      },
    });
    const payloads = ['21', '"x"', '{bad'];
    new Feed(store, history).push(3, (seq) => payloads[seq - 1] ?? '');
    const { items } = history.window({ last: 3 }).getSnapshot();
    expect(items[0]?.data).toBe(42);
    expect(items[1]).toMatchObject({ data: undefined, error: new Error('no number') });
    expect(items[2]?.error).toBeInstanceOf(SyntaxError);
    expect(history.stats().undecodable).toBe(2);
    // Not while it is read, which may be in a rendering.
    expect(told).toEqual([]);
    await microtask();
    expect(told).toEqual([new Error('no number')]);
    expect(store.stats().listenerErrors).toBe(1);
    expect(history.last(3)[1]).toBe(items[1]); // the same rows: nothing new to tell
    await microtask();
    expect(told).toHaveLength(1);
    store.end();
  });

  it('empties on clear() and on a new epoch, and positions go on', () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(4);
    const view = history.window({ last: 10 });
    expect(view.getSnapshot().items).toHaveLength(4);
    history.clear();
    expect(view.getSnapshot()).toMatchObject({ items: [], evicted: 4, size: 0, firstSeq: 0, lastSeq: 4 });
    feed.push(1);
    expect(seqs(view.getSnapshot().items)).toEqual([5]);
    const old = view.getSnapshot().items[0];
    feed.route.delete();
    store.core.attach(9, idOf(history), true, 0);
    store.changed();
    expect(view.getSnapshot()).toMatchObject({ items: [], evicted: 5, lastSeq: 0 });
    const next = { ...old };
    expect(next.seq).toBe(5);
    expect(history.stats().evicted.cleared).toBe(5);
    store.end();
  });

  it('says how many never came, whether announced or seen as a hole', () => {
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(2);
    feed.last = 7;
    feed.push(1);
    expect(history.window({ last: 10 }).getSnapshot()).toMatchObject({ missed: 5, lastSeq: 8, size: 3 });
    expect(history.stats()).toMatchObject({ missed: 5, missedUnknown: 0 });
    store.end();
  });
});

describe('memory', () => {
  const collect = async (): Promise<number> => {
    for (let round = 0; round < 4; ++round) {
      (globalThis as { gc?: () => void }).gc?.();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return process.memoryUsage().heapUsed;
  };

  it('lets go of rows that nobody shows', async () => {
    const store = makeStore({ budget: '16 MiB' });
    const history = store.history('a', { capacity: 20_000, bytes: '8 MiB' });
    const feed = new Feed(store, history);
    for (let round = 0; round < 20; ++round) feed.push(1000, (seq) => JSON.stringify({ seq, text: 'x'.repeat(200) }));
    const before = await collect();
    for (let offset = 0; offset < 20_000; offset += 100) {
      expect(history.window({ offset, limit: 100 }).getSnapshot().items).toHaveLength(100);
      if (offset % 2000 === 0) await collect();
    }
    expect((await collect()) - before).toBeLessThan(1024 * 1024);
    store.end();
  });

  it('stays flat while rows come, are shown and leave', async () => {
    const store = makeStore();
    const history = store.history('a', { capacity: 500 });
    const feed = new Feed(store, history);
    const view = history.window({ last: 50 });
    const handle = view.subscribe(() => view.getSnapshot());
    const round = async (): Promise<void> => {
      for (let count = 0; count < 200; ++count) {
        feed.push(20);
        view.getSnapshot();
      }
      await microtaskTurn();
    };
    const microtaskTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
    for (let warm = 0; warm < 5; ++warm) await round();
    const heap = await collect();
    const wasm = store.stats().memoryBytes;
    for (let count = 0; count < 20; ++count) await round();
    expect(store.stats().memoryBytes).toBe(wasm);
    expect((await collect()) - heap).toBeLessThan(300 * 1024);
    handle.end();
    store.end();
  });
});
