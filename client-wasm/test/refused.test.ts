// What the server refuses for now and later takes, what it ends, and why it refused a handshake.
import { afterEach, describe, expect, it, vi } from 'vitest';

import { ServerError } from '../src/errors.js';
import '../src/handshake.js'; // so that it is there at once
import { connect } from '../src/index.js';
import { MemoryServer } from '../src/testing.js';
import { until } from './server_process.js';
import { FakeClock, codesOf, makeRig, makeStore, subscribedRig } from './support.js';

const limited = (id: unknown, retry_after_ms?: number, code = 'rate_limited') => ({
  op: 'error',
  id,
  code,
  message: 'later',
  ...(retry_after_ms === undefined ? {} : { retry_after_ms }),
});

const SMALL = { bytes: 4096 };

describe('a subscribe that is refused for now', () => {
  it.each(['rate_limited', 'overloaded'])('(%s) is sent again after the wait that the server asks for', (code) => {
    const { client, socket, store, timers, errors } = makeRig();
    const subscription = client.subscribe('a', store.history('a', SMALL));
    socket().welcome();
    socket().tell(limited(1, 700, code));
    expect(subscription.state).toBe('pending');
    timers.advance(699);
    expect(socket().ops('subscribe')).toHaveLength(1);
    timers.advance(1);
    expect(socket().ops('subscribe')).toHaveLength(2);
    socket().subscribed('a');
    expect(subscription.state).toBe('active');
    expect(client.stats()).toMatchObject({ delayedSubscribes: 1, errors: 0 });
    expect(errors).toEqual([]);
    client.end();
    expect(timers.pending).toBe(0);
  });

  it('waits a second where the server does not say how long', () => {
    const { client, socket, store, timers } = makeRig();
    client.subscribe('a', store.history('a', SMALL));
    socket().welcome();
    socket().tell(limited(1));
    timers.advance(999);
    expect(socket().ops('subscribe')).toHaveLength(1);
    timers.advance(1);
    expect(socket().ops('subscribe')).toHaveLength(2);
  });

  it('goes again one at a time, in order, as the answers come', () => {
    const { client, socket, store, timers } = makeRig();
    const names = ['a', 'b', 'c', 'd'];
    const subscriptions = names.map((name) => client.subscribe(name, store.history(name, SMALL)));
    socket().welcome();
    socket().subscribed('a');
    for (const id of [2, 3, 4]) socket().tell(limited(id, 100));
    const asked = (): unknown[] =>
      socket()
        .ops('subscribe')
        .map(({ channel }) => channel)
        .slice(4);
    timers.advance(100);
    expect(asked()).toEqual(['b']);
    socket().tell(limited(5, 100)); // still too early: behind the others now
    timers.advance(100);
    expect(asked()).toEqual(['b', 'c']);
    socket().subscribed('c', { channel_id: 3 });
    expect(asked()).toEqual(['b', 'c', 'd']);
    socket().tell({ op: 'error', id: 7, code: 'forbidden', message: 'no' });
    expect(asked()).toEqual(['b', 'c', 'd', 'b']);
    socket().subscribed('b', { channel_id: 2 });
    expect(subscriptions.map(({ state }) => state)).toEqual(['active', 'active', 'active', 'refused']);
    expect(client.stats().delayedSubscribes).toBe(4);
  });

  it('is forgotten when it is left, and by a loss', () => {
    const { client, socket, store, timers } = makeRig();
    const subscription = client.subscribe('a', store.history('a', SMALL));
    client.subscribe('b', store.history('b', SMALL));
    socket().welcome();
    socket().tell(limited(1, 100));
    subscription.end();
    timers.advance(0);
    timers.advance(5000);
    expect(socket().ops('subscribe')).toHaveLength(2);
    expect(socket().ops('unsubscribe')).toHaveLength(0);
    socket().tell(limited(2, 60_000));
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(socket().ops('subscribe')).toHaveLength(1);
    timers.advance(1000);
    expect(socket().ops('subscribe')).toHaveLength(1);
  });

  it('an unsubscribe too, and who comes back meanwhile waits behind it', () => {
    const { client, socket, subscription, timers, history, errors } = subscribedRig();
    subscription.end();
    timers.advance(0);
    socket().tell(limited(2, 100));
    const back = client.subscribe('room:1', history);
    expect(socket().ops('subscribe')).toHaveLength(1);
    timers.advance(100);
    expect(socket().ops('unsubscribe')).toHaveLength(2);
    expect(socket().ops('subscribe')).toHaveLength(1);
    socket().tell({ op: 'unsubscribed', id: 3, channel: 'room:1' });
    expect(socket().ops('subscribe')).toHaveLength(2);
    socket().subscribed('room:1', { channel_id: 2, recovered: true });
    expect(back.state).toBe('active');
    expect(errors).toEqual([]);
  });

  it('that was left before its refusal came leaves no error behind', () => {
    const { client, socket, store, timers, errors } = makeRig();
    const subscription = client.subscribe('a', store.history('a', SMALL));
    socket().welcome();
    subscription.end();
    timers.advance(0);
    socket().tell(limited(1, 100));
    socket().tell({ op: 'error', id: 2, code: 'not_subscribed', message: 'there is none' });
    timers.advance(1000);
    expect([errors.length, socket().ops('subscribe').length]).toEqual([0, 1]);
  });
});

