import { describe, expect, it } from 'vitest';

import { ServerError } from '../src/errors.js';
import type { Row } from '../src/types.js';
import { encodeBatch, makeRig, makeStore } from './support.js';

const seqs = (rows: readonly Row[]): number[] => rows.map((row) => row.seq);
const codes = (errors: Error[]): unknown[] => errors.map((error) => (error as ServerError).code);

/** A rig with one channel open and subscribed. */
function subscribedRig(options: Parameters<typeof makeRig>[0] = {}) {
  const rig = makeRig(options);
  const history = rig.store.history('room');
  const subscription = rig.client.subscribe('room:1', history, { last: 10 });
  rig.socket().welcome();
  rig.socket().subscribed('room:1');
  const view = history.window({ last: 100 });
  return { ...rig, history, subscription, view };
}

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
    expect(codes(errors)).toEqual(['bad_protocol']);
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
    expect(codes(rig.errors)).toEqual(['socket_failed']);
    const other = makeRig({ token: () => Promise.reject(new Error('no')) });
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(codes(other.errors)).toEqual(['socket_failed']);
    expect(other.client.state.status).toBe('waiting');
  });
});

describe('subscribe', () => {
  it('puts the events of a channel into its history', () => {
    const { socket, view, subscription, store } = subscribedRig();
    expect(socket().ops('subscribe')).toEqual([{ op: 'subscribe', id: 1, channel: 'room:1', last: 10 }]);
    expect(subscription.state).toBe('active');
    socket().events(1, 0, [1, 2, 3]);
    expect(seqs(view.getSnapshot().items)).toEqual([1, 2, 3]);
    expect(store.handles()).toMatchObject({ routes: 1, subscriptions: 1 });
  });

  it('shares a channel between its handles, and leaves it one macrotask after the last', () => {
    const { client, socket, timers, history, subscription, store } = subscribedRig();
    const second = client.subscribe('room:1', history);
    subscription.end();
    subscription.end();
    expect([subscription.active, subscription.state, second.state]).toEqual([false, 'ended', 'active']);
    timers.advance(0);
    expect(socket().ops('unsubscribe')).toEqual([]);
    second();
    // As StrictMode does: gone and back within one task.
    const third = client.subscribe('room:1', history);
    timers.advance(0);
    expect(socket().ops('subscribe')).toHaveLength(1);
    expect(socket().ops('unsubscribe')).toEqual([]);
    third[Symbol.dispose]();
    expect(store.handles()).toMatchObject({ routes: 1, subscriptions: 0 });
    timers.advance(0);
    expect(socket().ops('unsubscribe')).toEqual([{ op: 'unsubscribe', id: 2, channel: 'room:1' }]);
    socket().tell({ op: 'unsubscribed', id: 2, channel: 'room:1' });
    expect(store.handles()).toMatchObject({ routes: 0, subscriptions: 0 });
    expect(client.stats()).toMatchObject({ channels: 0, errors: 0, refusedMessages: 0 });
  });

  it('goes on where the history is when it comes back to a channel', () => {
    const { client, socket, timers, history, subscription, view } = subscribedRig();
    socket().events(1, 0, [1, 2]);
    subscription.end();
    timers.advance(0);
    socket().events(1, 2, [3]);
    expect(view.getSnapshot().size).toBe(2);
    client.subscribe('room:1', history);
    expect(socket().ops('subscribe').at(-1)).toEqual({
      op: 'subscribe',
      id: 3,
      channel: 'room:1',
      after: { epoch: 'e1', seq: 2 },
    });
    socket().tell({ op: 'unsubscribed', id: 2, channel: 'room:1' });
    socket().subscribed('room:1', { channel_id: 5, recovered: true, next: 4, after: 2 });
    socket().events(5, 2, [3]);
    expect(seqs(view.getSnapshot().items)).toEqual([1, 2, 3]);
    expect(view.getSnapshot().missed).toBe(0);
  });

  it('refuses a second history for a channel, and a second channel for a history', () => {
    const { client, store, history, subscription, timers } = subscribedRig();
    const other = store.history('other');
    expect(() => client.subscribe('room:1', other)).toThrow(/channel room:1 feeds history "room" already/);
    expect(() => client.subscribe('room:2', history)).toThrow(/history "room" is fed by channel room:1 already/);
    subscription.end();
    client.subscribe('room:1', other);
    client.subscribe('room:2', history);
    timers.advance(0);
    expect(client.stats().channels).toBe(2);
  });

  it('tells a refusal by the server, and asks again after a reconnect', () => {
    const { client, socket, store, timers, errors } = makeRig();
    const history = store.history('a');
    const subscription = client.subscribe('a', history);
    socket().welcome();
    socket().tell({ op: 'error', id: 1, code: 'too_many_channels', message: 'full' });
    expect(subscription.state).toBe('refused');
    expect(errors[0]).toBeInstanceOf(ServerError);
    expect(errors[0]).toMatchObject({ code: 'too_many_channels', channel: 'a' });
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(subscription.state).toBe('pending');
    socket().subscribed('a');
    expect(subscription.state).toBe('active');
    expect(client.stats().errors).toBe(1);
  });

  it('ends with its history and with its store', () => {
    const { store, client, history, subscription, socket, timers } = subscribedRig();
    history.end();
    expect(subscription.active).toBe(false);
    expect(socket().ops('unsubscribe')).toHaveLength(1);
    expect(client.stats().channels).toBe(0);
    expect(() => client.subscribe('room:1', history)).toThrow('history "room" was used after its end');
    store.end();
    expect(client.state.status).toBe('closed');
    expect(timers.pending).toBe(0);
  });

  it('leaves a server that gives no answers', () => {
    const { client, socket, store, timers, errors } = makeRig();
    const history = store.history('a');
    socket().welcome();
    for (let round = 0; round <= 5000 && client.state.status === 'open'; ++round) {
      client.subscribe('a', history).end();
      timers.advance(0);
    }
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'no answers' });
    expect(codes(errors)).toEqual(['too_many_requests']);
  });

  it('ignores the answer to a subscribe that was left meanwhile', () => {
    const { client, socket, store, timers } = makeRig();
    const history = store.history('a');
    socket().welcome();
    const subscription = client.subscribe('a', history);
    subscription.end();
    timers.advance(0);
    socket().subscribed('a');
    expect(store.handles().routes).toBe(0);
    expect(client.stats()).toMatchObject({ errors: 0, channels: 0 });
  });
});

