// The client against the real server: what one publishes, the other holds, over cuts, evictions and restarts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { connect } from '../src/index.js';
import type { StoreImpl } from '../src/store.js';
import type { ChannelResume, Client, History, SocketConstructor } from '../src/types.js';
import { ServerProcess, until } from './server_process.js';
import { makeStore } from './support.js';

const ARGS = ['--history-records', '200', '--message-bytes', '4096'];
ARGS.push('--inbound-messages', '1000000'); // its publishers have no API key
ARGS.push('--channel-policy', 'ticker:*=conflate');

let server: ServerProcess;

const clients: Client[] = [];
const stores: StoreImpl[] = [];

function open(): { store: StoreImpl; client: Client; errors: Error[]; sockets: WebSocket[] } {
  const store = makeStore();
  const backoff = { baseMs: 50, maxMs: 200 };
  const sockets: WebSocket[] = [];
  class Kept extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.push(this);
    }
  }
  const socket = Kept as unknown as SocketConstructor;
  const client = connect(server.socketUrl, { store, backoff, WebSocket: socket });
  const errors: Error[] = [];
  client.onError((error) => errors.push(error));
  clients.push(client);
  stores.push(store);
  return { store, client, errors, sockets };
}

const isOpen = (client: Client): Promise<void> => until(() => expect(client.state.status).toBe('open'));
const numbers = (history: History<unknown>): number[] =>
  history
    .window({ last: 10_000 })
    .getSnapshot()
    .items.map(({ data }) => (data as { n: number }).n);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

async function publish(client: Client, channel: string, from: number, to: number): Promise<number> {
  let last = 0;
  for (let n = from; n <= to; n += 100) {
    const some = range(n, Math.min(n + 99, to)).map((each) => client.publish(channel, 'tick', { n: each }));
    for (const { seq } of await Promise.all(some)) last = Math.max(last, seq);
  }
  return last;
}

beforeAll(async () => {
  server = await ServerProcess.start(ARGS);
});
afterAll(async () => {
  for (const store of stores) store.end();
  await server?.down();
});

