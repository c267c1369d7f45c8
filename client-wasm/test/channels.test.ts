import { describe, expect, it } from 'vitest';

import { ServerError } from '../src/errors.js';
import { codesOf, makeRig, seqsOf, subscribedRig } from './support.js';

describe('subscribe', () => {
  it('puts the events of a channel into its history', () => {
    const { socket, view, subscription, store } = subscribedRig();
    expect(socket().ops('subscribe')).toEqual([{ op: 'subscribe', id: 1, channel: 'room:1', last: 10 }]);
    expect(subscription.state).toBe('active');
    socket().events(1, 0, [1, 2, 3]);
    expect(seqsOf(view.getSnapshot().items)).toEqual([1, 2, 3]);
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
    expect(seqsOf(view.getSnapshot().items)).toEqual([1, 2, 3]);
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
    expect(codesOf(errors)).toEqual(['too_many_requests']);
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
    expect(seqsOf(view.getSnapshot().items)).toEqual([1, 2, 3, 10, 11]);
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
    expect(seqsOf(view.getSnapshot().items)).toEqual([1, 2]);
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
    expect(seqsOf(view.getSnapshot().items)).toEqual([1]);
    expect(history.stats().missedUnknown).toBe(1);
    expect(client.state.lastResume?.text).toBe('missed an unknown number');
    expect(codesOf(errors)).toEqual(['seq_in_future']);
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

  it('tells what a `conflate` channel skipped apart from what was missed', () => {
    const { socket, view, client, store, history } = subscribedRig();
    socket().events(1, 0, [1]);
    socket().events(1, 1, [6]); // the latest: its prev is what was sent before it
    const before = view.getSnapshot();
    const skipped = { op: 'gap', channel: 'room:1', channel_id: 1, from: 2, to: 5, missed: 4, reason: 'conflated' };
    socket().tell(skipped);
    expect(view.getSnapshot()).toMatchObject({ missed: 0, conflated: 4, lastSeq: 6, size: 2 });
    expect(view.getSnapshot()).not.toBe(before);
    socket().events(1, 6, [7]);
    socket().tell({ ...skipped, from: 8, to: 9, missed: 2, reason: 'evicted' });
    expect(view.getSnapshot()).toMatchObject({ missed: 2, conflated: 4, lastSeq: 9, size: 3 });
    expect(history.stats()).toMatchObject({ missed: 2, conflated: 4 });
    expect(store.stats().holes).toBe(0);
    expect(client.stats().gaps).toBe(1);
  });
});