describe('resume', () => {
  const resume = (change: Record<string, unknown>) => {
    const rig = subscribedRig();
    rig.socket().events(1, 0, [1, 2, 3]);
    rig.socket().lose();
    rig.timers.advance(1000);
    rig.socket().welcome();
    expect(rig.socket().ops('subscribe')).toEqual([
      { op: 'subscribe', id: 2, channel: 'room:1', after: { epoch: 'e1', seq: 3 }, last: 10 },
    ]);
    rig.socket().subscribed('room:1', { channel_id: 4, ...change });
    return rig;
  };

  it('says that nothing was missed', () => {
    const { client, view } = resume({ recovered: true, next: 4, after: 3 });
    expect(client.state.lastResume).toEqual({ replayed: 0, missed: 0, channels: 1, text: 'nothing missed' });
    expect(view.getSnapshot()).toMatchObject({ missed: 0, size: 3 });
  });

  it('says how many were replayed', () => {
    const { client, view, socket } = resume({ recovered: true, next: 9, after: 3 });
    socket().events(4, 3, [4, 5, 6, 7, 8]);
    expect(client.state.lastResume).toEqual({ replayed: 5, missed: 0, channels: 1, text: 'replayed 5' });
    expect(view.getSnapshot()).toMatchObject({ missed: 0, size: 8, lastSeq: 8 });
  });

  it('says how many were missed, once', () => {
    const { client, view, socket, store } = resume({ recovered: false, missed: 6, first: 10, next: 12, after: 9 });
    socket().events(4, 9, [10, 11]);
    expect(client.state.lastResume).toEqual({ replayed: 2, missed: 6, channels: 1, text: 'missed 6' });
    expect(view.getSnapshot().missed).toBe(6);
    expect(seqs(view.getSnapshot().items)).toEqual([1, 2, 3, 10, 11]);
    expect(store.stats().holes).toBe(0);
  });

  it('begins anew in another epoch, and says that the number is not known', () => {
    const { client, view, socket, history } = resume({
      recovered: false,
      missed: null,
      epoch: 'e2',
      first: 1,
      next: 3,
      after: 0,
    });
    socket().events(4, 0, [1, 2]);
    expect(client.state.lastResume).toEqual({
      replayed: 2,
      missed: null,
      channels: 1,
      text: 'missed an unknown number',
    });
    expect(seqs(view.getSnapshot().items)).toEqual([1, 2]);
    expect(history.stats()).toMatchObject({ missedUnknown: 1, missed: 0 });
  });

  it('asks without a place when the server knows none of it, and says so', () => {
    const { client, socket, errors, history, view, timers } = subscribedRig();
    socket().events(1, 0, [1, 2, 3]);
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    socket().tell({ op: 'error', id: 2, code: 'seq_in_future', message: 'after.seq is above the last' });
    expect(socket().ops('subscribe').at(-1)).toEqual({ op: 'subscribe', id: 3, channel: 'room:1', last: 10 });
    socket().subscribed('room:1', { next: 2 });
    socket().events(1, 0, [1]);
    expect(seqs(view.getSnapshot().items)).toEqual([1]);
    expect(history.stats().missedUnknown).toBe(1);
    expect(client.state.lastResume?.text).toBe('missed an unknown number');
    expect(codes(errors)).toEqual(['seq_in_future']);
  });

  it('resumes every channel and tells the sum once all have answered', () => {
    const { client, socket, store, timers } = makeRig();
    const histories = ['a', 'b', 'c'].map((name) => store.history(name));
    for (const history of histories) client.subscribe(history.name, history);
    socket().welcome();
    histories.forEach((history, index) => {
      socket().subscribed(history.name, { channel_id: index + 1, epoch: `e${history.name}` });
      socket().events(index + 1, 0, [1, 2].slice(0, index + 1));
    });
    expect(client.state.lastResume).toBeUndefined();
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(
      socket()
        .ops('subscribe')
        .map((message) => message['after']),
    ).toEqual([
      { epoch: 'ea', seq: 1 },
      { epoch: 'eb', seq: 2 },
      { epoch: 'ec', seq: 2 },
    ]);
    socket().subscribed('a', { channel_id: 9, epoch: 'ea', recovered: true, next: 4, after: 1 });
    socket().subscribed('b', { channel_id: 8, epoch: 'eb', recovered: false, missed: 3, first: 6, next: 8, after: 5 });
    expect(client.state.lastResume).toBeUndefined();
    // Lost again half-way: what was told already still counts.
    socket().lose();
    timers.advance(2000);
    socket().welcome();
    expect(socket().ops('subscribe')[1]).toMatchObject({ after: { epoch: 'eb', seq: 5 } });
    socket().subscribed('a', { channel_id: 1, epoch: 'ea', recovered: true, next: 2, after: 1 });
    socket().subscribed('b', { channel_id: 2, epoch: 'eb', recovered: true, first: 6, next: 6, after: 5 });
    socket().subscribed('c', { channel_id: 3, epoch: 'ec', recovered: true, next: 3, after: 2 });
    expect(client.state.lastResume).toMatchObject({ missed: 3, text: 'missed 3' });
  });

  it('goes on behind what clear() removed', () => {
    const { socket, history, timers } = subscribedRig();
    socket().events(1, 0, [1, 2, 3]);
    history.clear();
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    expect(socket().ops('subscribe')[0]).toMatchObject({ after: { epoch: 'e1', seq: 3 } });
  });

  it('counts a gap as missed, and a hole that nobody announced', () => {
    const { socket, view, client, store } = subscribedRig();
    socket().events(1, 0, [1]);
    socket().tell({ op: 'gap', channel: 'room:1', channel_id: 1, from: 2, to: 5, missed: 4 });
    expect(view.getSnapshot()).toMatchObject({ missed: 4, lastSeq: 5 });
    socket().events(1, 5, [6]);
    expect(view.getSnapshot()).toMatchObject({ missed: 4, size: 2 });
    expect(store.stats().holes).toBe(0);
    socket().events(1, 8, [9]);
    expect(view.getSnapshot()).toMatchObject({ missed: 6, size: 3 });
    expect(store.stats().holes).toBe(2);
    expect(client.stats().gaps).toBe(1);
  });
});

