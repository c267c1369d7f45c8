// ./dev bench retain: what 100,000 events of 261 B cost while they are held and nobody looks at them.
//
// WASM is measured twice: the segments that hold the records, and all of the linear memory (code's data, stack, staging
// block and every gap of malloc). The heap is JavaScript's, after full collections.
import { CircularBuffer } from 'mnemonist';

import { BATCH_EVENTS, heapUsed, judge, makeBatches, makeClient, payload, shiftSeqs } from './client_rig.mjs';

const EVENTS = 100_000;
const EVENT_BYTES = 261;
const GOAL_RATIO = 1.25;
const GOAL_HEAP_BYTES = 1024 * 1024;
const BATCHES_AT_ONCE = 50;

const batches = makeBatches(BATCHES_AT_ONCE, EVENT_BYTES);
const payloadBytes = EVENTS * EVENT_BYTES;
if (Buffer.byteLength(payload(12345, EVENT_BYTES)) !== EVENT_BYTES) throw new Error('an event has another size');

async function feed(client, events) {
  for (let sent = 0; sent < events; sent += BATCHES_AT_ONCE * BATCH_EVENTS) {
    for (const batch of batches) client.send(batch);
    for (const batch of batches) shiftSeqs(batch, BATCHES_AT_ONCE * BATCH_EVENTS);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

const before = await heapUsed();
const client = makeClient('64 MiB', { capacity: EVENTS, bytes: '40 MiB' });
// Past the capacity, so that the history is in its steady state: exactly EVENTS are held.
await feed(client, EVENTS * 1.5);
const heap = (await heapUsed()) - before;

const { held, allocatedBytes, heldBytes, evicted } = client.history.stats();
const { memoryBytes } = client.store.stats();
if (held !== EVENTS || evicted.records === 0) throw new Error(`held ${held}`);
const [last] = client.history.window({ last: 1 }).getSnapshot().items;
const sent = ((last.seq - 1) % (BATCHES_AT_ONCE * BATCH_EVENTS)) + 1; // the same messages over and over, under new seqs
if (JSON.stringify(last.data) !== payload(sent, EVENT_BYTES)) throw new Error('the last event is not what was sent');

const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(2)} MiB`;
const ratio = (bytes) => `${(bytes / payloadBytes).toFixed(3)}x`;
console.log(`${EVENTS.toLocaleString('en')} events of ${EVENT_BYTES} B: ${mib(payloadBytes)} of payload`);
console.log(`  records with headers, types and padding  ${mib(heldBytes)}  ${ratio(heldBytes)}`);
console.log(`  segments                                 ${mib(allocatedBytes)}  ${ratio(allocatedBytes)}`);
console.log(`  all of the WASM memory                   ${mib(memoryBytes)}  ${ratio(memoryBytes)}`);
console.log(`  JavaScript heap, client and store too    ${mib(heap)}`);
client.store.end();

const start = await heapUsed();
const ring = new CircularBuffer(Array, EVENTS);
for (let seq = 1; seq <= EVENTS; ++seq) ring.push(JSON.parse(payload(seq, EVENT_BYTES)));
console.log(`  beside it: parsed objects in mnemonist   ${mib((await heapUsed()) - start)} of JavaScript heap`);
if (ring.size !== EVENTS) throw new Error('the peer lost some');

judge([
  {
    name: `at most ${GOAL_RATIO}x the payload in segments`,
    value: ratio(allocatedBytes),
    ok: allocatedBytes <= GOAL_RATIO * payloadBytes,
  },
  {
    name: `at most ${GOAL_RATIO}x the payload in all of the WASM memory`,
    value: ratio(memoryBytes),
    ok: memoryBytes <= GOAL_RATIO * payloadBytes,
  },
  { name: 'under 1 MiB of JavaScript heap', value: mib(heap), ok: heap < GOAL_HEAP_BYTES },
]);
