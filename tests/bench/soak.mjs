// ./dev bench soak [--events N] [--seconds N]: an hour at 10,000 events/s, as fast as it goes, through the client's socket
// callback into a full history, with a window that is read. In each round handles of every kind are made and ended, too.
// Heap, WASM memory and handles end where they were after the first minute's worth, and the slope of what JavaScript holds is none. `--seconds` bounds the run (default
// 600); what that leaves out is said, and is a miss.
import { parseArgs } from 'node:util';
import { getHeapSnapshot } from 'node:v8';

import { projection, view } from 'ringfence/inline';
import { keyed } from 'ringfence/keyed';
import { persist } from 'ringfence/persist';
import { presence } from 'ringfence/presence';

import { BATCH_EVENTS, heapUsed, judge, makeBatches, makeClient, shiftSeqs } from './client_rig.mjs';
import { heldBytes } from './heap_snapshot.mjs';
import { trend } from './statistics.mjs';

const { values } = parseArgs({ options: { events: { type: 'string' }, seconds: { type: 'string' } } });
const EVENTS = Number(values.events ?? 36_000_000);
const SECONDS_MAX = Number(values.seconds ?? 600);
if (!(EVENTS >= 1_000_000) || !(SECONDS_MAX > 0)) throw new RangeError('--events 1000000 or more, --seconds above 0');
const MINUTE_EVENTS = EVENTS / 60;
/** Of what JavaScript holds, since the first minute and by its slope. 16 B of each handle that was made and ended would be 880 KiB. */
const HELD_GROWTH_BYTES_MAX = 8 * 1024;
const WARM_UP_ROUNDS = 3000;

const batches = makeBatches(200);
const ROUND_EVENTS = batches.length * BATCH_EVENTS;
const { store, history, client, subscription, send } = makeClient('16 MiB', { capacity: 10_000, bytes: '8 MiB' });
const window = history.window({ last: 50 });
let notified = 0;
const listener = window.subscribe(() => (notified += window.getSnapshot().items.length > 0 ? 1 : 0));

const nothing = () => undefined;
const nextTask = () => new Promise((resolve) => setTimeout(resolve, 0));
let made = 0;
let members = 0;
let trimmed = 0;
/** What a page does as its parts come and go. */
async function comeAndGo() {
  const room = store.history('room', { capacity: 100, bytes: '64 KiB' });
  const kept = await persist(room, { onError: nothing }); // Node has no IndexedDB: it says so, and is there nevertheless
  const found = view(room, { text: 'fox' }, { capacity: 100 });
  const fold = projection(room, (count) => count + 1, 0);
  const jobs = store.queue('jobs', { capacity: 10 });
  const map = keyed(store, 'occupants', { capacity: 10, ttl: 60_000, bytes: '16 KiB' });
  const who = presence(client, 'room', { data: 'here' });
  const handles = [
    room.subscribe(nothing),
    room.onTrim(nothing),
    client.subscribe('room', room),
    client.subscribe('bench', history), // with the other that is there
    client.onState(nothing),
    client.onError(nothing),
    client.onResume(nothing),
    ...[found, fold, jobs, map].flatMap((source) => [source.subscribe(nothing), source]),
    map.onTrim((count) => (trimmed += count)),
    who.onChange(({ joined }) => (members += joined.length)),
    who,
    kept,
    room,
  ];
  room.push({ text: 'local' });
  jobs.push(made);
  for (let entry = 0; entry < 12; ++entry) map.set(`player ${entry}`, { entry });
  made += handles.length;
  await nextTask(); // the server has answered, and they were told
  for (const handle of handles) handle.end();
}

async function held() {
  const parts = [];
  for await (const part of getHeapSnapshot()) parts.push(part);
  return heldBytes(Buffer.concat(parts).toString());
}

async function sample() {
  const { memoryBytes, handles } = store.stats();
  const heap = await heapUsed();
  return { heap, held: await held(), wasm: memoryBytes, handles: JSON.stringify(handles) };
}

async function playRound() {
  for (const batch of batches) {
    send(batch);
    shiftSeqs(batch, ROUND_EVENTS);
  }
  await comeAndGo();
  await nextTask(); // the notification runs here, and who was there leaves
}

// V8 goes on compiling, and keeping what it learns, for a few thousand rounds: some 300 KiB that are not the package's.
for (let round = 0; round < WARM_UP_ROUNDS; ++round) await playRound();
await sample();
const warmedUp = store.stats().records;
made = notified = members = trimmed = 0;

const started = performance.now();
let sent = 0;
let first;
let last;
const heaps = [];
const helds = [];
while (sent < EVENTS && performance.now() - started < SECONDS_MAX * 1000) {
  await playRound();
  sent += ROUND_EVENTS;
  if (sent < (heaps.length + 1) * MINUTE_EVENTS) continue;
  last = await sample();
  first ??= last;
  heaps.push(last.heap);
  helds.push(last.held);
}
first ??= last ??= await sample(); // so little time that no minute's worth was reached: missed below
const slope = helds.length === 60 ? trend(helds) : { slope: Number.NaN, p: Number.NaN, grows: true };
const perHour = slope.slope * 60;
const { records, holes, refusedBatches } = store.stats();
const seconds = (performance.now() - started) / 1000;
console.log(
  `${sent.toLocaleString('en')} events in ${seconds.toFixed(1)} s, ${notified.toLocaleString('en')} notifications, ${made} handles made and ended`,
);
listener.end();
subscription.end();
client.end();
history.end();
const left = store.handles().total;
store.end();

console.log(
  `  heap with V8's code, after each minute's worth, KiB: ${heaps.map((bytes) => Math.round(bytes / 1024)).join(' ')}`,
);
console.log(
  `  held by JavaScript (all but the code and shapes that V8 makes for itself), KiB: ${helds.map((bytes) => (bytes / 1024).toFixed(1)).join(' ')}`,
);
judge([
  { name: `all of ${EVENTS} events sent`, value: sent, ok: sent >= EVENTS },
  {
    name: 'every event taken, none missed',
    value: records - warmedUp,
    ok: records - warmedUp === sent && holes + refusedBatches === 0,
  },
  { name: 'a listener was called in each round', value: notified, ok: notified >= sent / ROUND_EVENTS / 2 },
  {
    name: 'who is there and what a full map let go was told in each round',
    value: `${members}, ${trimmed}`,
    ok: members === sent / ROUND_EVENTS && trimmed === 2 * members,
  },
  {
    name: `what JavaScript holds grew by at most ${HELD_GROWTH_BYTES_MAX} B since the first minute`,
    value: `${last.held - first.held} B (of ${first.held})`,
    ok: last.held - first.held <= HELD_GROWTH_BYTES_MAX,
  },
  {
    name: `its slope is not significant (p < 0.01), or less than that`,
    value: `${Math.round(perHour)} B in the hour, p = ${slope.p.toFixed(2)}`,
    ok: !slope.grows || perHour < HELD_GROWTH_BYTES_MAX,
  },
  { name: 'WASM memory as after the first minute', value: `${last.wasm} B`, ok: last.wasm === first.wasm },
  { name: 'handles as after the first minute', value: last.handles, ok: last.handles === first.handles },
  { name: 'no handle left after end()', value: left, ok: left === 0 },
]);
