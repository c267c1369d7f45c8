// Values that JavaScript pushes into a history, alone and beside a channel's records.
import { describe, expect, it } from 'vitest';

import type { HistoryImpl } from '../src/history.js';
import type { Row } from '../src/types.js';
import { Feed, codeOf, makeRig, makeStore, microtask, seqsOf } from './support.js';

describe('A history of pushed values', () => {
  it('gives back the very same object, with rising seqs, bounded by capacity', () => {
    const store = makeStore();
    const history = store.history<{ n: number }>('a', { capacity: 3 });
    const values = [1, 2, 3, 4, 5].map((n) => ({ n }));
    expect(values.map((value) => history.push(value))).toEqual([1, 2, 3, 4, 5]);
    expect(seqsOf(history.last(10))).toEqual([3, 4, 5]);
    expect(history.last(2)[1]?.data).toBe(values[4]);
    expect(history.at(3)?.data).toBe(values[2]);
    expect(history.at(2)).toBeUndefined();
    expect(history.evicted).toEqual({ records: 2, bytes: 0, age: 0, pressure: 0, cleared: 0 });
    expect(history.highWaterMark).toBe(3);
    expect(history.at(5)).toBe(history.last(1)[0]); // the row too
    store.end();
  });

  it('lets go of what is evicted, whoever evicts it', async () => {
    const store = makeStore();
    const history = store.history<object>('a', { capacity: 2 });
    const refs = Array.from({ length: 50 }, () => {
      const value = {};
      history.push(value);
      return new WeakRef(value);
    });
    await new Promise((resolve) => setTimeout(resolve, 0));
    globalThis.gc?.();
    expect(refs.filter((ref) => ref.deref() !== undefined).length).toBeLessThanOrEqual(2);
    history.clear();
    await new Promise((resolve) => setTimeout(resolve, 0));
    globalThis.gc?.();
    expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([]);
    store.end();
  });

  it('pushes many at once, or none where one is refused', () => {
    const store = makeStore();
    const history = store.history<number>('a', { sizeOf: (value) => (value === 3 ? Number.NaN : value) });
    expect(history.pushMany([1, 2])).toBe(2);
    expect(() => history.pushMany([1, 2, 3])).toThrow(/size is NaN: it must be a whole number from 0/);
    expect(history.size).toBe(2);
    expect(history.pushMany([])).toBe(2);
    expect(codeOf(() => history.push(2 ** 30))).toBe('record_too_large');
    expect(codeOf(() => history.pushMany([1, 2, 2 ** 30]))).toBe('record_too_large');
    expect(history.size).toBe(2);
    const texts = store.history<string>('b', { textOf: (value) => value });
    expect(() => texts.pushMany(['a', 'b', 'c'.repeat(40_000)])).toThrow(
      'text is 40000: it must be a whole number from 0 to 32768',
    );
    expect(texts.size).toBe(0);
    store.end();
  });

  it('takes the largest value that the core takes, to the byte', () => {
    const store = makeStore();
    for (const [type, text] of [
      ['t', ''],
      ['seventeen-bytes-x', 'exactly so much'],
      ['é', 'ü'.repeat(700)],
      ['x'.repeat(255), 'y'.repeat(3000)],
    ] as const) {
      let charge = 4096;
      const history = store.history<number>('a', {
        bytes: 4096,
        typeOf: () => type,
        textOf: () => text,
        sizeOf: () => charge,
      });
      const code = (): string | undefined => {
        try {
          history.push(1);
          return undefined;
        } catch (error) {
          return String(error);
        }
      };
      while (code() !== undefined) --charge;
      const most = charge;
      expect(most).toBeGreaterThan(100);
      history.push(1);
      expect([history.size, history.stats().allocatedBytes + most]).toEqual([1, 4096]);
      charge = most + 1;
      expect(code()).toMatch(/record_too_large, it takes 40\d\d bytes/);
      history.end();
    }
    store.end();
  });

  it('charges 256 bytes for a value, or what sizeOf says', () => {
    const store = makeStore();
    const usual = store.history('usual', { capacity: 90_000, bytes: 65536 });
    const sized = store.history('sized', { capacity: 90_000, bytes: 65536, sizeOf: () => 6000 });
    for (let n = 0; n < 1000; ++n) {
      usual.push(n);
      sized.push(n);
    }
    expect(usual.size).toBeGreaterThan(190);
    expect(usual.size).toBeLessThan(65536 / 256);
    expect(sized.size).toBe(10);
    expect(sized.evicted.bytes).toBe(990);
    store.end();
  });

  it('refuses types and times out of bounds, and names itself after its end', () => {
    const store = makeStore();
    const history = store.history('a');
    expect(() => history.push(1, { type: '' })).toThrow(RangeError);
    expect(() => history.push(1, { time: -1 })).toThrow(/time is -1/);
    expect(() => history.last(-1)).toThrow(RangeError);
    expect(() => history.last(1.5)).toThrow(RangeError);
    expect(history.push(1, { type: 'x', time: 1000 })).toBe(1);
    expect(history.at(1)).toMatchObject({ type: 'x', time: 1000, data: 1 });
    history.end();
    expect(() => history.push(1)).toThrow('history "a" was used after its end');
    store.end();
  });

  it('expires by age', async () => {
    const store = makeStore();
    const history = store.history('a', { maxAge: 1000 });
    history.push(1, { time: Date.now() - 5000 });
    (history as HistoryImpl<unknown>).expire(Date.now());
    store.changed();
    expect(history.size).toBe(0);
    expect(history.evicted.age).toBe(1);
    store.end();
  });

  it('tells listeners once, and onTrim how many left at the head', async () => {
    const store = makeStore();
    const history = store.history<number>('a', { capacity: 3 });
    const trims: number[] = [];
    let calls = 0;
    history.onTrim((count) => trims.push(count));
    history.subscribe(() => ++calls);
    history.pushMany([1, 2, 3, 4, 5]);
    await microtask();
    history.push(6);
    await microtask();
    history.clear();
    await microtask();
    expect(trims).toEqual([2, 1, 3]);
    expect(calls).toBe(3);
    store.end();
  });

  it('stays cleared after the next value', () => {
    const store = makeStore();
    const history = store.history<number>('a');
    history.pushMany([1, 2]);
    history.clear();
    expect(history.push(3)).toBe(3);
    expect(history.last(10).map((row) => row.data)).toEqual([3]);
    store.end();
  });
});

