// Histories kept in IndexedDB: what a page that is loaded again has, and what becomes of what is damaged.
import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { RingfenceError } from '../src/errors.js';
import { connect } from '../src/index.js';
import { type PersistOptions, persist } from '../src/persist.js';
import { crc32 } from '../src/persist/segment.js';
import { MemoryServer, expectNoLeaks } from '../src/testing.js';
import type { ChannelResume, HistoryOptions } from '../src/types.js';
import { until } from './server_process.js';
import { Feed, makeStore, seqsOf } from './support.js';

let indexedDB: IDBFactory;
beforeEach(() => {
  indexedDB = new IDBFactory();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A page: a store with a history that is kept, and a way to feed it. */
async function page(history: HistoryOptions = {}, options: PersistOptions = {}) {
  const store = makeStore();
  const chat = store.history('chat', { bytes: '256 KiB', ...history });
  const codes: string[] = [];
  const onError = (error: RingfenceError): void => void codes.push(error.code);
  const kept = await persist(chat, { indexedDB, flushMs: 10, onError, ...options });
  const fed = (epoch = 'e1'): Feed => {
    (chat as unknown as { resume: unknown; fed: boolean }).resume = { channel: 'room:1', epoch };
    (chat as unknown as { fed: boolean }).fed = true;
    const feed = new Feed(store, chat);
    feed.last = chat.window({ last: 1 }).getSnapshot().lastSeq;
    return feed;
  };
  const seqs = (): number[] => seqsOf(chat.last(100_000));
  return { store, chat, kept, codes, fed, seqs };
}
type Page = Awaited<ReturnType<typeof page>>;
const leave = async ({ kept, store }: Pick<Page, 'kept' | 'store'>): Promise<void> => {
  await kept.end();
  store.end();
};

/** What is stored, to be looked at and to be damaged. */
async function stored(change?: (histories: IDBObjectStore, segments: IDBObjectStore) => void) {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open('ringfence', 1);
    request.onsuccess = () => resolve(request.result as unknown as IDBDatabase);
    request.onerror = () => reject(request.error as Error);
  });
  const transaction = database.transaction(['histories', 'segments'], 'readwrite');
  const [histories, segments] = [transaction.objectStore('histories'), transaction.objectStore('segments')];
  change?.(histories, segments);
  const all = [histories.getAll(), segments.getAll()] as const;
  await new Promise<void>((resolve) => (transaction.oncomplete = () => resolve()));
  database.close();
  return {
    histories: all[0].result as { lastSeq: number; epoch: string }[],
    segments: all[1].result as { first: number; last: number; count: number; bytes: Uint8Array }[],
  };
}

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

