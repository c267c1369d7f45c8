// What the client's benchmarks share: the published package fed through a socket of their own, and events of one
// size.
import { connect, createStoreSync } from 'ringfence/inline';

import { encodeBatch } from '../vectors/encode.mjs';

export { judge, median, theilSen, trend } from './statistics.mjs';

export const EVENT_BYTES = 300;
export const BATCH_EVENTS = 64;

const text =
  'The quick brown fox jumps over the lazy dog while seven wizards quietly mix jade elixirs of great power. ';

/** JSON of exactly so many bytes, another one for each seq. */
export function payload(seq, bytes = EVENT_BYTES) {
  const head = `{"id":${seq},"user":"user-${seq % 97}","room":"general","edited":false,"score":${(seq * 37) % 1000},"text":"`;
  const room = bytes - head.length - 2;
  return (
    head + text.repeat(Math.ceil(room / text.length) + 1).slice(seq % text.length, (seq % text.length) + room) + '"}'
  );
}

/** `count` messages of BATCH_EVENTS events each, from seq 1 on. */
export function makeBatches(count, bytes = EVENT_BYTES) {
  return Array.from({ length: count }, (_, batch) => {
    const prev = batch * BATCH_EVENTS;
    const records = Array.from({ length: BATCH_EVENTS }, (_, index) => {
      const seq = prev + index + 1;
      return { seq, timeUs: 1_768_478_400_000_000 + seq, type: 'chat_message', payload: payload(seq, bytes) };
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
    // Answers as a server would, or what waits for an answer would grow.
    send(text) {
      const { op, id, channel, watch, data } = JSON.parse(text);
      if (op === 'unsubscribe') answers.push({ op: 'unsubscribed', id, channel });
      else if (op === 'subscribe') answers.push(subscribed(id, channel));
      else if (watch) answers.push({ op: 'presence', id, channel, count: 0, more: false, members: [] });
      else if (op === 'presence' || op === 'leave') answers.push({ op: 'ok', id });
      else if (op === 'join') {
        answers.push({ op: 'ok', id });
        answers.push({ op: 'join', channel, count: 1, more: false, members: [{ user: 'bench', data }] });
      }
      queueMicrotask(answer);
    }
    close() {}
  }
  const tell = (message) => socket.onmessage({ data: JSON.stringify(message) });
  const answers = [];
  const answer = () => {
    while (answers.length > 0) tell(answers.shift());
  };
  const channelIds = new Map();
  const subscribed = (id, channel) => {
    if (!channelIds.has(channel)) channelIds.set(channel, channelIds.size + 1);
    const place = { first: 1, next: 1, after: 0, epoch: 'e', recovered: false, missed: 0 };
    return { op: 'subscribed', id, channel, channel_id: channelIds.get(channel), ...place };
  };
  const store = createStoreSync({ budget, notify: 'microtask' });
  const history = store.history('bench', options);
  const client = connect('ws://bench/', { store, WebSocket: Socket });
  const subscription = client.subscribe('bench', history);
  socket.onopen();
  const limits = { message_bytes: 65536, subscriptions: 128, frame_bytes: 262144, json_depth: 10 };
  tell({ op: 'welcome', connection: 'b', protocol: 'ringfence.v1', server: 'bench', limits, ping_interval_ms: 25000 });
  answer();
  return { store, history, client, subscription, send: (buffer) => socket.onmessage({ data: buffer }) };
}

export async function heapUsed() {
  if (!globalThis.gc) throw new Error('run with node --expose-gc');
  for (let round = 0; round < 3; ++round) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return process.memoryUsage().heapUsed;
}
