import { describe, expect, it } from 'vitest';

import { codesOf, makeRig, subscribedRig } from './support.js';

describe('connect', () => {
  it('asks for the binary sub-protocol, and with a token for that of the token', async () => {
    expect(makeRig().socket().protocols).toEqual(['ringfence.v1']);
    expect(makeRig({ token: 'abc' }).socket().protocols).toEqual(['ringfence.v1', 'bearer.abc']);
    let asked = 0;
    const rig = makeRig({ token: async () => `t${++asked}` });
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(rig.socket().protocols).toEqual(['ringfence.v1', 'bearer.t1']);
    rig.socket().lose();
    rig.timers.advance(500);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(rig.socket().protocols).toEqual(['ringfence.v1', 'bearer.t2']);
    expect(rig.socket().binaryType).toBe('arraybuffer');
  });

  it('refuses bad arguments with the value', () => {
    const { store, client } = makeRig();
    for (const options of [{ backoff: { baseMs: 0 } }, { publishesMax: 0 }, { silenceMs: 10 }])
      expect(() => makeRig(options)).toThrow(RangeError);
    const history = store.history('a');
    for (const channel of ['', 'a b', 'x'.repeat(129), 'grüße']) {
      expect(() => client.subscribe(channel, history)).toThrow(/channel is/);
      expect(() => client.subscribe(channel, history)).toThrow(RangeError);
    }
    expect(() => client.subscribe('a', history, { last: -1 })).toThrow(/last is -1/);
    expect(store.handles().subscriptions).toBe(0);
  });

  it('gives a socket that never greets up, and one with another sub-protocol', () => {
    const { client, timers, socket, sockets, errors } = makeRig();
    expect(client.state.status).toBe('connecting');
    timers.advance(10_000);
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'no greeting in time' });
    expect(sockets[0]?.closed).toBe(true);
    timers.advance(1000);
    socket().open('chat');
    expect(client.state.status).toBe('waiting');
    expect(codesOf(errors)).toEqual(['bad_protocol']);
  });

  it('waits a random time up to twice the last ceiling, at most 30 s', () => {
    for (const random of [0, 0.5, 0.999]) {
      const { client, timers, socket, sockets } = makeRig({ random: () => random });
      for (const ceilingMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]) {
        socket().lose();
        const delayMs = Math.ceil(random * ceilingMs);
        expect(client.state).toMatchObject({ status: 'waiting', retryInMs: delayMs });
        const before = sockets.length;
        if (delayMs > 1) timers.advance(delayMs - 1);
        expect(sockets).toHaveLength(delayMs > 1 ? before : sockets.length);
        timers.advance(1);
        expect(sockets).toHaveLength(before + 1);
        expect(client.state.status).toBe('connecting');
      }
    }
  });

  it('counts the wait down each second', () => {
    const { client, timers, socket } = makeRig({ random: () => 0.9, backoff: { baseMs: 10_000 } });
    const told: number[] = [];
    client.onState((state) => told.push(state.retryInMs));
    socket().lose();
    timers.advance(3000);
    expect(told).toEqual([9000, 8000, 7000, 6000]);
  });

  it('starts the backoff anew only after a connection that held', () => {
    const { client, timers, socket } = makeRig({ random: () => 0.999 });
    for (let attempt = 1; attempt <= 4; ++attempt) {
      socket().welcome();
      timers.advance(100);
      socket().lose();
      expect(client.state.attempt).toBe(attempt);
      timers.advance(client.state.retryInMs);
    }
    socket().welcome();
    timers.advance(6000);
    socket().lose();
    expect(client.state.attempt).toBe(1);
    expect(client.state.retryInMs).toBe(999);
  });

  it('waits as long as the server asks', () => {
    const { client, timers, socket, sockets } = makeRig();
    socket().welcome();
    socket().tell({ op: 'closing', reason: 'stopping', retry_after_ms: 4321 });
    socket().lose(1001);
    expect(client.state).toMatchObject({ status: 'waiting', retryInMs: 4321 });
    timers.advance(4320);
    expect(sockets).toHaveLength(1);
    timers.advance(1);
    expect(sockets).toHaveLength(2);
  });

  it('stays away when the server asks for that, until reconnect()', () => {
    const { client, timers, socket, sockets } = makeRig();
    socket().welcome();
    socket().tell({ op: 'closing', reason: 'session_replaced', retry_after_ms: 0, reconnect: false });
    expect(client.state).toMatchObject({ status: 'stopped', lastClose: 'session_replaced' });
    timers.advance(600_000);
    expect(sockets).toHaveLength(1);
    client.reconnect();
    expect(sockets).toHaveLength(2);
  });

  it('pings a silent server, and leaves one that does not answer', () => {
    const { client, timers, socket } = makeRig({ silenceMs: 60_000 });
    socket().welcome();
    timers.advance(45_000);
    expect(socket().ops('ping')).toHaveLength(1);
    socket().tell({ op: 'pong', time: '2026-01-15T12:00:00Z' });
    timers.advance(44_000);
    expect(client.state.status).toBe('open');
    timers.advance(16_000);
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'silent' });
  });

  it('keeps a connection whose timers ran late, as in a page in the background', () => {
    const { client, timers, socket } = makeRig({ silenceMs: 60_000 });
    socket().welcome();
    // One timer after ten minutes: a ping goes out first, and its answer counts.
    let now = timers.now();
    const real = timers.now.bind(timers);
    timers.now = () => Math.max(real(), now);
    now += 600_000;
    timers.advance(15_000);
    expect(client.state.status).toBe('open');
    expect(socket().ops('ping')).toHaveLength(1);
  });

  it('cut() comes back, disconnect() stays until reconnect(), end() is the end', () => {
    const { client, timers, socket, sockets, store } = subscribedRig();
    client.cut();
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'cut()' });
    expect(sockets[0]?.closed).toBe(true);
    timers.advance(1000);
    socket().welcome();
    expect(client.state).toMatchObject({ status: 'open', connection: 'c1' });
    client.disconnect();
    expect(client.state.status).toBe('stopped');
    timers.advance(600_000);
    expect(sockets).toHaveLength(2);
    client.reconnect();
    expect(client.state.status).toBe('connecting');
    socket().lose();
    expect(client.state.status).toBe('waiting');
    client.reconnect();
    expect(client.state.status).toBe('connecting');
    expect(sockets).toHaveLength(4);
    client.end();
    client.end();
    expect(client.state.status).toBe('closed');
    expect(timers.pending).toBe(0);
    expect(store.handles()).toMatchObject({ clients: 0, subscriptions: 0, clientListeners: 0, routes: 0 });
    expect(() => client.reconnect()).toThrow('client "ws://test/v1/ws" was used after its end');
    for (const each of sockets) expect(each.closed).toBe(true);
  });

  it('goes on when a socket cannot be made or a token fails, and says so', async () => {
    class Broken {
      constructor() {
        throw new SyntaxError('bad protocol');
      }
    }
    const rig = makeRig({ WebSocket: Broken as never });
    expect(rig.client.state.status).toBe('waiting');
    rig.timers.advance(1000);
    expect(codesOf(rig.errors)).toEqual(['socket_failed']);
    const other = makeRig({ token: () => Promise.reject(new Error('no')) });
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(codesOf(other.errors)).toEqual(['token_failed']); // as where it is asked for another one
    expect(other.errors[0]?.cause).toEqual(new Error('no'));
    expect(other.client.state.status).toBe('waiting');
  });
});
