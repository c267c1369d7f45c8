// ./dev bench append: what an append to a capped field of a store of Zustand or Redux Toolkit costs, beside what it takes the
// place of.
//
// One store each, its field full. `burst`: 64 appends, then one read. `single`: one append, one read. First without a listener
// and with rows that are there already, then spread appends as a page has them. Interleaved rounds; the ratio is the median of
// those of the rounds.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { CircularBuffer } from 'mnemonist';
import { capped as cappedSlice } from 'ringfence/redux';
import { append, capped } from 'ringfence/zustand';
import { createStore } from 'zustand/vanilla';

import { judge, median } from './client_rig.mjs';

process.env.NODE_ENV = 'production'; // without Redux Toolkit's checks for mistakes
const { configureStore, createSlice } = await import('@reduxjs/toolkit');

const ROUNDS = 21;
const BURST = 64;
const EVENTS = { 100: 64 * 300, 1000: 64 * 60 };
// Of plain Zustand. Rows that are there already let V8's young heap stay as small as a cache: then a copy of 100 rows takes
// 0.25 us, and Object.freeze and the look at the array 0.1.
const SMALL_SPREAD_MAX = 1.7;
// Where the middleware does what `.slice(-n)` did.
const UNSLICED_MAX = 1.3;
const SPREAD_MAX = 1.2;
const PAGE_CAPS = 4; // so many messages of a page as this times the cap
const SPREADS_ALONE = '--spreads-alone';
const FEWER = 60; // of what takes so much longer: a burst each at the least
const SLICE_ROUNDS = 7;
const SPREAD_ROUNDS = 9;
// V8 compiles the same code well in one process and less well in another: 1.14 to 1.24 of plain.
const SPREAD_PROCESSES = 7;
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

/**
 * Spread appends as a page has them: each message is an object that just came, so the heap grows to the size that it has in
 * a page, and `subscribed` stores have a listener like useStore's, whose selector runs at each notification.
 */
function spreads(cap, subscribed) {
  let id = 0;
  const message = () => ({ id: ++id, user: `user-${id % 97}`, text: 'hello' });
  const start = () => Array.from({ length: cap }, message);
  const sliced = (set) => ({
    messages: start(),
    add: (m) => set((s) => ({ messages: [...s.messages, m].slice(-cap) })),
  });
  const whole = (set) => ({ messages: start(), add: (m) => set((s) => ({ messages: [...s.messages, m] })) });
  const use = (store) => {
    let shown;
    const select = () => {
      const { messages } = store.getState();
      if (!Object.is(messages, shown)) shown = messages;
    };
    if (subscribed) store.subscribe(select);
    const { add } = store.getState();
    return { one: () => add(message()), read: () => (sink += store.getState().messages[cap - 1].id) };
  };
  const limit = { messages: { capacity: cap } };
  return {
    plain: use(createStore(sliced)),
    capped: use(createStore(capped(limit, sliced))),
    'capped, no slice(-n)': use(createStore(capped(limit, whole))),
  };
}

/** What a field without `.slice(-n)` cost before: its array grows, here over the first messages of a page, and then for ever. */
function grown(cap) {
  let id = 0;
  const whole = (set) => ({ messages: [], add: (m) => set((s) => ({ messages: [...s.messages, m] })) });
  const page = (creator) => {
    let store;
    let messages = PAGE_CAPS * cap;
    return {
      one: () => {
        if (messages === PAGE_CAPS * cap) {
          store = createStore(creator);
          store.subscribe(() => (sink += store.getState().messages.length));
          messages = 0;
        }
        ++messages;
        store.getState().add({ id: ++id, user: `user-${id % 97}`, text: 'hello' });
      },
      read: () => (sink += store.getState().messages.length),
    };
  };
  return { 'plain, grows': page(whole), capped: page(capped({ messages: { capacity: cap } }, whole)) };
}

/** Apart from the others: what they leave to the collector would be in their way. */
function slices(cap) {
  // As its documentation has it: a reducer that changes the array in place.
  const slice = createSlice({
    name: 'chat',
    initialState: { messages: rows.slice(0, cap) },
    reducers: {
      added: (state, { payload }) => {
        state.messages.push(...payload);
        if (state.messages.length > cap) state.messages.splice(0, state.messages.length - cap);
      },
    },
  });
  const { added } = slice.actions;
  const cappedChat = cappedSlice('chat', { messages: { capacity: cap } }, slice.reducer);
  const reduxOf = (chat) => configureStore({ reducer: { chat } });
  const [redux, reduxBatched, reduxCapped] = [slice.reducer, slice.reducer, cappedChat].map(reduxOf);
  const lookRedux = (store) => (sink += store.getState().chat.messages[cap - 1].id);
  return {
    'Redux Toolkit': { fewer: true, one: () => redux.dispatch(added([row()])), read: () => lookRedux(redux) },
    'Redux Toolkit, batched': {
      fewer: true,
      burst: () => reduxBatched.dispatch(added(Array.from({ length: BURST }, row))),
      one: () => reduxBatched.dispatch(added([row()])),
      read: () => lookRedux(reduxBatched),
    },
    'capped slice, append()': {
      one: () => reduxCapped.dispatch(cappedChat.append('messages', row())),
      read: () => lookRedux(reduxCapped),
    },
  };
}