describe('what was kept and is not good', () => {
  const keep = async (count = 600): Promise<void> => {
    const one = await page();
    one.fed().push(count);
    await leave(one);
  };
  const change = (at: number, how: (segment: Record<string, unknown>) => unknown) =>
    stored((_, segments) => {
      const cursor = segments.openCursor();
      let index = 0;
      cursor.onsuccess = () => {
        if (!cursor.result) return;
        if (index++ === at) cursor.result.update(how(cursor.result.value as Record<string, unknown>));
        cursor.result.continue();
      };
    });

  it.each([
    ['a byte of a payload', (segment) => (((segment['bytes'] as Uint8Array)[200]! ^= 1), segment)],
    ['its checksum', (segment) => ({ ...segment, crc: 1 })],
    ['its count', (segment) => ({ ...segment, count: 7 })],
    ['its first seq', (segment) => ({ ...segment, first: 2 })],
    ['its kind', () => 'nonsense'],
    ['its bytes', (segment) => ({ ...segment, bytes: 'x' })],
  ] satisfies [string, (segment: Record<string, unknown>) => unknown][])(
    'is refused and dropped, changed in %s',
    async (_, how) => {
      await keep();
      await change(1, how);
      const one = await page();
      expect([one.codes, one.chat.size, one.kept.restored]).toEqual([['persist_corrupt'], 0, 0]);
      expect(one.kept.stats()).toMatchObject({ refused: 1, lastError: 'persist_corrupt', state: 'writing' });
      expect(await stored()).toEqual({ histories: [], segments: [] });
      one.fed().push(3);
      await leave(one);
      const next = await page();
      expect([next.seqs(), next.codes]).toEqual([[1, 2, 3], []]);
      await leave(next);
    },
  );

  it('is refused by the core where the checksum is right and the records are not', async () => {
    await keep();
    await change(2, (segment) => {
      const bytes = segment['bytes'] as Uint8Array;
      bytes[4] = 1; // a flag that must be understood
      return { ...segment, crc: crc32(bytes) };
    });
    const one = await page();
    expect([one.codes, one.chat.size]).toEqual([['batch_bad_record'], 0]);
    expect(await stored()).toEqual({ histories: [], segments: [] });
    const feed = one.fed('e9');
    feed.push(4);
    expect(one.seqs()).toEqual([1, 2, 3, 4]); // nothing of it is left in the history
    await leave(one);
  });

  it.each([
    ['another format', { format: 2 }],
    ['an epoch that is none', { epoch: 'E 1' }],
    ['a place that is none', { lastSeq: -1 }],
  ])('is foreign with %s', async (_, fields) => {
    await keep();
    await stored((histories) => {
      const found = histories.get('chat');
      found.onsuccess = () => histories.put({ ...(found.result as object), ...fields }, 'chat');
    });
    const one = await page();
    expect([one.codes, one.kept.restored]).toEqual([['persist_foreign'], 0]);
    expect((await stored()).histories).toEqual([]);
    await leave(one);
  });

  it('is never taken half: any one bit decides', async () => {
    await keep(20);
    let seed = 1;
    for (let round = 0; round < 40; ++round) {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      const at = seed;
      await change(0, (segment) => {
        const bytes = (segment['bytes'] as Uint8Array).slice();
        bytes[at % bytes.length]! ^= 1 << ((at >> 8) % 8);
        return { ...segment, bytes };
      });
      const one = await page();
      expect([one.chat.size, one.codes]).toEqual([0, ['persist_corrupt']]);
      one.fed().push(20);
      await leave(one);
    }
  });

  it('is left as it is where a later version has written it', async () => {
    await new Promise<void>((resolve) => {
      const request = indexedDB.open('ringfence', 2);
      request.onsuccess = () => {
        request.result.close();
        resolve();
      };
    });
    const one = await page();
    expect([one.codes, one.kept.state]).toEqual([['persist_newer'], 'off']);
    one.fed().push(3);
    await leave(one);
    expect((await indexedDB.databases()).map(({ version }) => version)).toEqual([2]);
  });
});