describe('a subscription that the server ends', () => {
  it('is refused with the reason, keeps what it holds, and is asked for after a reconnect', () => {
    const { client, socket, store, subscription, view, timers, errors } = subscribedRig();
    socket().events(1, 0, [1, 2]);
    socket().tell({ op: 'unsubscribed', channel: 'room:1', reason: 'forbidden' });
    expect(subscription.state).toBe('refused');
    expect(errors[0]).toBeInstanceOf(ServerError);
    expect(errors[0]).toMatchObject({ code: 'forbidden', channel: 'room:1' });
    expect([store.handles().routes, view.getSnapshot().size]).toEqual([0, 2]);
    socket().events(1, 2, [3]); // what it may not send any more
    expect([view.getSnapshot().size, store.stats().unrouted]).toEqual([2, 1]);
    // Its end asks the server for nothing; another connection does.
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(socket().ops('subscribe')).toMatchObject([{ channel: 'room:1', after: { epoch: 'e1', seq: 2 } }]);
    expect(client.stats()).toMatchObject({ errors: 1, refusedMessages: 0 });
  });

  it('is left without an unsubscribe', () => {
    const { socket, subscription, timers } = subscribedRig();
    socket().tell({ op: 'unsubscribed', channel: 'room:1', reason: 'forbidden' });
    subscription.end();
    timers.advance(0);
    expect(socket().ops('unsubscribe')).toEqual([]);
  });

  it('is not one that was left, or is being asked for again', () => {
    const { client, socket, store, errors } = makeRig();
    const subscription = client.subscribe('a', store.history('a', SMALL));
    socket().welcome();
    socket().tell({ op: 'unsubscribed', channel: 'a', reason: 'forbidden' });
    socket().tell({ op: 'unsubscribed', channel: 'b', reason: 'forbidden' });
    expect([subscription.state, errors.length]).toEqual(['pending', 0]);
    socket().tell({ op: 'unsubscribed', channel: 'a', reason: 7 });
    expect(codesOf(errors)).toEqual(['bad_message']);
  });
});

