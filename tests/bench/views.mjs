// ./dev bench views: a new view over 100,000 records of 300 B, and what it costs to keep one current.
//
// A new view looks at every record that is held. Keeping it current is measured as the cost of 64 records with one view
// more: the same messages into two histories alike, one with a view and one without, in turn; the difference of medians.
import { view } from 'ringfence/inline';

import { BATCH_EVENTS, EVENT_BYTES, judge, makeBatches, makeClient, median, shiftSeqs } from './client_rig.mjs';

const EVENTS = 100_000;
const BATCHES = Math.ceil(EVENTS / BATCH_EVENTS);
const ROUNDS = 21;
const UPDATES = 400; // messages in a row, timed together
const GOAL_NEW_MS = 10;
const GOAL_UPDATE_US = 20;

const filters = {
  'text that no record has': { text: 'Unicorn' },
  'text in a few thousand': { text: 'USER-42' },
  'text in every record': { text: 'wizards quietly' },
  'text of the name of a member': { text: 'edited' },
  'type of every record': { types: ['chat_message'] },
  'type and text': { types: ['whisper', 'chat_message'], text: 'Dragon' },
};

function fill() {
  const client = makeClient('96 MiB', { capacity: EVENTS, bytes: '40 MiB' });
  for (const batch of makeBatches(BATCHES)) client.send(batch);
  if (client.history.size !== EVENTS) throw new Error(`held ${client.history.size}`);
  return client;
}

/** CPU time: the goals are no ratios, and what else the machine does is not theirs. */
const us = (run) => {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return user + system;
};

const plain = fill();
const watched = fill();
const names = Object.keys(filters);

const creation = Object.fromEntries(names.map((name) => [name, []]));
const counts = {};
for (let round = -2; round < ROUNDS; ++round)
  for (const name of names) {
    let made;
    const took = us(() => {
      made = view(watched.history, filters[name], { capacity: EVENTS });
      counts[name] = made.count;
    });
    if (round >= 0) creation[name].push(took / 1000);
    made.end();
  }
if (counts['text that no record has'] !== 0 || counts['text in every record'] < EVENTS / 2)
  throw new Error(`a view does not hold what it should: ${JSON.stringify(counts)}`);
if (counts['text of the name of a member'] !== 0) throw new Error('a member was taken for a value');

let seq = BATCHES * BATCH_EVENTS;
const messages = makeBatches(UPDATES);
for (const message of messages) shiftSeqs(message, seq);
function feed(client) {
  return us(() => {
    for (const message of messages) client.send(message);
  });
}

console.log(`${EVENTS.toLocaleString('en')} records of ${EVENT_BYTES} B; medians of ${ROUNDS} rounds`);
console.log(`  ${'filter'.padEnd(32)} ${'matches'.padStart(8)} ${'new, ms'.padStart(9)} ${'64 more, us'.padStart(12)}`);
const worst = { creation: 0, update: 0 };
for (const name of names) {
  const current = view(watched.history, filters[name], { capacity: EVENTS });
  const without = [];
  const withView = [];
  for (let round = -2; round < ROUNDS; ++round) {
    const times = round % 2 ? [feed(plain), feed(watched)] : [feed(watched), feed(plain)].reverse();
    if (round >= 0) {
      without.push(times[0] / UPDATES);
      withView.push(times[1] / UPDATES);
    }
    for (const message of messages) shiftSeqs(message, UPDATES * BATCH_EVENTS);
    await new Promise((resolve) => setTimeout(resolve, 0)); // the notification runs here
  }
  if (current.stats().scanned !== EVENTS + (ROUNDS + 2) * UPDATES * BATCH_EVENTS)
    throw new Error('not all was scanned');
  current.end();
  const made = median(creation[name]);
  const update = median(withView) - median(without);
  worst.creation = Math.max(worst.creation, made);
  worst.update = Math.max(worst.update, update);
  console.log(
    `  ${name.padEnd(32)} ${String(counts[name]).padStart(8)} ${made.toFixed(2).padStart(9)} ${update.toFixed(1).padStart(12)}`,
  );
}
judge([
  {
    name: `a new view in under ${GOAL_NEW_MS} ms`,
    value: `${worst.creation.toFixed(2)} ms`,
    ok: worst.creation < GOAL_NEW_MS,
  },
  {
    name: `64 new records in a view in under ${GOAL_UPDATE_US} us`,
    value: `${worst.update.toFixed(1)} us`,
    ok: worst.update < GOAL_UPDATE_US,
  },
]);
plain.store.end();
watched.store.end();