describe('publish', () => {
  it('resolves with the seq, and rejects with the code of the server', async () => {
    const { client, socket, errors } = subscribedRig();
    const first = client.publish('room:1', 'chat', { text: 'grüße "x"' });
    const second = client.publish('room:1', 'chat', null);
    expect(socket().ops('publish')).toEqual([
      { op: 'publish', id: 2, channel: 'room:1', type: 'chat', data: { text: 'grüße "x"' } },
      { op: 'publish', id: 3, channel: 'room:1', type: 'chat', data: null },
    ]);
    expect(client.stats().unacknowledged).toBe(2);
    socket().tell({ op: 'error', id: 3, code: 'overloaded', message: 'later', retry_after_ms: 50 });
    socket().tell({ op: 'ok', id: 2, seq: 17 });
    await expect(first).resolves.toEqual({ seq: 17 });
    await expect(second).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 50, channel: 'room:1' });
    expect(errors).toEqual([]);
    expect(client.stats()).toMatchObject({ unacknowledged: 0, refusedPublishes: 1 });
  });

  it('refuses what is not to be sent, each for its reason', async () => {
    const { client, socket } = makeRig({ publishesMax: 2 });
    await expect(client.publish('a', 't', 1)).rejects.toMatchObject({ code: 'not_connected' });
    socket().welcome();
    await expect(client.publish('a b', 't', 1)).rejects.toThrow(RangeError);
    await expect(client.publish('a', '', 1)).rejects.toThrow(RangeError);
    await expect(client.publish('a', 'x'.repeat(256), 1)).rejects.toThrow(RangeError);
    await expect(client.publish('a', 'a\nb', 1)).rejects.toThrow(RangeError);
    await expect(client.publish('a', 't', undefined)).rejects.toThrow(TypeError);
    await expect(client.publish('a', 't', 'x'.repeat(70_000))).rejects.toMatchObject({ code: 'message_too_large' });
    const levels = (count: number): unknown => JSON.parse('['.repeat(count) + '"]["' + ']'.repeat(count));
    await expect(client.publish('a', 't', levels(10))).rejects.toMatchObject({ code: 'bad_json' });
    expect(socket().ops('publish')).toEqual([]);
    const pending = [client.publish('a', 't', 1), client.publish('a', 't', levels(9))];
    await expect(client.publish('a', 't', 3)).rejects.toMatchObject({ code: 'too_many_publishes' });
    expect(socket().ops('publish')).toHaveLength(2);
    socket().lose();
    for (const each of pending) await expect(each).rejects.toMatchObject({ code: 'connection_lost' });
    expect(client.stats().unacknowledged).toBe(0);
    client.end();
    await expect(client.publish('a', 't', 1)).rejects.toThrow('used after its end');
  });
});

