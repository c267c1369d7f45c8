// What the client's benchmarks share: the published package fed through a socket of their own, events of one size, and
// medians.
import { connect, createStoreSync } from 'ringfence/inline';

import { encodeBatch } from '../vectors/encode.mjs';

export const EVENT_BYTES = 300;
export const BATCH_EVENTS = 64;

const text =
  'The quick brown fox jumps over the lazy dog while seven wizards quietly mix jade elixirs of great power. ';

/** JSON of exactly EVENT_BYTES bytes, another one for each seq. */
export function payload(seq) {
  const head = `{"id":${seq},"user":"user-${seq % 97}","room":"general","edited":false,"score":${(seq * 37) % 1000},"text":"`;
  const room = EVENT_BYTES - head.length - 2;
  return (
    head + text.repeat(Math.ceil(room / text.length) + 1).slice(seq % text.length, (seq % text.length) + room) + '"}'
  );
}

/** `count` messages of BATCH_EVENTS events each, from seq 1 on. */
export function makeBatches(count) {
  return Array.from({ length: count }, (_, batch) => {
    const prev = batch * BATCH_EVENTS;
    const records = Array.from({ length: BATCH_EVENTS }, (_, index) => {
      const seq = prev + index + 1;
      return { seq, timeUs: 1_768_478_400_000_000 + seq, type: 'chat_message', payload: payload(seq) };
    });
    return encodeBatch([{ channelId: 1, prev, records }]).buffer;
  });
}

/** Moves the seqs of a message up, so that it can be sent again. */
export function shiftSeqs(buffer, by) {
  const view = new DataView(buffer);
  const add = BigInt(by);
  view.setBigUint64(16, view.getBigUint64(16, true) + add, true);
  for (let at = 32; at < buffer.byteLength; at += (view.getUint32(at, true) + 7) & ~7)
    view.setBigUint64(at + 8, view.getBigUint64(at + 8, true) + add, true);
}

/** A store, a history and a client that is subscribed; send() is what the browser would call with a message. */
export function makeClient(budget, options) {
  let socket;
  class Socket {
    protocol = 'ringfence.v1';
    constructor() {
      socket = this;
    }
    send() {}
    close() {}
  }
  const store = createStoreSync({ budget, notify: 'microtask' });
  const history = store.history('bench', options);
  const client = connect('ws://bench/', { store, WebSocket: Socket });
  const subscription = client.subscribe('bench', history);
  const tell = (message) => socket.onmessage({ data: JSON.stringify(message) });
  socket.onopen();
  const limits = { message_bytes: 65536, subscriptions: 128, frame_bytes: 262144, json_depth: 10 };
  tell({ op: 'welcome', connection: 'b', protocol: 'ringfence.v1', server: 'bench', limits, ping_interval_ms: 25000 });
  const subscribed = {
    op: 'subscribed',
    id: 1,
    channel: 'bench',
    channel_id: 1,
    epoch: 'e',
    recovered: false,
    missed: 0,
  };
  tell({ ...subscribed, first: 1, next: 1, after: 0 });
  return { store, history, client, subscription, send: (buffer) => socket.onmessage({ data: buffer }) };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Of all pairs of points the middle slope: one odd sample does not move it. */
export function theilSen(values) {
  const slopes = [];
  for (let i = 0; i < values.length; ++i)
    for (let j = i + 1; j < values.length; ++j) slopes.push((values[j] - values[i]) / (j - i));
  return median(slopes);
}

export async function heapUsed() {
  if (!globalThis.gc) throw new Error('run with node --expose-gc');
  for (let round = 0; round < 3; ++round) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return process.memoryUsage().heapUsed;
}

/** Prints each goal with its figure; ends with status 1 if one is missed. */
export function judge(goals) {
  let missed = 0;
  for (const { name, value, ok } of goals) {
    console.log(`${ok ? 'met   ' : 'MISSED'}  ${name}: ${value}`);
    if (!ok) ++missed;
  }
  process.exitCode = missed > 0 ? 1 : 0;
}
