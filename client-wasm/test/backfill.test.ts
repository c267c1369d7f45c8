// Older pages against a server in memory: whole ranges, whatever fits into a frame and wherever the seqs have holes.
import { describe, expect, it } from 'vitest';

import { Backfill, type BackfillSource } from '../src/backfill.js';
import { MemoryServer, type MemoryServerOptions } from '../src/testing.js';
import type { Client } from '../src/types.js';
import { FakeClock, makeRig, seqsOf } from './support.js';

interface Options extends MemoryServerOptions {
  readonly page?: number;
  readonly last?: number;
  readonly max?: number;
  readonly capacity?: number;
}

async function rig({ page = 100, last = 20, max = 1000, capacity = 1000, ...options }: Options = {}) {
  const clock = new FakeClock();
  const server = new MemoryServer({ clock, ...options });
  const { store, client } = makeRig({ WebSocket: server.WebSocket, timers: clock });
  const history = store.history<number>('room', { capacity, bytes: '2 MiB' });
  let asked = 0;
  const slow = { until: Promise.resolve() };
  const counting = {
    history: async (...args: Parameters<Client['history']>) => {
      ++asked;
      await slow.until;
      return client.history(...args);
    },
  } as Client;
  const source: BackfillSource<number> = {
    client: counting,
    channel: 'room:1',
    history,
    last,
    page,
    max,
    decode: undefined,
  };
  const backfill = new Backfill(source);
  const open = async (): Promise<void> => {
    client.subscribe('room:1', history, { last });
    await server.settled();
    await server.settled();
  };
  return {
    server,
    store,
    client,
    history,
    backfill,
    slow,
    open,
    items: () => backfill.getSnapshot().items,
    /** Loads, and says in how many requests. */
    load: async (): Promise<number> => {
      const before = asked;
      await backfill.loadOlder();
      expect(backfill.getSnapshot().error).toBeUndefined();
      return asked - before;
    },
  };
}
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const kilobyte = (n: number): string => String(n).padEnd(1000, '.');

