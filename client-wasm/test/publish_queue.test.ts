// Publishes that wait: for a connection, and as long as the server asks.
import { describe, expect, it } from 'vitest';

import { makeRig } from './support.js';

const dataOf = (messages: readonly Record<string, unknown>[]): unknown[] => messages.map((message) => message['data']);

describe('publish without a connection', () => {
  it('waits, and goes out in order once there is one', async () => {
    const { client, socket } = makeRig({ offlineMax: 3 });
    const all = [1, 2, 3].map((n) => client.publish('a', 't', n));
    expect(client.stats()).toMatchObject({ waitingPublishes: 3, unacknowledged: 0 });
    await expect(client.publish('a', 't', 4)).rejects.toMatchObject({ code: 'offline_full' });
    expect(client.stats().refusedPublishes).toBe(1);
    socket().welcome();
    const sent = socket().ops('publish');
    expect(dataOf(sent)).toEqual([1, 2, 3]);
    for (const { id } of sent) socket().tell({ op: 'ok', id, seq: id as number });
    expect(await Promise.all(all)).toEqual(sent.map(({ id }) => ({ seq: id })));
    expect(client.stats()).toMatchObject({ waitingPublishes: 0, unacknowledged: 0 });
  });

  it('is bounded by bytes as well, and refuses bad bounds', async () => {
    const { client } = makeRig({ offlineMax: 100, offlineBytes: 200 });
    const first = client.publish('a', 't', 'x'.repeat(100));
    await expect(client.publish('a', 't', 'x'.repeat(100))).rejects.toThrow(/bytes more than the 200 that may wait/);
    client.end();
    await expect(first).rejects.toMatchObject({ code: 'ended' });
    expect(client.stats()).toMatchObject({ waitingPublishes: 0, refusedPublishes: 2 });
    for (const options of [{ offlineMax: -1 }, { offlineMax: 65_537 }, { offlineMax: Number.NaN }, { offlineBytes: 0 }])
      expect(() => makeRig(options)).toThrow(RangeError);
  });

  it('refuses what turns out to be too large for the server, and sends the rest', async () => {
    const { client, socket } = makeRig({ offlineMax: 3 });
    const large = client.publish('a', 't', 'x'.repeat(70_000));
    void client.publish('a', 't', 'fits').catch(() => undefined);
    socket().welcome();
    await expect(large).rejects.toMatchObject({ code: 'message_too_large' });
    expect(dataOf(socket().ops('publish'))).toEqual(['fits']);
  });

  it('never sends again what was under way when the connection was lost', async () => {
    const { client, socket, timers } = makeRig({ offlineMax: 3 });
    socket().welcome();
    const sent = client.publish('a', 't', 'sent');
    socket().lose();
    await expect(sent).rejects.toMatchObject({ code: 'connection_lost' });
    const waiting = client.publish('a', 't', 'waiting');
    timers.advance(1000);
    socket().welcome();
    expect(dataOf(socket().ops('publish'))).toEqual(['waiting']);
    socket().tell({ op: 'ok', id: socket().ops('publish')[0]?.['id'], seq: 5 });
    await expect(waiting).resolves.toEqual({ seq: 5 });
  });
});

describe('publish refused for now', () => {
  it('waits as long as the server asks and goes again in order, one at a time', async () => {
    const { client, socket, timers } = makeRig();
    socket().welcome();
    const all = [1, 2, 3, 4].map((n) => client.publish('a', 't', n));
    const later = (code: string, id: unknown): void =>
      socket().tell({ op: 'error', id, code, message: 'later', retry_after_ms: 700 });
    const [first, ...rest] = socket().ops('publish');
    socket().tell({ op: 'ok', id: first?.['id'], seq: 1 });
    for (const { id } of rest) later('rate_limited', id);
    all.push(client.publish('a', 't', 5));
    expect(client.stats()).toMatchObject({ waitingPublishes: 4, delayedPublishes: 3, unacknowledged: 0 });
    timers.advance(699);
    expect(socket().ops('publish')).toHaveLength(4);
    timers.advance(1);
    expect(dataOf(socket().ops('publish').slice(4))).toEqual([2]);
    later('overloaded', socket().ops('publish').at(-1)?.['id']);
    timers.advance(700);
    for (let seq = 2; seq <= 5; ++seq) {
      const last = socket().ops('publish').at(-1);
      expect(last?.['data']).toBe(seq);
      socket().tell({ op: 'ok', id: last?.['id'], seq });
    }
    expect(await Promise.all(all)).toEqual([1, 2, 3, 4, 5].map((seq) => ({ seq })));
    expect(client.stats()).toMatchObject({ refusedPublishes: 0, delayedPublishes: 4, waitingPublishes: 0 });
    client.end();
    expect(timers.pending).toBe(0);
  });

  it('survives the loss of the connection: the server said that it was not taken', async () => {
    const { client, socket, timers } = makeRig();
    socket().welcome();
    const publish = client.publish('a', 't', 1);
    socket().tell({ op: 'error', id: 1, code: 'rate_limited', message: 'later' });
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(dataOf(socket().ops('publish'))).toEqual([1]);
    socket().tell({ op: 'ok', id: 1, seq: 9 });
    await expect(publish).resolves.toEqual({ seq: 9 });
  });

  it('is rejected at end(), and leaves no timer', async () => {
    const { client, socket, timers } = makeRig();
    socket().welcome();
    const publish = client.publish('a', 't', 1);
    socket().tell({ op: 'error', id: 1, code: 'overloaded', message: 'later', retry_after_ms: 50 });
    client.end();
    await expect(publish).rejects.toMatchObject({ code: 'ended' });
    expect(timers.pending).toBe(0);
  });
});
