// Histories kept in IndexedDB: what a page that is loaded again has, and how it ends.
import { describe, expect, it, vi } from 'vitest';

import { connect } from '../src/index.js';
import { persist } from '../src/persist.js';
import { FakeClock, MemoryServer, expectNoLeaks } from '../src/testing.js';
import type { ChannelResume } from '../src/types.js';
import { type Page, indexedDB, leave, page, stored } from './persist_support.js';
import { until } from './server_process.js';
import { Feed, makeStore, seqsOf } from './support.js';

describe('persist', () => {
  it('gives a page that is loaded again the same rows, times and types, and the place in the channel', async () => {
    const first = await page();
    first.fed().push(300, (seq) => JSON.stringify({ n: seq, text: 'ü€😀' }), 1_700_000_000_123_456);
    const before = first.chat.last(300);
    await leave(first);
    const second = await page();
    expect([second.kept.restored, second.kept.state]).toEqual([300, 'writing']);
    expect(second.chat.last(300)).toEqual(before);
    expect(second.chat.window({ last: 1 }).getSnapshot()).toMatchObject({ lastSeq: 300, missed: 0, evicted: 0 });
    expect(second.chat.stats()).toMatchObject({ missed: 0, missedUnknown: 0, duplicates: 0 });
    second.fed().push(5);
    await leave(second);
    const third = await page();
    expect(third.seqs()).toEqual(Array.from({ length: 305 }, (_, index) => index + 1));
    expect(third.codes).toEqual([]);
    await leave(third);
  });

  it('resumes from what was kept, and says so', async () => {
    const server = new MemoryServer();
    const open = async () => {
      const one = await page();
      const client = connect('ws://test/', { store: one.store, WebSocket: server.WebSocket });
      const told: ChannelResume[] = [];
      client.onResume((resume) => told.push(resume));
      client.subscribe('room:1', one.chat, { last: 10 });
      await server.settled();
      return { ...one, client, told };
    };
    for (let n = 1; n <= 20; ++n) server.publish('room:1', 't', n);
    const first = await open();
    expect([first.seqs().length, first.told]).toEqual([10, []]);
    await leave(first);
    for (let n = 1; n <= 7; ++n) server.publish('room:1', 't', n);
    const second = await open();
    expect(second.told).toMatchObject([{ channel: 'room:1', outcome: 'replayed', replayed: 7, missed: 0 }]);
    expect(second.client.state.lastResume?.text).toBe('replayed 7');
    expect(second.seqs()).toEqual(Array.from({ length: 17 }, (_, index) => index + 11));
    await leave(second);
    server.restart();
    server.publish('room:1', 't', 0);
    const third = await open();
    expect(third.kept.restored).toBe(17);
    expect(third.told).toMatchObject([{ outcome: 'missed', missed: null, replayed: 1 }]);
    expect(third.seqs()).toEqual([1]);
    await leave(third);
    const fourth = await page();
    expect(fourth.seqs()).toEqual([1]);
    expect((await stored()).histories[0]?.epoch).toBe('m1');
    await leave(fourth);
  });

  it('keeps no more than the history holds, and less than a segment more', async () => {
    const first = await page({ capacity: 500 });
    const feed = first.fed();
    for (let n = 0; n < 50; ++n) {
      feed.push(100);
      await first.kept.flush();
    }
    const { segments } = await stored();
    expect(segments.reduce((sum, { count }) => sum + count, 0)).toBeLessThan(500 + 256);
    expect(segments.at(-1)?.last).toBe(5000);
    expect(segments.length).toBeLessThanOrEqual(8);
    const { records, bytes } = first.kept.stats();
    expect(records).toBe(segments.reduce((sum, { count }) => sum + count, 0));
    expect(bytes).toBe(segments.reduce((sum, segment) => sum + segment.bytes.length, 0));
    await leave(first);
    const second = await page({ capacity: 500 });
    expect(second.seqs()).toEqual(Array.from({ length: 500 }, (_, index) => index + 4501));
    await leave(second);
    const smaller = await page({ capacity: 50 });
    expect(smaller.seqs()).toEqual(Array.from({ length: 50 }, (_, index) => index + 4951));
    await leave(smaller);
  });

  it('takes records of any size, more than one save can hold, and a store with small batches', async () => {
    const first = await page({ bytes: '2 MiB', capacity: 5000 });
    const feed = first.fed();
    for (const size of [10, 100_000, 20, 40_000, 250_000, 3]) feed.push(1, () => JSON.stringify('x'.repeat(size)));
    feed.push(2000, (seq) => JSON.stringify({ seq, text: 'y'.repeat(200) }));
    const before = first.seqs();
    await first.kept.flush();
    expect(first.kept.stats()).toMatchObject({ failedSaves: 0, records: 2006 });
    expect(first.kept.stats().saves).toBeGreaterThan(1);
    await leave(first);
    const store = makeStore({ batchBytes: 512 * 1024 });
    const chat = store.history('chat', { bytes: '2 MiB', capacity: 5000 });
    const kept = await persist(chat, { indexedDB });
    expect([kept.restored, seqsOf(chat.last(5000))]).toEqual([before.length, before]);
    await leave({ kept, store });
  });

  it('leaves out what the page has pushed', async () => {
    const first = await page();
    const feed = first.fed();
    feed.push(2);
    first.chat.push({ mine: true });
    feed.push(1);
    first.chat.push({ mine: true });
    expect(first.chat.size).toBe(5);
    await leave(first);
    const second = await page();
    expect(second.seqs()).toEqual([1, 2, 3]);
    second.chat.push({ mine: 'again' });
    expect(Math.floor(second.seqs().at(-1) as number)).toBe(3); // behind the channel's
    await leave(second);
  });

  it('keeps what was cleared away, and the place in the channel', async () => {
    const first = await page();
    first.fed().push(40);
    await first.kept.flush();
    first.chat.clear();
    await leave(first);
    expect((await stored()).segments).toEqual([]);
    const second = await page();
    expect([second.kept.restored, second.chat.size]).toEqual([0, 0]);
    expect(second.chat.window({ last: 1 }).getSnapshot()).toMatchObject({ lastSeq: 40, missed: 0 });
    await leave(second);
  });

  it('lets go of what is too old when it is read', async () => {
    const first = await page();
    first.fed().push(3, undefined, (Date.now() - 60_000) * 1000);
    await leave(first);
    const second = await page({ maxAge: 1000 });
    expect(second.chat.size).toBe(0);
    await leave(second);
  });

  it("tells the age by the store's clock", async () => {
    const first = await page();
    first.fed().push(5, undefined, 1_000_000); // a second after 1970
    await leave(first);
    const store = makeStore({ timers: new FakeClock(1100) });
    const chat = store.history('chat', { bytes: '256 KiB', maxAge: 60_000 });
    const kept = await persist(chat, { indexedDB });
    expect([kept.restored, chat.size, chat.stats().evicted.age]).toEqual([5, 5, 0]);
    await leave({ kept, store });
  });

  it('writes once for many batches, and nothing where nothing has changed', async () => {
    const first = await page({}, { flushMs: 50 });
    const feed = first.fed();
    for (let n = 0; n < 100; ++n) feed.push(1);
    expect(first.kept.stats().saves).toBe(0);
    await until(() => expect(first.kept.stats().saves).toBe(1));
    await first.kept.flush();
    await first.kept.flush();
    expect(first.kept.stats()).toMatchObject({ saves: 1, records: 100, segments: 1 });
    await leave(first);
  });

  it('writes in idle time', async () => {
    const idle: (() => void)[] = [];
    vi.stubGlobal('requestIdleCallback', (run: () => void, options: IdleRequestOptions) => {
      expect(options.timeout).toBe(1000);
      idle.push(run);
    });
    const one = await page();
    const feed = one.fed();
    feed.push(5);
    await until(() => expect(idle).toHaveLength(1));
    expect(one.kept.stats().saves).toBe(0);
    idle[0]?.();
    await until(() => expect(one.kept.stats().saves).toBe(1));
    feed.push(5);
    await until(() => expect(idle).toHaveLength(2));
    await leave(one);
    idle[1]?.(); // too late: it has ended
    expect(one.kept.stats().saves).toBe(2);
  });

  it('keeps histories of one database apart', async () => {
    const store = makeStore();
    for (const [index, name] of ['a', 'ab', 'b'].entries()) {
      const history = store.history(name, { bytes: 65536 });
      const kept = await persist(history, { indexedDB });
      (history as unknown as { resume: unknown }).resume = { channel: name, epoch: 'e1' };
      new Feed(store, history, index + 1).push(index + 1);
      await kept.end();
    }
    const again = makeStore();
    for (const [index, name] of ['a', 'ab', 'b'].entries()) {
      const kept = await persist(again.history(name, { bytes: 65536 }), { indexedDB });
      expect([name, kept.restored]).toEqual([name, index + 1]);
      await kept.end();
    }
  });

  it('refuses arguments out of their bounds, and a history that has begun', async () => {
    const store = makeStore();
    const history = store.history('a', { bytes: 65536 });
    await expect(persist({} as never)).rejects.toThrow(TypeError);
    await expect(persist(history, { database: '' })).rejects.toThrow(RangeError);
    await expect(persist(history, { flushMs: 9 })).rejects.toThrow('flushMs is 9');
    await expect(persist(history, { endTimeoutMs: 60_001 })).rejects.toThrow(RangeError);
    await expect(persist(history, { openTimeoutMs: 0 })).rejects.toThrow(RangeError);
    const kept = await persist(history, { indexedDB });
    await expect(persist(history, { indexedDB })).rejects.toMatchObject({ code: 'already_persisted' });
    await kept.end();
    const full = store.history('full', { bytes: 65536 });
    full.push(1);
    await expect(persist(full, { indexedDB })).rejects.toMatchObject({ code: 'not_empty' });
    const late = store.history('late', { bytes: 65536 });
    const reading = persist(late, { indexedDB });
    late.push(1);
    await expect(reading).rejects.toMatchObject({ code: 'not_empty' });
    const gone = store.history('gone', { bytes: 65536 });
    const opening = persist(gone, { indexedDB });
    gone.end();
    await expect(opening).rejects.toMatchObject({ code: 'ended' });
    await expect(persist(gone, { indexedDB })).rejects.toMatchObject({ code: 'ended' });
    expect(store.handles().listeners).toBe(0);
    store.end();
  });
});

