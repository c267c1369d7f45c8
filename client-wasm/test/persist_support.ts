// What the tests of `persist` share: a database of each test, pages that keep a history in it, and a look at what is stored.
import 'fake-indexeddb/auto';
import { IDBFactory } from 'fake-indexeddb';
import { afterEach, beforeEach, vi } from 'vitest';

import type { RingfenceError } from '../src/errors.js';
import { type PersistOptions, persist } from '../src/persist.js';
import type { HistoryOptions } from '../src/types.js';
import { Feed, makeStore, seqsOf } from './support.js';

/** Of the test that runs. */
export let indexedDB: IDBFactory;
beforeEach(() => {
  indexedDB = new IDBFactory();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A page: a store with a history that is kept, and a way to feed it. */
export async function page(history: HistoryOptions = {}, options: PersistOptions = {}) {
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
export type Page = Awaited<ReturnType<typeof page>>;
export const leave = async ({ kept, store }: Pick<Page, 'kept' | 'store'>): Promise<void> => {
  await kept.end();
  store.end();
};

/** What is stored, to be looked at and to be damaged. */
export async function stored(change?: (histories: IDBObjectStore, segments: IDBObjectStore) => void) {
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
