// What is kept in IndexedDB and is damaged or foreign, and a storage that fails.
import { describe, expect, it, vi } from 'vitest';

import { persist } from '../src/persist.js';
import { crc32 } from '../src/persist/segment.js';
import { indexedDB, leave, page, stored } from './persist_support.js';
import { until } from './server_process.js';
import { makeStore } from './support.js';

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

describe('crc32', () => {
  it('is that of zip and PNG', () => {
    expect(crc32(new TextEncoder().encode('123456789')).toString(16)).toBe('cbf43926');
    expect(crc32(new Uint8Array(0))).toBe(0);
  });
});