describe('with a ringfence-server', () => {
  it('every event arrives once and in order, and each publish has its seq', async () => {
    const { client: sender } = open();
    const { client, store, errors } = open();
    const history = store.history('a', { capacity: 5000 });
    await Promise.all([isOpen(sender), isOpen(client)]);
    const subscription = client.subscribe('order', history);
    await until(() => expect(subscription.state).toBe('active'));
    // In step with the receiver: the server keeps 200 records, and one that is behind by more would rightly miss some.
    for (let n = 100; n <= 3000; n += 100) {
      expect(await publish(sender, 'order', n - 99, n)).toBe(n);
      await until(() => expect(history.size).toBe(n));
    }
    expect(numbers(history)).toEqual(range(1, 3000));
    expect(history.stats()).toMatchObject({ missed: 0, duplicates: 0, refused: 0 });
    expect(errors).toEqual([]);
  });

  it('a cut at any place resumes exactly', async () => {
    const { client: sender } = open();
    const { client, store, errors } = open();
    const history = store.history('a', { capacity: 5000 });
    client.subscribe('cut', history, { last: 1000 });
    let replayed = 0;
    let resumes = 0;
    const listening = client.onResume((resume) => {
      ++resumes;
      replayed += resume.replayed;
      expect(resume.missed).toBe(0);
    });
    await Promise.all([isOpen(sender), isOpen(client)]);
    for (let round = 0; round < 10; ++round) {
      const published = publish(sender, 'cut', round * 100 + 1, round * 100 + 100);
      await until(() => expect(client.state.status).toBe('open'));
      client.cut();
      await published;
      await until(() => expect(history.size).toBe(round * 100 + 100));
      expect(['nothing missed', undefined]).toContain(
        client.state.lastResume?.text.replace(/^replayed \d+$/, 'nothing missed'),
      );
    }
    expect(numbers(history)).toEqual(range(1, 1000));
    expect(history.stats()).toMatchObject({ missed: 0, missedUnknown: 0 });
    await until(() => expect(resumes).toBeGreaterThan(0));
    listening.end();
    expect(replayed).toBeLessThanOrEqual(1000);
    expect(errors).toEqual([]);
  });

  it('says exactly how many were missed when the server had to evict them', async () => {
    const { client: sender } = open();
    const { client, store } = open();
    const history = store.history('a', { capacity: 5000 });
    const subscription = client.subscribe('evict', history);
    await isOpen(sender);
    await until(() => expect(subscription.state).toBe('active'));
    await publish(sender, 'evict', 1, 10);
    await until(() => expect(history.size).toBe(10));
    const resumes: ChannelResume[] = [];
    client.onResume((resume) => resumes.push(resume));
    client.disconnect();
    await publish(sender, 'evict', 11, 1000);
    client.reconnect();
    await until(() => expect(history.window({ last: 1 }).getSnapshot().lastSeq).toBe(1000));
    const { missed, replayed, text } = client.state.lastResume ?? {};
    expect(resumes).toEqual([{ channel: 'evict', outcome: 'missed', replayed, missed, text }]);
    expect(text).toBe(`missed ${missed}`);
    expect(Number(missed) + Number(replayed)).toBe(990);
    expect(replayed).toBeLessThanOrEqual(200);
    expect(history.stats()).toMatchObject({ missed, held: 10 + Number(replayed) });
    expect(numbers(history)).toEqual([...range(1, 10), ...range(1001 - Number(replayed), 1000)]);
    expect(store.stats().holes).toBe(0);
  });

  it('tells what a slow reader of a `conflate` channel was spared apart from what it missed', async () => {
    const { client: sender } = open();
    const { client, store, errors, sockets } = open();
    const history = store.history('a', { capacity: 5000 });
    const subscription = client.subscribe('ticker:a', history);
    await isOpen(sender);
    await until(() => expect(subscription.state).toBe('active'));
    await publish(sender, 'ticker:a', 1, 1);
    await until(() => expect(history.size).toBe(1));
    sockets.at(-1)?.pause();
    // Until the sockets between them are full, and records are skipped: some MB on loopback.
    const filler = 'x'.repeat(3500);
    let last = 1;
    for (let round = 0; round < 60; ++round) {
      const some = range(1, 100).map(() => sender.publish('ticker:a', 'tick', { n: 0, filler }));
      for (const { seq } of await Promise.all(some)) last = Math.max(last, seq);
    }
    sockets.at(-1)?.resume();
    const snapshot = () => history.window({ last: 1 }).getSnapshot();
    await until(() => {
      const { lastSeq, conflated } = snapshot();
      expect(lastSeq).toBe(last);
      expect(history.stats().held + history.stats().evictedTotal + conflated).toBe(last);
    });
    expect(snapshot()).toMatchObject({ missed: 0 });
    expect(snapshot().conflated).toBeGreaterThan(0);
    expect(store.stats().holes).toBe(0);
    expect(client.stats().gaps).toBe(0);
    expect(errors).toEqual([]);
  });

  it('refusals have the code of the server, and the connection goes on', async () => {
    const { client, errors } = open();
    await isOpen(client);
    const levels = (count: number): unknown => JSON.parse('['.repeat(count) + ']'.repeat(count));
    await expect(client.publish('deep', 't', levels(10))).rejects.toMatchObject({ code: 'bad_json' });
    await expect(client.publish('deep', 't', levels(9))).resolves.toEqual({ seq: 1 });
    await expect(client.publish('large', 't', 'x'.repeat(5000))).rejects.toMatchObject({ code: 'message_too_large' });
    await expect(client.publish('fine', 't', 1)).resolves.toEqual({ seq: 1 });
    expect(client.stats()).toMatchObject({ connects: 1, unacknowledged: 0, refusedPublishes: 2 });
    expect(errors).toEqual([]);
  });

  it('a restart begins another epoch, and the client says that it cannot know what was missed', async () => {
    const { client, store } = open();
    const history = store.history('a');
    const subscription = client.subscribe('life', history, { last: 100 });
    await until(() => expect(subscription.state).toBe('active'));
    await publish(client, 'life', 1, 5);
    await until(() => expect(history.size).toBe(5));
    await server.down();
    await until(() => expect(client.state.status).not.toBe('open'));
    await server.up();
    await until(() => expect(client.state.lastResume?.text).toBe('missed an unknown number'));
    expect(history.size).toBe(0);
    expect(history.stats().missedUnknown).toBe(1);
    await publish(client, 'life', 101, 103);
    await until(() => expect(numbers(history)).toEqual([101, 102, 103]));
    expect(client.stats().connects).toBe(2);
  });
});
