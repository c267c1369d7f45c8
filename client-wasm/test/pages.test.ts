import { describe, expect, it } from 'vitest';

import { FakeClock, MemoryServer } from '../src/testing.js';
import { parseServerMessage } from '../src/wire.js';
import { codesOf, makeRig } from './support.js';

function rig() {
  const clock = new FakeClock();
  const server = new MemoryServer({ clock });
  return { server, clock, ...makeRig({ WebSocket: server.WebSocket, timers: clock, publishTimeoutMs: 1000 }) };
}

describe('client.history', () => {
  it('gives pages of what the server holds, and where to go on', async () => {
    const { server, client, store } = rig();
    for (let n = 1; n <= 7; ++n) server.publish('room:1', 'tick', { n });
    await server.settled();
    const page = await client.history('room:1', { limit: 3 });
    expect(page).toMatchObject({ channel: 'room:1', first: 1, next: 8, missed: 0, more: true });
    expect(page.events.map(({ seq, type, time, data }) => [seq, type, time, data])).toEqual([
      [1, 'tick', 1_000_000, { n: 1 }],
      [2, 'tick', 1_000_000, { n: 2 }],
      [3, 'tick', 1_000_000, { n: 3 }],
    ]);
    expect(Object.isFrozen(page) && Object.isFrozen(page.events) && Object.isFrozen(page.events[0])).toBe(true);
    const rest = await client.history('room:1', { after: 3, epoch: page.epoch });
    expect([rest.events.map(({ seq }) => seq), rest.more]).toEqual([[4, 5, 6, 7], false]);
    server.evict('room:1', 5);
    expect(await client.history('room:1', { after: 2 })).toMatchObject({ first: 6, missed: 3 });
    expect(await client.history('room:1', { after: 2, epoch: 'other' })).toMatchObject({ missed: null });
    store.end();
  });

  it('refuses and rejects with a code', async () => {
    const { server, client, clock, store, errors } = rig();
    const codeOf = async (page: Promise<unknown>): Promise<unknown> =>
      page.then(
        () => 'none',
        (error: { code?: string }) => error.code ?? error,
      );
    expect(await codeOf(client.history('room:1'))).toBe('not_connected');
    await server.settled();
    for (const options of [{ after: -1 }, { limit: 0 }, { limit: 1001 }, { after: 0.5 }])
      await expect(client.history('room:1', options)).rejects.toThrow(RangeError);
    await expect(client.history('no spaces')).rejects.toThrow(RangeError);
    expect(await codeOf(client.history('none'))).toBe('no_such_channel');
    server.publish('room:1', 't', 1);
    expect(await codeOf(client.history('room:1', { after: 2 }))).toBe('seq_in_future');
    const waiting = Array.from({ length: 64 }, () => codeOf(client.history('room:1')));
    const refused = codeOf(client.history('room:1'));
    server.dropConnections();
    expect(await refused).toBe('too_many_requests');
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['connection_lost']));
    client.reconnect();
    await server.settled();
    const slow = codeOf(client.history('room:1'));
    clock.advance(1000);
    expect(await slow).toBe('no_answer');
    await server.settled(); // the late answer is nobody's any more
    expect(codesOf(errors)).toEqual(['bad_message']);
    client.end();
    await expect(client.history('room:1')).rejects.toMatchObject({ code: 'ended' });
    store.end();
    expect(clock.pending).toBe(0);
  });

  it('refuses an answer that the protocol does not allow', () => {
    const good = { op: 'history', id: 1, channel: 'a', epoch: 'e', first: 1, next: 3, missed: 0, more: false };
    const event = { op: 'event', channel: 'a', seq: 1, time: '2026-01-15T12:00:00.000250Z', type: 't', data: null };
    const parse = (change: object): unknown =>
      parseServerMessage(JSON.stringify({ ...good, events: [event], ...change }));
    expect(parse({})).toMatchObject({ events: [{ seq: 1, time: Date.UTC(2026, 0, 15, 12) + 0.25, data: null }] });
    for (const [change, why] of [
      [{ more: 1 }, /more/],
      [{ events: {} }, /events/],
      [{ events: [null] }, /not an object/],
      [{ events: [{ ...event, seq: 0 }] }, /seq/],
      [{ events: [{ ...event, time: 'noon' }] }, /time/],
      [{ events: [{ ...event, data: undefined }] }, /data/],
      [{ events: [event, event] }, /rise/],
      [{ missed: -1 }, /missed/],
    ] as const)
      expect(parse(change)).toMatch(why);
  });
});