function time({ one, read, burst, fewer }, mode, all) {
  const events = fewer ? Math.max(BURST, all / FEWER) : all;
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

const figures = {}; // by cap and mode, by name: ns an event in each round
function compare(key, all, { mode, cap, rounds }) {
  const times = Object.fromEntries(all.map(([name]) => [name, []]));
  for (let round = -3; round < rounds; ++round)
    for (let turn = 0; turn < all.length; ++turn) {
      const [name, candidate] = all[(turn + round + 3) % all.length];
      const ns = time(candidate, mode, EVENTS[cap]);
      if (round >= 0) times[name].push(ns); // the first rounds warm up
    }
  Object.assign((figures[key] ??= {}), times);
  if (!process.argv.includes(SPREADS_ALONE)) print(times);
}
function print(times) {
  for (const [name, each] of Object.entries(times)) console.log(`  ${name.padEnd(24)} ${Math.round(median(each))}`);
}

/** Those of one process. */
function measureSpreads() {
  for (const cap of [100, 1000]) {
    for (const subscribed of [false, true])
      for (const mode of ['burst', 'single']) {
        const key = `${cap} ${mode}, ${subscribed ? 'subscribed' : 'no listener'}`;
        compare(key, Object.entries(spreads(cap, subscribed)), { mode, cap, rounds: SPREAD_ROUNDS });
      }
    compare(`${cap} single, from empty`, Object.entries(grown(cap)), { mode: 'single', cap, rounds: SPREAD_ROUNDS });
  }
}
if (process.argv.includes(SPREADS_ALONE)) {
  measureSpreads();
  console.log(JSON.stringify(figures));
  process.exit();
}

for (const cap of [100, 1000])
  for (const mode of ['burst', 'single']) {
    console.log(`cap ${cap}, ${mode === 'single' ? 'a read after each' : `a read after ${BURST}`}: ns an event`);
    const key = `${cap} ${mode}`;
    compare(key, Object.entries(candidates(cap)), { mode, cap, rounds: ROUNDS });
    compare(key, Object.entries(slices(cap)), { mode, cap, rounds: SLICE_ROUNDS });
  }
for (let each = 0; each < SPREAD_PROCESSES; ++each) {
  const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), SPREADS_ALONE], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (run.status !== 0) throw new Error('the spread appends ended early');
  for (const [key, times] of Object.entries(JSON.parse(run.stdout)))
    for (const [name, some] of Object.entries(times)) ((figures[key] ??= {})[name] ??= []).push(...some);
}
for (const [key, times] of Object.entries(figures)) {
  if (!key.includes(',')) continue;
  console.log(`spread appends, cap ${key}: ns an event`);
  print(times);
}
if (!Number.isFinite(sink)) throw new Error('a read found no row');

const goals = [];
/** Of the rounds, each by itself: what loads the machine for a while is in both. */
const ratioOf = (key, one, other) => median(figures[key][one].map((ns, round) => ns / figures[key][other][round]));
const faster = (key, name, least, than = 'naive Zustand') => {
  const ratio = ratioOf(key, than, name);
  goals.push({
    name: `cap ${key}: ${name} at least ${least}x ${than}`,
    value: `${ratio.toFixed(2)}x`,
    ok: ratio >= least,
  });
};
faster('1000 burst', 'capped, append()', 10);
faster('1000 burst', 'capped, append(...64)', 10);
faster('1000 single', 'capped, append()', 2);
faster('100 burst', 'capped, append()', 1);
faster('100 single', 'capped, append()', 1);
faster('100 single', 'capped slice, append()', 10, 'Redux Toolkit');
faster('1000 single', 'capped slice, append()', 10, 'Redux Toolkit');
const slower = (key, most, name = 'capped, spread append', than = 'naive Zustand') => {
  const ratio = ratioOf(key, name, than);
  goals.push({
    name: `cap ${key}: ${name} at most ${most}x of plain`,
    value: `${ratio.toFixed(2)}x`,
    ok: ratio <= most,
  });
};
slower('1000 single', SPREAD_MAX);
slower('1000 burst', SPREAD_MAX);
slower('100 single', SMALL_SPREAD_MAX);
slower('100 burst', SMALL_SPREAD_MAX);
for (const cap of [100, 1000]) slower(`${cap} single, from empty`, SPREAD_MAX, 'capped', 'plain, grows');
for (const key of Object.keys(figures).filter((each) => 'plain' in figures[each])) {
  slower(key, SPREAD_MAX, 'capped', 'plain');
  slower(key, key.startsWith('1000') ? SPREAD_MAX : UNSLICED_MAX, 'capped, no slice(-n)', 'plain');
}
judge(goals);