describe('publish without an answer', () => {
  it('rejects in its time, and leaves the others theirs', async () => {
    const { client, socket, timers } = makeRig({ publishTimeoutMs: 1000 });
    socket().welcome();
    const first = client.publish('a', 't', 1);
    timers.advance(600);
    const second = client.publish('a', 't', 2);
    const third = client.publish('a', 't', 3);
    socket().tell({ op: 'ok', id: 3, seq: 9 });
    await expect(third).resolves.toEqual({ seq: 9 });
    timers.advance(400);
    await expect(first).rejects.toMatchObject({ code: 'no_answer' });
    expect(client.stats()).toMatchObject({ unacknowledged: 1, refusedPublishes: 1 });
    timers.advance(600);
    await expect(second).rejects.toMatchObject({ code: 'no_answer' });
    expect(client.stats().unacknowledged).toBe(0);
    // An answer that comes too late is nobody's.
    socket().tell({ op: 'ok', id: 1, seq: 7 });
    expect(client.stats().refusedMessages).toBe(1);
    client.end();
    expect(timers.pending).toBe(0);
  });
});

describe('bad input from the server', () => {
  it('is refused, counted and told, and changes nothing', () => {
    const { client, socket, view, errors, store } = subscribedRig();
    socket().events(1, 0, [1, 2]);
    const before = view.getSnapshot();
    const state = client.state;
    const bad = [
      '',
      '{',
      '[]',
      'null',
      '{"op":"dance"}',
      '{"op":"ok"}',
      '{"op":"ok","id":99,"seq":1}',
      '{"op":"ok","id":1,"seq":-1}',
      '{"op":"gap","channel":"room:1","channel_id":1,"from":9,"to":3,"missed":1}',
      '{"op":"error"}',
      '{"op":"subscribed","id":77,"channel":"room:1","channel_id":1,"epoch":"e1","first":1,"next":1,"after":0,"recovered":true,"missed":0}',
      '{"op":"subscribed","channel":"room:1"}',
      '{"op":"welcome"}',
      '{"op":"unsubscribed","id":5,"channel":"room:1"}',
    ];
    for (const message of bad) socket().tell(message);
    expect(client.stats().refusedMessages).toBe(bad.length);
    expect(errors).toHaveLength(bad.length);
    expect(view.getSnapshot()).toBe(before);
    expect(client.state).toBe(state);
    const cut = encodeBatch([{ channelId: 1, prev: 2, records: [{ seq: 3 }, { seq: 4 }] }]).subarray(0, 80);
    socket().binary(new Uint8Array(cut));
    expect(view.getSnapshot()).toBe(before);
    expect(codes(errors).at(-1)).toBe('batch_truncated');
    expect(client.stats().refusedBatches).toBe(1);
    expect(store.stats().refusedBatchesByCode).toEqual({ batch_truncated: 1 });
    // The records that were lost with it are counted by the next batch.
    socket().events(1, 4, [5]);
    expect(view.getSnapshot()).toMatchObject({ missed: 2, size: 3 });
  });

  it('tells errors that nobody asked for', () => {
    const { client, socket, errors } = subscribedRig();
    socket().tell({ op: 'error', code: 'text_expected', message: 'no' });
    expect(codes(errors)).toEqual(['text_expected']);
    expect(client.stats().errors).toBe(1);
  });

  it('warns of a server whose batches may be larger than the store takes', () => {
    const { socket, errors } = makeRig({}, makeStore({ batchBytes: 4096 }));
    socket().welcome();
    expect(codes(errors)).toEqual(['batch_too_large']);
  });

  it('a listener that throws stops nothing', () => {
    const thrown: unknown[] = [];
    const { client, socket } = makeRig({}, makeStore({ onError: (error) => thrown.push(error) }));
    const told: string[] = [];
    const throwing = client.onState(() => {
      throw new Error('mine');
    });
    const handle = client.onState((state) => told.push(state.status));
    socket().welcome();
    expect(told).toEqual(['open']);
    expect(thrown).toEqual([new Error('mine')]);
    expect(client.stats().listenerErrors).toBe(1);
    throwing.end();
    handle.end();
    handle.end();
    socket().lose();
    expect(told).toEqual(['open']);
  });
});
