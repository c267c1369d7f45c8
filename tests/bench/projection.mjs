// ./dev bench projection: eight idle hours of a game, one `game_tick` and one `effects_update` a second, into a state.
//
// The projection folds each event as it comes, though its history holds 1,000 of them. Beside it the way of a log without a
// cap, which folds all of it anew at each update; that is measured at the end only, where it is at its worst.
import { projection } from 'ringfence/inline';

import { encodeBatch } from '../vectors/encode.mjs';
import { judge, makeClient, median } from './client_rig.mjs';

const EVENTS = 57_600;
const UPDATE_EVENTS = 2; // a second's
const CAPACITY = 1000;
const GOAL_MS = 2;
const PEER_ROUNDS = 5;

const INITIAL = { player: null, ticks: 0, effects: [] };
function reduce(state, event) {
  switch (event.event_type) {
    case 'game_state':
      return { ...state, player: event.data.player };
    case 'game_tick':
      return { ...state, ticks: state.ticks + 1 };
    case 'effects_update':
      return { ...state, effects: event.data.effects };
    default:
      return state;
  }
}
const eventOf = (seq) => {
  const head = { timestamp: '2026-01-15T12:00:00Z', sequence_number: seq };
  if (seq === 1) return { ...head, event_type: 'game_state', data: { player: { name: 'Ada', level: 7 } } };
  if (seq % 2) return { ...head, event_type: 'game_tick', data: { tick: seq } };
  return { ...head, event_type: 'effects_update', data: { effects: [{ id: 'rested', left: seq % 60 }] } };
};

const client = makeClient('8 MiB', { capacity: CAPACITY, bytes: '1 MiB' });
const game = projection(client.history, (state, row) => reduce(state, row.data), INITIAL);
const took = [];
for (let prev = 0; prev < EVENTS; prev += UPDATE_EVENTS) {
  const records = Array.from({ length: UPDATE_EVENTS }, (_, index) => {
    const seq = prev + index + 1;
    const event = eventOf(seq);
    return {
      seq,
      timeUs: 1_768_478_400_000_000 + seq * 500_000,
      type: event.event_type,
      payload: JSON.stringify(event),
    };
  });
  const message = encodeBatch([{ channelId: 1, prev, records }]).buffer;
  const start = process.hrtime.bigint();
  client.send(message);
  void game.getSnapshot();
  took.push(Number(process.hrtime.bigint() - start) / 1e6);
  if (prev % 1000 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
}
const { state } = game;
if (state.player?.name !== 'Ada' || state.ticks !== EVENTS / 2 - 1) throw new Error(`state ${JSON.stringify(state)}`);
if (client.history.size !== CAPACITY) throw new Error(`held ${client.history.size}`);

const log = Array.from({ length: EVENTS }, (_, index) => eventOf(index + 1));
const folds = Array.from({ length: PEER_ROUNDS }, () => {
  const start = process.hrtime.bigint();
  if (log.reduce(reduce, INITIAL).ticks !== state.ticks) throw new Error('the peer counts otherwise');
  return Number(process.hrtime.bigint() - start) / 1e6;
});

const sorted = [...took].sort((a, b) => a - b);
const at = (share) => sorted[Math.floor((sorted.length - 1) * share)];
const lastHour = median(took.slice(-3600));
console.log(`${EVENTS.toLocaleString('en')} events in ${took.length.toLocaleString('en')} updates, ${CAPACITY} held`);
console.log(
  `  an update, message to state   median ${at(0.5).toFixed(4)} ms, 99 % ${at(0.99).toFixed(4)} ms, worst ${at(1).toFixed(2)} ms`,
);
console.log(
  `  in the first and last hour    median ${median(took.slice(0, 3600)).toFixed(4)} and ${lastHour.toFixed(4)} ms`,
);
console.log(`  beside it: a fold of all      median ${median(folds).toFixed(2)} ms after eight hours`);
judge([
  { name: `an update under ${GOAL_MS} ms, 99 of 100`, value: `${at(0.99).toFixed(4)} ms`, ok: at(0.99) < GOAL_MS },
  {
    name: 'no dearer after eight hours than in the first (at most 1.5x)',
    value: `${(lastHour / median(took.slice(0, 3600))).toFixed(2)}x`,
    ok: lastHour <= 1.5 * median(took.slice(0, 3600)),
  },
]);
client.store.end();
