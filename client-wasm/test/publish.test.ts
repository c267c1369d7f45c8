import { describe, expect, it } from 'vitest';

import { codesOf, encodeBatch, makeRig, makeStore, subscribedRig } from './support.js';

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
    socket().tell({ op: 'error', id: 3, code: 'forbidden', message: 'no', retry_after_ms: 50 });
    socket().tell({ op: 'ok', id: 2, seq: 17 });
    await expect(first).resolves.toEqual({ seq: 17 });
    await expect(second).rejects.toMatchObject({ code: 'forbidden', retryAfterMs: 50, channel: 'room:1' });
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
    expect(codesOf(errors).at(-1)).toBe('batch_truncated');
    expect(client.stats().refusedBatches).toBe(1);
    expect(store.stats().refusedBatchesByCode).toEqual({ batch_truncated: 1 });
    // The records that were lost with it are counted by the next batch.
    socket().events(1, 4, [5]);
    expect(view.getSnapshot()).toMatchObject({ missed: 2, size: 3 });
  });

  it('tells errors that nobody asked for', () => {
    const { client, socket, errors } = subscribedRig();
    socket().tell({ op: 'error', code: 'text_expected', message: 'no' });
    expect(codesOf(errors)).toEqual(['text_expected']);
    expect(client.stats().errors).toBe(1);
  });

  it('warns of a server whose batches may be larger than the store takes', () => {
    const { socket, errors } = makeRig({}, makeStore({ batchBytes: 4096 }));
    socket().welcome();
    expect(codesOf(errors)).toEqual(['batch_too_large']);
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
