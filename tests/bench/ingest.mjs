// ./dev bench ingest: events per second from a WebSocket message into state that keeps the last 1,000 events.
//
// 300 B of JSON an event, 64 events a message. Ringfence takes the binary message through the whole client (socket
// callback, validation, WASM history). The peers get their 64 strings already split: JSON.parse and one push or `set` an
// event. Nobody looks at the rows. Interleaved rounds, ratios of medians. ingest_peers.mjs has some more, listed only.
import { CircularBuffer } from 'mnemonist';
import { createStore as createZustand } from 'zustand/vanilla';

import {
  BATCH_EVENTS,
  EVENT_BYTES,
  heapUsed,
  judge,
  makeBatches,
  makeClient,
  median,
  payload,
  shiftSeqs,
  theilSen,
} from './client_rig.mjs';
import { listedPeers } from './ingest_peers.mjs';

const ROUNDS = 21;
const BATCHES = 200;
const EVENTS = BATCHES * BATCH_EVENTS;
const CAPACITY = 1000;
const LISTED_ROUNDS = 5; // of those that are not guarded, which take long
const GOAL_MNEMONIST = 10;
const GOAL_ZUSTAND = 25;
const HEAP_EVENTS = 1_000_000;
const HEAP_SAMPLES = 20;
const HEAP_GROWTH_BYTES_MAX = 32 * 1024; // over all HEAP_EVENTS: less than a byte for each thirty events

const batches = makeBatches(BATCHES);
const strings = Array.from({ length: BATCHES }, (_, batch) =>
  Array.from({ length: BATCH_EVENTS }, (_, index) => payload(batch * BATCH_EVENTS + index + 1)),
);

const ringfence = makeClient('8 MiB', { capacity: CAPACITY, bytes: '1 MiB' });
const ring = new CircularBuffer(Array, CAPACITY);
const zustand = createZustand(() => ({ messages: [] }));

const candidates = {
  ringfence() {
    for (const batch of batches) ringfence.send(batch);
  },
  mnemonist() {
    for (const messages of strings) for (const message of messages) ring.push(JSON.parse(message));
  },
  zustand() {
    for (const messages of strings)
      for (const message of messages) {
        const event = JSON.parse(message);
        zustand.setState((state) => ({ messages: [...state.messages, event].slice(-CAPACITY) }));
      }
  },
};

// Each is timed for about as long as the others, so that what else the machine does hits all of them alike.
const REPEATS = { ringfence: 20, mnemonist: 2, zustand: 1 };

async function time(name) {
  let nanoseconds = 0n;
  for (let repeat = 0; repeat < REPEATS[name]; ++repeat) {
    const start = process.hrtime.bigint();
    candidates[name]();
    nanoseconds += process.hrtime.bigint() - start;
    if (name === 'ringfence') for (const batch of batches) shiftSeqs(batch, EVENTS); // not timed
    await new Promise((resolve) => setTimeout(resolve, 0)); // the notification runs here
  }
  return (EVENTS * REPEATS[name]) / (Number(nanoseconds) / 1e9);
}

const rates = { ringfence: [], mnemonist: [], zustand: [] };
const names = Object.keys(rates);
for (let round = -2; round < ROUNDS; ++round) {
  for (let turn = 0; turn < names.length; ++turn) {
    const name = names[(turn + round + 3) % names.length];
    const rate = await time(name);
    if (round >= 0) rates[name].push(rate); // the first two rounds warm up
  }
}

const stats = ringfence.store.stats();
const expected = EVENTS * (ROUNDS + 2) * REPEATS.ringfence;
if (
  stats.records !== expected ||
  stats.holes !== 0 ||
  stats.refusedBatches !== 0 ||
  ringfence.history.size !== CAPACITY
)
  throw new Error(`not every event was taken: ${JSON.stringify(stats)}`);

console.log(
  `${EVENT_BYTES} B an event, ${BATCH_EVENTS} a message, the last ${CAPACITY} kept; medians of ${ROUNDS} rounds`,
);
const rate = Object.fromEntries(names.map((name) => [name, median(rates[name])]));
const labels = {
  ringfence: 'ringfence client and store',
  mnemonist: 'JSON.parse + mnemonist CircularBuffer',
  zustand: 'JSON.parse + Zustand [...s, m].slice(-1000)',
};
const row = (label, perSecond, ringfencePerSecond) => {
  const each = `${Math.round(1e9 / perSecond)} ns`.padStart(9);
  const times = `${(ringfencePerSecond / perSecond).toFixed(1)}x`.padStart(7);
  console.log(
    `  ${label.padEnd(51)} ${Math.round(perSecond).toLocaleString('en').padStart(11)} events/s ${each} ${times}`,
  );
};
for (const name of names) row(labels[name], rate[name], rate.ringfence);

// The heap, sampled after a full collection each time.
const heap = [];
for (let sample = 0; sample <= HEAP_SAMPLES; ++sample) {
  if (sample > 0) {
    for (let events = 0; events < HEAP_EVENTS / HEAP_SAMPLES; events += EVENTS) {
      candidates.ringfence();
      for (const batch of batches) shiftSeqs(batch, EVENTS);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  heap.push(await heapUsed());
}
const growth = theilSen(heap.slice(1)) * HEAP_SAMPLES;
console.log(
  `  heap after each twentieth of 1 M events, KiB: ${heap.map((bytes) => Math.round(bytes / 1024)).join(' ')}`,
);

// Last, so that what they hold burdens no other's collections.
const listed = await listedPeers(strings, CAPACITY);
const listedRates = Object.fromEntries(['ringfence', ...Object.keys(listed)].map((label) => [label, []]));
for (let round = -1; round < LISTED_ROUNDS; ++round) {
  const own = await time('ringfence');
  if (round >= 0) listedRates.ringfence.push(own);
  for (const [label, run] of Object.entries(listed)) {
    const start = process.hrtime.bigint();
    await run();
    if (round >= 0) listedRates[label].push(EVENTS / (Number(process.hrtime.bigint() - start) / 1e9));
  }
}
console.log(`  listed only, medians of ${LISTED_ROUNDS} rounds, and how many times as fast Ringfence was in these:`);
for (const label of Object.keys(listed)) row(label, median(listedRates[label]), median(listedRates.ringfence));

const mnemonist = rate.ringfence / rate.mnemonist;
const spread = rate.ringfence / rate.zustand;
judge([
  {
    name: `at least ${GOAL_MNEMONIST}x JSON.parse + mnemonist`,
    value: `${mnemonist.toFixed(1)}x`,
    ok: mnemonist >= GOAL_MNEMONIST,
  },
  {
    name: `at least ${GOAL_ZUSTAND}x JSON.parse + Zustand`,
    value: `${spread.toFixed(1)}x`,
    ok: spread >= GOAL_ZUSTAND,
  },
  {
    name: 'no growth of the heap over 1 M events',
    value: `${Math.round(growth)} B (trend)`,
    ok: growth <= HEAP_GROWTH_BYTES_MAX,
  },
]);
ringfence.store.end();