describe('Rows of a history', () => {
  const filled = () => {
    const store = makeStore();
    const history = store.history<number>('a', { capacity: 300 });
    history.pushMany(Array.from({ length: 400 }, (_, index) => index));
    return { store, history };
  };
  const datas = (rows: Iterable<Row<number>>): number[] => [...rows].map((row) => row.data);

  it('are sliced as an array is', () => {
    const { store, history } = filled();
    const array = Array.from({ length: 300 }, (_, index) => index + 100);
    for (const [start, end] of [[0], [-3], [2, 5], [-5, -2], [290, 999], [5, 2], [-999, 3], [0, 0], [-0]])
      expect(datas(history.slice(start, end))).toEqual(array.slice(start, end));
    expect(datas(history.slice(-0))).toEqual(array.slice(-0)); // all of them, as an array
    expect(history.last(0)).toEqual([]);
    expect(history.last(-0)).toEqual([]);
    expect(() => history.slice(Number.NaN)).toThrow(RangeError);
    store.end();
  });

  it('are iterated oldest first, while others come and go', () => {
    const { store, history } = filled();
    expect(datas(history)).toEqual(datas(history.slice()));
    const seen: number[] = [];
    for (const row of history) {
      seen.push(row.data);
      if (row.data === 110) history.pushMany(Array.from({ length: 250 }, (_, index) => 400 + index));
      if (seen.length > 1000) break;
    }
    expect(seen.at(-1)).toBe(649);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    store.end();
  });

  it('are found by a predicate; what it throws is told, and stops nothing', () => {
    const thrown: unknown[] = [];
    const store = makeStore({ onError: (error) => thrown.push(error) });
    const history = store.history<number>('a');
    history.pushMany([1, 2, 3]);
    const found = history.find(({ data }) => {
      if (data === 1) throw new Error('mine');
      return data >= 2;
    });
    expect(found?.data).toBe(2);
    expect(history.find(() => false)).toBeUndefined();
    expect(thrown).toEqual([new Error('mine')]);
    expect(store.stats().listenerErrors).toBe(1);
    store.end();
  });
});

describe('A history that a channel feeds', () => {
  it('takes pushed values between its records, without touching its place in the channel', () => {
    const { store, client, socket } = makeRig();
    const history = store.history<unknown>('room');
    client.subscribe('room:1', history);
    const early = history.push('early');
    expect(early).toBeGreaterThan(0);
    expect(early).toBeLessThan(1);
    socket().welcome();
    socket().subscribed('room:1');
    socket().events(1, 0, [1, 2]);
    const local = { text: 'local' };
    const seq = history.push(local);
    expect(Math.floor(seq)).toBe(2);
    expect(history.push('another')).toBeGreaterThan(seq);
    socket().events(1, 2, [3]);
    const rows = history.last(10);
    expect(rows.map((row) => Math.floor(row.seq))).toEqual([0, 1, 2, 2, 2, 3]);
    expect(new Set(seqsOf(rows)).size).toBe(6);
    expect(history.at(seq)?.data).toBe(local);
    const { items, lastSeq, missed } = history.window({ from: 2, to: 2 }).getSnapshot();
    expect(items.length).toBe(3);
    expect({ lastSeq, missed }).toEqual({ lastSeq: 3, missed: 0 });
    expect(store.stats().duplicates).toBe(0);
    socket().lose();
    store.end();
  });

  it('resumes behind the last record, whatever was pushed since', () => {
    const rig = makeRig();
    const history = rig.store.history('room');
    rig.client.subscribe('room:1', history);
    rig.socket().welcome();
    rig.socket().subscribed('room:1');
    rig.socket().events(1, 0, [1, 2]);
    for (let n = 0; n < 10; ++n) history.push(n);
    rig.socket().lose();
    rig.timers.advance(60_000);
    rig.socket().welcome();
    expect(rig.socket().ops('subscribe').at(-1)?.['after']).toEqual({ epoch: 'e1', seq: 2 });
    rig.store.end();
  });

  it('keeps pushed values apart from bytes, however both come and go', () => {
    const store = makeStore();
    const history = store.history<unknown>('a', { capacity: 20 }) as HistoryImpl<unknown>;
    history.fed = true;
    const feed = new Feed(store, history);
    for (let round = 0; round < 30; ++round) {
      feed.push((round % 3) + 1);
      for (let n = 0; n <= round % 4; ++n) history.push({ round, n });
      for (const row of history) {
        const pushed = row.seq !== Math.floor(row.seq);
        expect(Object.keys(row.data as object)).toEqual(pushed ? ['round', 'n'] : ['n']);
        if (!pushed) expect(row.data).toEqual({ n: row.seq });
      }
    }
    store.end();
  });
});