describe('with a server in memory', () => {
  const open = () => {
    const server = new MemoryServer();
    const store = makeStore();
    const clock = new FakeClock();
    const client = connect('ws://test/', { store, WebSocket: server.WebSocket, timers: clock });
    const codes: unknown[] = [];
    const listening = client.onError((error) => codes.push(...codesOf([error])));
    return { server, store, clock, client, codes, listening };
  };

  it('channels that are refused for now are all there in the end', async () => {
    const { server, store, clock, client, codes } = open();
    server.refuseNext('subscribe', 'rate_limited', { retryAfterMs: 300, times: 7 });
    const names = ['a', 'b', 'c', 'd', 'e'];
    const subscriptions = names.map((name) => client.subscribe(name, store.history(name, SMALL)));
    await server.settled();
    expect(server.subscriptions).toBe(0);
    for (let round = 0; round < 3; ++round) {
      clock.advance(300);
      await server.settled();
    }
    expect([server.subscriptions, subscriptions.every(({ state }) => state === 'active')]).toEqual([5, true]);
    expect([client.stats().delayedSubscribes, codes]).toEqual([7, []]);
    store.end();
  });

  it('a subscription that the server has ended comes back with the next connection', async () => {
    const { server, store, clock, client, codes } = open();
    const history = store.history('a', SMALL);
    const subscription = client.subscribe('a', history);
    await server.settled();
    server.publish('a', 't', 1);
    await server.settled();
    server.endSubscriptions('a');
    await server.settled();
    expect([subscription.state, codes, server.subscriptions]).toEqual(['refused', ['forbidden'], 0]);
    server.publish('a', 't', 2);
    server.dropConnections();
    clock.advance(1000);
    await server.settled();
    expect([subscription.state, history.size]).toEqual(['active', 2]);
    store.end();
  });

  it('refuseNext checks what it is given', () => {
    const server = new MemoryServer();
    expect(() => server.refuseNext('ping', 'x', { times: 0 })).toThrow(RangeError);
    expect(() => server.refuseNext('ping', 'x', { retryAfterMs: -1 })).toThrow(RangeError);
  });
});

describe('a handshake that is refused', () => {
  afterEach(() => vi.unstubAllGlobals());

  const answer = (status: number, body: unknown) => {
    const asked: { url: string; authorization: string | undefined }[] = [];
    vi.stubGlobal('fetch', (url: URL, init: { headers: Record<string, string> }) => {
      asked.push({ url: String(url), authorization: init.headers['authorization'] });
      return Promise.resolve(new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }));
    });
    return asked;
  };
  const expired = { error: { code: 'token_expired', message: 'by exp' } };
  const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

  it('is asked for its reason once, and told', async () => {
    const asked = answer(401, expired);
    const { client, socket, timers, errors } = makeRig({ token: 'old', askWhy: true });
    socket().lose();
    await until(() => expect(errors).toHaveLength(1));
    expect(asked).toEqual([{ url: 'http://test/v1/info', authorization: 'Bearer old' }]);
    expect(errors[0]).toMatchObject({ code: 'token_expired', message: 'the handshake was refused: by exp' });
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'token_expired' });
    for (let times = 0; times < 5; ++times) {
      timers.advance(60_000);
      socket().lose();
      await settle();
    }
    expect(asked).toHaveLength(1);
  });

  it('is asked again for another token, and after a connection that was let in', async () => {
    const asked = answer(401, expired);
    let tokens = 0;
    const token = (): string => `token ${Math.min(++tokens, 2)}`;
    const { socket, sockets, timers } = makeRig({ token, askWhy: true, backoff: { maxMs: 100 } });
    for (let attempt = 1; attempt <= 4; ++attempt) {
      await until(() => expect(sockets).toHaveLength(attempt));
      socket().lose();
      await settle();
      timers.advance(1000);
    }
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer token 1', 'Bearer token 2']);
    await until(() => expect(sockets).toHaveLength(5));
    socket().welcome();
    socket().lose();
    await settle();
    expect(asked).toHaveLength(2); // that one had been let in
    timers.advance(1000);
    await until(() => expect(sockets).toHaveLength(6));
    socket().lose();
    await until(() => expect(asked).toHaveLength(3));
  });

  it.each([
    ['the server is fine', 200, {}],
    ['the token is good, though no back end', 403, { error: { code: 'forbidden', message: '' } }],
    ['something else answers', 401, '<!doctype html>'],
  ])('is not known where %s: no error, no second question', async (_, status, body) => {
    const asked = answer(status, body);
    const { socket, timers, errors } = makeRig({ token: 'x', askWhy: true });
    for (let times = 0; times < 3; ++times) {
      socket().lose();
      await settle();
      timers.advance(60_000);
    }
    expect([errors.length, asked.length]).toEqual([0, 1]);
  });

  it('is not asked about by default where the socket is not the platform’s own', async () => {
    const asked = answer(401, expired);
    const { socket } = makeRig({ token: 'x' });
    socket().lose();
    await settle();
    expect(asked).toEqual([]);
  });
});