describe('Backfill', () => {
  it('joins the answers of a page whose rows do not fit into one frame', async () => {
    const { server, store, backfill, open, items, load } = await rig();
    for (let n = 1; n <= 300; ++n) server.publish('room:1', 'tick', kilobyte(n));
    await open();
    expect(seqsOf(items())).toEqual(range(281, 300));
    expect(await load()).toBe(2);
    expect([seqsOf(items()), backfill.getSnapshot().done]).toEqual([range(181, 300), false]);
    await load();
    await load();
    expect([seqsOf(items()), backfill.getSnapshot().done]).toEqual([range(1, 300), true]);
    store.end();
  });

  it('asks for one record after the other where none fits with another', async () => {
    const { server, store, open, items, load } = await rig({ page: 5, last: 2, frameBytes: 256 });
    for (let n = 1; n <= 12; ++n) server.publish('room:1', 'tick', kilobyte(n));
    await open();
    expect(await load()).toBe(5);
    expect(seqsOf(items())).toEqual(range(6, 12));
    store.end();
  });

  it('gets pages of a channel that has every thousandth seq, until there is nothing older', async () => {
    const { server, store, backfill, open, items, load } = await rig({
      page: 10,
      last: 5,
      sharedSeqs: true,
      channels: 2,
      historyRecords: 100,
    });
    const published: number[] = [];
    for (let n = 1; n <= 40_000; ++n) {
      const seq = server.publish(n % 1000 === 0 ? 'room:1' : 'other', 'tick', n);
      if (n % 1000 === 0) published.push(seq);
    }
    await open();
    expect(seqsOf(items())).toEqual(published.slice(-5));
    let requests = 0;
    for (let loads = 0; !backfill.getSnapshot().done; ++loads) {
      expect(loads).toBeLessThan(15);
      const { length } = items();
      requests += await load();
      expect(items().length).toBeGreaterThan(length);
      expect(seqsOf(items())).toEqual(published.slice(-items().length));
    }
    expect(seqsOf(items())).toEqual(published);
    expect(requests).toBeLessThan(40);
    store.end();
  });

  it('finds what is older behind a hole of any width, with one row shown, in few requests', async () => {
    for (const [before, hole, behind] of [
      [3, 4000, 1],
      [500, 4000, 1],
      [500, 4000, 6],
      [1, 20, 1],
      [11, 0, 1],
    ] as const) {
      const { server, store, backfill, open, items, load } = await rig({ page: 10, last: behind, sharedSeqs: true });
      const published: number[] = [];
      for (let n = 0; n < before; ++n) published.push(server.publish('room:1', 'tick', n));
      for (let n = 0; n < hole; ++n) server.publish('other', 'tick', n);
      for (let n = 0; n < behind; ++n) published.push(server.publish('room:1', 'tick', n));
      await open();
      const shown = items().length;
      expect(await load()).toBeLessThan(60);
      expect(items().length).toBeGreaterThan(shown);
      expect(items().length).toBeLessThanOrEqual(shown + 10);
      expect(seqsOf(items())).toEqual(published.slice(-items().length));
      while (!backfill.getSnapshot().done) await load();
      expect(seqsOf(items())).toEqual(published);
      store.end();
    }
  });

  it('is a model of the newest rows under random seqs, sizes and pages', async () => {
    let seed = Number(process.env['RINGFENCE_TEST_SEED'] ?? 20260420);
    console.log(`RINGFENCE_TEST_SEED=${seed}`);
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let round = 0; round < 60; ++round) {
      const options = {
        page: 1 + random(20),
        last: 1 + random(8),
        max: 40 + random(60),
        frameBytes: 256 + random(2000),
      };
      const { server, store, backfill, open, items, load } = await rig({ ...options, sharedSeqs: random(4) > 0 });
      const published: number[] = [];
      for (let part = random(6); part >= 0; --part) {
        const [own, others] = [random(30), random(10) * 10 ** random(4)];
        for (let n = 0; n < own; ++n) published.push(server.publish('room:1', 'tick', '.'.repeat(random(300))));
        for (let n = 0; n < others; ++n) server.publish('other', 'tick', n);
      }
      published.push(server.publish('room:1', 'tick', 'last'));
      if (random(3) === 0) server.evict('room:1', published.splice(0, random(published.length)).length);
      await open();
      for (let loads = 0; !backfill.getSnapshot().done; ++loads) {
        const { length } = items();
        await load();
        expect(seqsOf(items())).toEqual(published.slice(-items().length));
        expect(items().length > length || backfill.getSnapshot().done).toBe(true);
        expect(items().length).toBeLessThanOrEqual(length + options.page);
      }
      expect(items()).toHaveLength(Math.min(published.length, options.max));
      store.end();
    }
  });

  it('shows no hole where rows leave the history while a page is on its way', async () => {
    const { server, store, history, slow, open, items, backfill } = await rig({ page: 10, last: 5, capacity: 8 });
    for (let n = 1; n <= 30; ++n) server.publish('room:1', 'tick', n);
    await open();
    let go = (): void => undefined;
    slow.until = new Promise((resolve) => (go = resolve));
    const loaded = backfill.loadOlder();
    for (let n = 31; n <= 37; ++n) {
      server.publish('room:1', 'tick', n);
      await server.settled();
      expect(seqsOf(items())).toEqual(range(n - 4, n)); // as a component looks
    }
    expect(history.window({ last: 1 }).getSnapshot().firstSeq).toBe(30); // 26 to 29 have left it
    go();
    await loaded;
    expect(seqsOf(items())).toEqual(range(16, 37));
    store.end();
  });

  it('is not undone by a page that was on its way when it was reset', async () => {
    const { server, store, open, items, backfill } = await rig({ page: 10, last: 5 });
    for (let n = 1; n <= 30; ++n) server.publish('room:1', 'tick', n);
    await open();
    const loaded = backfill.loadOlder();
    backfill.reset();
    await loaded;
    expect(seqsOf(items())).toEqual(range(26, 30));
    expect(backfill.getSnapshot()).toMatchObject({ loading: false, older: 0, done: false, error: undefined });
    store.end();
  });

  it('loads what is before rows of the page’s own', async () => {
    const { server, store, history, open, items, load } = await rig({ page: 3, last: 2 });
    for (let n = 1; n <= 9; ++n) server.publish('room:1', 'tick', n);
    await open();
    for (let n = 0; n < 3; ++n) history.push(n);
    expect(items().every(({ seq }) => seq > 9 && seq < 10)).toBe(true);
    await load();
    expect(seqsOf(items()).slice(0, 3)).toEqual([7, 8, 9]);
    expect(items()).toHaveLength(6);
    store.end();
  });
});