describe('a storage that fails', () => {
  const failPuts = (name: string) =>
    vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore) {
      const { transaction } = this;
      transaction.abort();
      Object.defineProperty(transaction, 'error', { value: new DOMException('no', name) });
      return {} as IDBRequest<IDBValidKey>;
    });

  it('for want of room keeps what was kept, is told and counted, and tried again', async () => {
    const one = await page();
    const feed = one.fed();
    feed.push(5);
    await one.kept.flush();
    const failing = failPuts('QuotaExceededError');
    feed.push(5);
    await one.kept.flush();
    expect(one.codes).toEqual(['persist_quota']);
    expect(one.kept.stats()).toMatchObject({ quotaErrors: 1, failedSaves: 1, records: 5, state: 'writing' });
    await until(() => expect(one.kept.stats().failedSaves).toBeGreaterThan(2)); // by itself
    failing.mockRestore();
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 5 }]);
    await until(() => expect(one.kept.stats().records).toBe(10));
    await leave(one);
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 10 }]);
  });

  it('otherwise is told by another code', async () => {
    const one = await page({}, { flushMs: 60_000 });
    one.fed().push(5);
    failPuts('UnknownError');
    await one.kept.flush();
    expect([one.codes, one.kept.stats().quotaErrors]).toEqual([['persist_failed'], 0]);
    vi.restoreAllMocks();
    await leave(one);
  });

  it('that is not there leaves the history as it is', async () => {
    vi.stubGlobal('indexedDB', undefined);
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const store = makeStore();
    const kept = await persist(store.history('a', { bytes: 65536 }));
    expect([kept.state, kept.restored, kept.stats().lastError]).toEqual(['off', 0, 'persist_unavailable']);
    expect(warned).toHaveBeenCalledWith('ringfence: there is no IndexedDB here (persist_unavailable)');
    expect(store.handles().listeners).toBe(0);
    await leave({ kept, store });
  });

  it('that does not open in time', async () => {
    const never = { open: () => ({}) } as unknown as IDBFactory;
    const one = await page({}, { indexedDB: never, openTimeoutMs: 10 });
    expect([one.codes, one.kept.state]).toEqual([['persist_unavailable'], 'off']);
    await leave(one);
  });

  it('that the browser takes away', async () => {
    const one = await page();
    one.fed().push(5);
    await one.kept.flush();
    await new Promise<void>((resolve) => {
      const request = indexedDB.deleteDatabase('ringfence'); // as a page of a later version would ask for its own
      request.onsuccess = () => resolve();
    });
    expect([one.kept.state, one.codes]).toEqual(['off', ['persist_unavailable']]);
    await one.kept.flush();
    await leave(one);
  });

  it('an onError that throws is the store’s to report', async () => {
    const errors: unknown[] = [];
    const store = makeStore({ onError: (error) => errors.push(error) });
    const onError = (): void => {
      throw new Error('mine');
    };
    const kept = await persist(store.history('a'), {
      indexedDB: { open: () => ({}) } as never,
      openTimeoutMs: 1,
      onError,
    });
    expect(errors).toEqual([new Error('mine')]);
    await leave({ kept, store });
  });
});

describe('two pages of a site', () => {
  it('without Web Locks: who has written last goes on, and the other is told', async () => {
    vi.stubGlobal('navigator', {});
    const first = await page({}, { flushMs: 60_000 });
    const feed = first.fed();
    feed.push(5);
    await first.kept.flush();
    const second = await page({}, { flushMs: 60_000 });
    second.fed().push(5);
    await second.kept.flush();
    feed.push(1);
    await first.kept.flush();
    expect([first.codes, first.kept.state]).toEqual([['persist_taken'], 'off']);
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 10 }]);
    await leave(first);
    await leave(second);
  });

  it('with Web Locks: one writes, the other waits for its place and then writes all it holds', async () => {
    const queues = new Map<string, (() => void)[]>();
    const request = async (
      name: string,
      options: LockOptions,
      body: (lock: object | null) => unknown,
    ): Promise<void> => {
      const queue = queues.get(name);
      if (queue && options.ifAvailable) return void (await body(null));
      if (queue)
        await new Promise<void>((resolve, reject) => {
          queue.push(resolve);
          options.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
        });
      else queues.set(name, []);
      await body({});
      const next = queues.get(name)?.shift();
      if (next) next();
      else queues.delete(name);
    };
    vi.stubGlobal('navigator', { locks: { request } });
    const first = await page();
    first.fed().push(5);
    await first.kept.flush();
    const second = await page();
    const third = await page();
    expect([second.kept.state, second.kept.restored, third.kept.state]).toEqual(['waiting', 5, 'waiting']);
    second.fed().push(20);
    await second.kept.flush();
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 5 }]);
    await leave(third); // gives its place in the queue back
    await leave(first);
    await until(() => expect(second.kept.state).toBe('writing'));
    await until(() => expect(second.kept.stats().records).toBe(25));
    await leave(second);
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 25 }]);
    await until(() => expect([...queues.values()].flat()).toEqual([]));
  });
});

it('a page that is hidden writes at once', async () => {
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('document', document);
  const removed = vi.spyOn(document, 'removeEventListener');
  const one = await page({}, { flushMs: 60_000 });
  one.fed().push(5);
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  await until(() => expect(one.kept.stats().saves).toBe(1));
  await leave(one);
  expect(removed).toHaveBeenCalledTimes(1);
});

describe('crc32', () => {
  it('is that of zip and PNG', () => {
    expect(crc32(new TextEncoder().encode('123456789')).toString(16)).toBe('cbf43926');
    expect(crc32(new Uint8Array(0))).toBe(0);
  });
});
