// How each channel went on, as events: told once its replay is here.
import { describe, expect, it } from 'vitest';

import { connect } from '../src/index.js';
import { MemoryServer } from '../src/testing.js';
import type { ChannelResume } from '../src/types.js';
import { FakeClock, makeRig, makeStore, subscribedRig } from './support.js';

const missed = (channel: string, replayed: number, count: number | null): ChannelResume => {
  const text = count === null ? 'missed an unknown number' : `missed ${count}`;
  return { channel, outcome: 'missed', replayed, missed: count, text };
};
const replayed = (channel: string, count: number): ChannelResume =>
  count > 0
    ? { channel, outcome: 'replayed', replayed: count, missed: 0, text: `replayed ${count}` }
    : { channel, outcome: 'nothing missed', replayed: 0, missed: 0, text: 'nothing missed' };

describe('onResume', () => {
  /** A channel at seq 3, lost and come back. */
  const back = () => {
    const rig = subscribedRig();
    const told: ChannelResume[] = [];
    const handle = rig.client.onResume((resume) => told.push(resume));
    rig.socket().events(1, 0, [1, 2, 3]);
    rig.socket().lose();
    rig.timers.advance(1000);
    rig.socket().welcome();
    return { ...rig, told, handle };
  };

  it('does not take the first subscribe for a resume', () => {
    const { told } = back();
    expect(told).toEqual([]);
  });

  it('says at once that nothing was missed', () => {
    const { socket, told } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, next: 4, after: 3 });
    expect(told).toEqual([replayed('room:1', 0)]);
    expect(Object.isFrozen(told[0])).toBe(true);
  });

  it('says how many were replayed once all of them are here, without what is live behind them', () => {
    const { socket, told } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, next: 9, after: 3 });
    socket().events(4, 3, [4, 5]);
    expect(told).toEqual([]);
    socket().events(4, 5, [6, 7, 8, 9, 10]);
    expect(told).toEqual([replayed('room:1', 5)]);
    socket().events(4, 10, [11]);
    expect(told).toHaveLength(1);
  });

  it('counts records and not numbers where the seqs have holes, in the sum of all channels too', () => {
    const { socket, told, client } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, first: 1, next: 4004, after: 3 });
    socket().events(4, 3, [1003, 2003]);
    expect(client.state.lastResume).toBeUndefined();
    socket().events(4, 2003, [3003, 4003, 5003, 6003]); // two are live
    expect(told).toEqual([replayed('room:1', 4)]);
    expect(client.state.lastResume).toEqual({ replayed: 4, missed: 0, channels: 1, text: 'replayed 4' });
  });

  it('adds what was evicted while the replay was under way', () => {
    const { socket, told, view } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: false, missed: 2, first: 6, next: 20, after: 5 });
    socket().events(4, 5, [6, 7]);
    socket().tell({ op: 'gap', channel: 'room:1', channel_id: 4, from: 8, to: 15, missed: 8 });
    socket().events(4, 15, [16, 17, 18, 19, 20, 21]);
    expect(told).toEqual([missed('room:1', 6, 10)]);
    expect(view.getSnapshot().missed).toBe(10);
  });

  it('tells a gap up to the end of the replay', () => {
    const { socket, told } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, next: 9, after: 3 });
    socket().tell({ op: 'gap', channel: 'room:1', channel_id: 4, from: 4, to: 11, missed: 8 });
    expect(told).toEqual([missed('room:1', 0, 8)]);
  });

  it('goes on over a second loss in the middle, and tells the sum', () => {
    const { socket, timers, told } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: false, missed: 1, first: 5, next: 9, after: 4 });
    socket().events(4, 4, [5, 6]);
    socket().lose();
    timers.advance(2000);
    socket().welcome();
    socket().subscribed('room:1', { channel_id: 2, recovered: true, next: 10, after: 6 });
    socket().events(2, 6, [7, 8, 9]);
    expect(told).toEqual([missed('room:1', 5, 1)]);
  });

  it('says that it cannot know the number in another epoch, and how many came', () => {
    const { socket, told } = back();
    const other = { recovered: false, missed: null, epoch: 'e2', first: 1, next: 3, after: 0 };
    socket().subscribed('room:1', { channel_id: 4, ...other });
    socket().events(4, 0, [1, 2]);
    expect(told).toEqual([missed('room:1', 2, null)]);
  });

  it('says so too where the server knows none of the place', () => {
    const { socket, told } = back();
    socket().tell({ op: 'error', id: 2, code: 'seq_in_future', message: 'after.seq is above the last' });
    socket().subscribed('room:1', { channel_id: 4, next: 2 });
    socket().events(4, 0, [1]);
    expect(told).toEqual([missed('room:1', 1, null)]);
  });

  it('forgets a channel that was left meanwhile, and a listener that has ended', () => {
    const { client, socket, timers, subscription, told, handle, history } = back();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, next: 9, after: 3 });
    subscription.end();
    timers.advance(0);
    socket().events(4, 3, [4, 5, 6, 7, 8]);
    expect(told).toEqual([]);
    // Another subscribe of the same pair goes on where the history is: that is told.
    client.subscribe('room:1', history);
    socket().subscribed('room:1', { channel_id: 5, recovered: true, next: 9, after: 3 });
    socket().events(5, 3, [4, 5, 6, 7, 8]);
    expect(told).toEqual([replayed('room:1', 5)]);
    handle.end();
    socket().lose();
    timers.advance(5000);
    socket().welcome();
    socket().subscribed('room:1', { channel_id: 4, recovered: true, next: 9, after: 8 });
    expect(told).toHaveLength(1);
  });

  it('sums up once every replay is here, or its channel was left or refused', () => {
    const rig = makeRig();
    const { client, socket, store, timers } = rig;
    const subscriptions = ['a', 'b', 'c'].map((name) => client.subscribe(name, store.history(name)));
    socket().welcome();
    ['a', 'b', 'c'].forEach((name, at) => {
      socket().subscribed(name, { channel_id: at + 1 });
      socket().events(at + 1, 0, [1]);
    });
    socket().lose();
    timers.advance(1000);
    socket().welcome();
    socket().subscribed('a', { channel_id: 1, recovered: true, next: 4, after: 1 });
    socket().events(1, 1, [2, 3]);
    socket().lose(); // after that of `a`, and in the midst of that of `b`
    timers.advance(2000);
    socket().welcome();
    socket().subscribed('a', { channel_id: 1, recovered: true, next: 5, after: 3 });
    socket().subscribed('b', { channel_id: 2, recovered: true, next: 4, after: 1 });
    socket().events(2, 1, [2, 3]);
    subscriptions[2]?.end();
    timers.advance(0);
    expect(client.state.lastResume).toBeUndefined();
    socket().events(1, 3, [4]);
    expect(client.state.lastResume).toEqual({ replayed: 5, missed: 0, channels: 2, text: 'replayed 5' });
  });

  it('is a listener as the others: counted, ended with the client, what it throws is isolated', () => {
    const { store, client } = makeRig({}, makeStore({ onError: () => undefined }));
    const before = store.handles().clientListeners;
    const handle = client.onResume(() => undefined);
    expect(store.handles().clientListeners).toBe(before + 1);
    expect(() => client.onResume('x' as never)).toThrow(TypeError);
    client.end();
    expect(handle.active).toBe(false);
    expect(store.handles().clientListeners).toBe(0);
  });
});

describe('with a server in memory, onResume', () => {
  it('tells each channel apart, exactly', async () => {
    const clock = new FakeClock();
    const server = new MemoryServer({ historyRecords: 10, frameBytes: 256 });
    const store = makeStore();
    const client = connect('ws://test/', { store, WebSocket: server.WebSocket, timers: clock, random: () => 0 });
    const told: ChannelResume[] = [];
    client.onResume((resume) => told.push(resume));
    for (const name of ['a', 'b', 'c']) client.subscribe(name, store.history(name));
    await server.settled();
    for (const name of ['a', 'b', 'c']) server.publish(name, 't', 0);
    await server.settled();
    server.dropConnections();
    for (let n = 1; n <= 7; ++n) server.publish('b', 't', n);
    for (let n = 1; n <= 25; ++n) server.publish('c', 't', n);
    clock.advance(0);
    await server.settled();
    expect(told).toHaveLength(3);
    expect(told).toEqual(expect.arrayContaining([replayed('a', 0), replayed('b', 7), missed('c', 10, 15)]));
    expect(client.state.lastResume).toEqual({ replayed: 17, missed: 15, channels: 3, text: 'missed 15' });
    store.end();
  });
});
