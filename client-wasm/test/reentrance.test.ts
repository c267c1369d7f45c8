// Listeners that call back into what tells them.
import { describe, expect, it } from 'vitest';

import { makeRig } from './support.js';

describe('A listener of the connection state', () => {
  it.each(['disconnect', 'end'] as const)('calls %s() while connecting: no socket is left open', (stop) => {
    const { client, timers, sockets } = makeRig();
    client.cut();
    client.onState(({ status }) => {
      if (status === 'connecting') client[stop]();
    });
    timers.advance(60_000);
    expect(client.state.status).toBe(stop === 'end' ? 'closed' : 'stopped');
    expect(sockets).toHaveLength(1);
    expect(timers.pending).toBe(0);
  });

  it('calls reconnect() at a loss: one socket opens, and it may not take for ever', () => {
    const { client, timers, sockets, socket } = makeRig();
    socket().welcome();
    const listener = client.onState(({ connection }) => {
      if (connection === undefined) client.reconnect();
    });
    socket().lose();
    listener();
    expect(client.state.status).toBe('connecting');
    expect(sockets).toHaveLength(2);
    timers.advance(10_000);
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'no greeting in time' });
    expect(sockets[1]?.closed).toBe(true);
  });

  it('calls reconnect() at disconnect(): the new socket is the one that is kept', () => {
    const { client, sockets, socket } = makeRig();
    socket().welcome();
    const listener = client.onState(({ status }) => {
      if (status === 'stopped') client.reconnect();
    });
    client.disconnect();
    listener();
    expect(sockets.map(({ closed }) => closed)).toEqual([true, false]);
    socket().welcome({ connection: 'c2' });
    expect(client.state).toMatchObject({ status: 'open', connection: 'c2' });
  });

  it('ends the store when its client has ended: all ends once', () => {
    const { client, store, socket } = makeRig();
    socket().welcome();
    store.history('chat');
    client.onState(({ status }) => {
      if (status === 'closed') store.end();
    });
    store.end();
    expect(store.ended).toBe(true);
    expect(store.handles().total).toBe(0);
  });

  it('ends the client at a loss: what was published is answered all the same', async () => {
    const { client, socket } = makeRig();
    socket().welcome();
    const publish = client.publish('a', 't', 1);
    client.onState(({ status }) => {
      if (status === 'waiting') client.end();
    });
    socket().lose();
    await expect(publish).rejects.toMatchObject({ code: 'connection_lost' });
    expect(client.state.status).toBe('closed');
  });
});
