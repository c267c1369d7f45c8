// The presence of MemoryServer, by way of ringfence/presence and by the protocol.
import { afterEach, describe, expect, it } from 'vitest';

import { connect } from '../src/index.js';
import { presence } from '../src/presence.js';
import type { StoreImpl } from '../src/store.js';
import { MemoryServer, expectNoLeaks, type FakeSocket } from '../src/testing.js';
import { makeStore } from './support.js';

const stores: StoreImpl[] = [];
afterEach(() => {
  for (const store of stores.splice(0)) store.end();
});

function open(server: MemoryServer, user: string) {
  const store = makeStore();
  stores.push(store);
  const backoff = { baseMs: 1, maxMs: 1 };
  const client = connect(`ws://test/v1/ws?user=${user}`, { store, backoff, WebSocket: server.WebSocket });
  return { store, client };
}

describe('presence of a MemoryServer', () => {
  it('shows users who come, say something, and go, once for all of their connections', async () => {
    const server = new MemoryServer();
    const [ann, bob, again] = [open(server, 'ann'), open(server, 'bob'), open(server, 'bob')];
    const room = presence(ann.client, 'room', { data: { mood: 'fine' } });
    const bobs = presence(bob.client, 'room', { join: true });
    const others = presence(again.client, 'room', { join: true });
    await server.settled();
    expect(room.members).toMatchObject([
      { user: 'ann', data: { mood: 'fine' } },
      { user: 'bob', data: undefined },
    ]);
    expect(bobs.getSnapshot()).toMatchObject({ count: 2, current: true });
    bobs.update({ mood: 'away' });
    await server.settled();
    expect(room.members[1]).toMatchObject({ user: 'bob', data: { mood: 'away' } });
    bob.client.end();
    await server.settled();
    expect(room.members).toHaveLength(2); // the other connection is there
    again.client.end();
    await server.settled();
    expect(room.members).toMatchObject([{ user: 'ann' }]);
    expect(others.active).toBe(false);
    room.end();
    ann.client.end();
    await server.settled();
    expect(server.members).toBe(0);
    for (const { store } of [ann, bob, again]) expectNoLeaks(store);
  });

  it('lets everybody join again after the connections were lost', async () => {
    const server = new MemoryServer();
    const { client } = open(server, 'ann');
    const room = presence(client, 'room', { data: 1 });
    await server.settled();
    server.dropConnections();
    expect(server.members).toBe(0);
    await expect.poll(() => room.getSnapshot().current).toBe(true);
    expect(room.members).toMatchObject([{ user: 'ann', data: 1 }]);
  });

  it('refuses as the server does, and is bounded', async () => {
    const server = new MemoryServer({ members: 2, subscriptions: 2 });
    const sockets = ['', '', ''].map(() => new server.WebSocket('ws://test/v1/ws', ['ringfence.v1']) as FakeSocket);
    await server.settled();
    const told = sockets.map((socket) => {
      const messages: Record<string, unknown>[] = [];
      socket.onmessage = ({ data }: { data: string }) => messages.push(JSON.parse(data) as Record<string, unknown>);
      return messages;
    });
    const ask = async (which: number, message: object) => {
      sockets[which]!.send(JSON.stringify({ id: 1, ...message }));
      await server.settled();
      return told[which]!.filter(({ id }) => id === 1).at(-1);
    };
    const channel = 'room';
    expect(await ask(0, { op: 'leave', channel })).toMatchObject({ code: 'not_joined' });
    expect(await ask(0, { op: 'join', channel, data: 'x'.repeat(600) })).toMatchObject({ code: 'member_too_large' });
    expect(await ask(0, { op: 'join', channel: 'a b' })).toMatchObject({ code: 'bad_channel' });
    expect(await ask(0, { op: 'presence', channel, watch: 1 })).toMatchObject({ code: 'bad_field' });
    expect(await ask(0, { op: 'presence', channel, limit: 0 })).toMatchObject({ code: 'bad_field' });
    expect(await ask(0, { op: 'presence', channel, watch: true })).toMatchObject({ watching: true, count: 0 });
    expect(await ask(0, { op: 'presence', channel, watch: true })).toMatchObject({ code: 'already_subscribed' });
    expect(await ask(0, { op: 'join', channel })).toEqual({ id: 1, op: 'ok' });
    expect(await ask(1, { op: 'join', channel, data: 7 })).toEqual({ id: 1, op: 'ok' });
    expect(await ask(2, { op: 'join', channel })).toMatchObject({ code: 'too_many_members' });
    const first = await ask(2, { op: 'presence', channel, limit: 1 });
    expect(first).toMatchObject({ count: 2, more: true, watching: false, members: [{ connection: 'memory-1' }] });
    expect(await ask(2, { op: 'presence', channel, limit: 1, after: first!['version'] })).toMatchObject({
      more: false,
      members: [{ connection: 'memory-2', data: 7 }],
    });
    for (const each of ['b', 'c'])
      expect((await ask(2, { op: 'presence', channel: each, watch: true }))?.['op']).toBe('presence');
    expect(await ask(2, { op: 'presence', channel: 'd', watch: true })).toMatchObject({
      code: 'too_many_subscriptions',
    });
    expect(await ask(0, { op: 'presence', channel, watch: false })).toEqual({ id: 1, op: 'ok' });
    const before = told[0]!.length;
    sockets[1]!.close();
    await server.settled();
    expect(told[0]).toHaveLength(before); // it watches no more
    expect(server.members).toBe(1);
    expect(told[0]!.filter(({ op }) => op === 'join')).toMatchObject([
      { count: 1, members: [{ connection: 'memory-1' }] },
      { count: 2, members: [{ connection: 'memory-2', data: 7 }] },
    ]);
  });
});