describe('the end of a persistence', () => {
  it('writes the rest, and is the same for a history, a store and twice', async () => {
    const ends: ((one: Page) => void)[] = [
      ({ kept }) => void kept.end(),
      ({ chat }) => chat.end(),
      ({ store }) => store.end(),
    ];
    for (const [round, end] of ends.entries()) {
      const one = await page({}, { flushMs: 60_000 });
      one.fed().push(10);
      end(one);
      await one.kept.end();
      await one.kept.end();
      expect([one.kept.state, one.kept.stats().saves]).toEqual(['ended', 1]);
      await one.kept.flush();
      one.store.end();
      const { histories } = await stored();
      expect(histories[0]?.lastSeq).toBe(10 * (round + 1));
    }
  });

  it('goes on with a save under way', async () => {
    const one = await page({}, { flushMs: 60_000 });
    const feed = one.fed();
    feed.push(10);
    void one.kept.flush();
    feed.push(10);
    await one.kept.end();
    one.store.end();
    const { segments } = await stored();
    expect(segments.map(({ first, last }) => [first, last])).toEqual([[1, 20]]);
  });

  it('takes no longer than it may', async () => {
    const one = await page({}, { flushMs: 60_000, endTimeoutMs: 20 });
    one.fed().push(10);
    const never = { objectStore: () => ({ get: () => ({}) }) };
    vi.spyOn(IDBDatabase.prototype, 'transaction').mockReturnValue(never as unknown as IDBTransaction);
    const began = Date.now();
    await one.kept.end();
    expect(Date.now() - began).toBeGreaterThanOrEqual(19);
    expect(one.codes).toEqual(['persist_timeout']);
    one.store.end();
  });

  it('leaves no handle; while it lives it is no leak', async () => {
    const one = await page();
    expect(one.store.liveHandles().map(({ kind, owner }) => [kind, owner])).toEqual([
      ['history', 'store'],
      ['persist', 'history "chat"'],
      ['listener', 'persist "chat"'],
    ]);
    expectNoLeaks(one.store);
    expect(() => expectNoLeaks(one.store, { allow: ['history'] })).toThrow(/2 leaked/);
    await one.kept[Symbol.asyncDispose]();
    expect(one.store.liveHandles().map(({ kind }) => kind)).toEqual(['history']);
    one.store.end();
  });
});
