// ./dev bench append: what an append to a capped field of a Zustand store costs, beside what it takes the place of.
//
// One listener-free store each, its field full. `burst`: 64 appends, then one read. `single`: one append, one read.
// Interleaved rounds, ratios of medians.
import { CircularBuffer } from 'mnemonist';
import { append, capped } from 'ringfence/zustand';
import { createStore } from 'zustand/vanilla';

import { judge, median } from './client_rig.mjs';

const ROUNDS = 21;
const BURST = 64;
const EVENTS = { 100: 64 * 300, 1000: 64 * 60 };
const rows = Array.from({ length: 4096 }, (_, id) => ({ id, user: `user-${id % 97}`, text: 'hello' }));
let at = 0;
const row = () => rows[at++ & 4095];
let sink = 0;

function candidates(cap) {
  const plain = () => createStore(() => ({ messages: rows.slice(0, cap) }));
  const naive = plain();
  const batched = plain();
  const spread = createStore(capped({ messages: { capacity: cap } }, () => ({ messages: rows.slice(0, cap) })));
  const fast = createStore(capped({ messages: { capacity: cap } }, () => ({ messages: rows.slice(0, cap) })));
  const ring = CircularBuffer.from(rows.slice(0, cap), Array, cap);
  const look = (store) => (sink += store.getState().messages[cap - 1].id);
  const sliced = (store) => {
    const m = row();
    store.setState((s) => ({ messages: [...s.messages, m].slice(-cap) }));
  };
  return {
    'naive Zustand': { one: () => sliced(naive), read: () => look(naive) },
    'batched Zustand': {
      burst: () => {
        const burst = Array.from({ length: BURST }, row);
        batched.setState((s) => ({ messages: [...s.messages, ...burst].slice(-cap) }));
      },
      one: () => sliced(batched),
      read: () => look(batched),
    },
    'mnemonist (no store)': { one: () => ring.push(row()), read: () => (sink += ring.get(cap - 1).id) },
    'capped, spread append': { one: () => sliced(spread), read: () => look(spread) },
    'capped, append()': { one: () => append(fast, 'messages', row()), read: () => look(fast) },
    'capped, append(...64)': {
      burst: () => append(fast, 'messages', ...Array.from({ length: BURST }, row)),
      one: () => append(fast, 'messages', row()),
      read: () => look(fast),
    },
  };
}

function time({ one, read, burst }, mode, events) {
  const start = process.hrtime.bigint();
  if (mode === 'single')
    for (let event = 0; event < events; ++event) {
      one();
      read();
    }
  else
    for (let event = 0; event < events; event += BURST) {
      if (burst) burst();
      else for (let index = 0; index < BURST; ++index) one();
      read();
    }
  return Number(process.hrtime.bigint() - start) / events;
}

const figures = {};
for (const cap of [100, 1000]) {
  const all = Object.entries(candidates(cap));
  for (const mode of ['burst', 'single']) {
    const times = Object.fromEntries(all.map(([name]) => [name, []]));
    for (let round = -3; round < ROUNDS; ++round)
      for (let turn = 0; turn < all.length; ++turn) {
        const [name, candidate] = all[(turn + round + 3) % all.length];
        const ns = time(candidate, mode, EVENTS[cap]);
        if (round >= 0) times[name].push(ns); // the first rounds warm up
      }
    const ns = Object.fromEntries(Object.entries(times).map(([name, each]) => [name, median(each)]));
    figures[`${cap} ${mode}`] = ns;
    console.log(`cap ${cap}, ${mode === 'single' ? 'a read after each' : `a read after ${BURST}`}: ns an event`);
    for (const [name, each] of Object.entries(ns)) console.log(`  ${name.padEnd(24)} ${Math.round(each)}`);
  }
}
if (!Number.isFinite(sink)) throw new Error('a read found no row');

const goals = [];
const faster = (key, name, least) => {
  const ratio = figures[key]['naive Zustand'] / figures[key][name];
  goals.push({
    name: `cap ${key}: ${name} at least ${least}x naive Zustand`,
    value: `${ratio.toFixed(2)}x`,
    ok: ratio >= least,
  });
};
faster('1000 burst', 'capped, append()', 10);
faster('1000 burst', 'capped, append(...64)', 10);
faster('1000 single', 'capped, append()', 2);
faster('100 burst', 'capped, append()', 1);
faster('100 single', 'capped, append()', 1);
const slower = (key, most) => {
  const ratio = figures[key]['capped, spread append'] / figures[key]['naive Zustand'];
  goals.push({
    name: `cap ${key}: spread append at most ${most}x of plain`,
    value: `${ratio.toFixed(2)}x`,
    ok: ratio <= most,
  });
};
slower('1000 single', 1.2);
slower('1000 burst', 1.2);
judge(goals);
