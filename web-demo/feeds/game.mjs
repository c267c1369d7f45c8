// The game session on channel `game`, its speed set by what is published on `game.control`.
//
//   node feeds/game.mjs --url ws://127.0.0.1:8080/v1/ws [--seed N] [--speed EVENTS_PER_S]

import { Connection } from './connection.mjs';
import { Pace, speedOf } from './pace.mjs';
import { isMain, options, untilTold } from './run.mjs';
import { GameSession, kEventsPerGameS } from './session.mjs';

const kChannel = 'game';
const kControl = 'game.control';
const kTurnMs = 10;

/** Publishes until the returned function is called. */
export function runGame({ url, seed, speed = kEventsPerGameS }) {
  const session = new GameSession(seed);
  const pace = new Pace(speedOf(speed) ?? kEventsPerGameS, performance.now());
  let toTell = false; // the speed, once there is room for it

  const connection = new Connection(url, {
    channels: [kControl],
    onOpen: () => (toTell = true),
    onEvent: (channel, type, data) => {
      if (channel !== kControl || type !== 'speed') return;
      const asked = speedOf(data?.events_per_s);
      if (asked !== null) pace.set(asked, performance.now());
      toTell = true; // also when it was no speed: who asked hears what holds
    },
  });

  const turn = () => {
    if (toTell) toTell = !connection.publish(kControl, 'speed_now', { events_per_s: pace.eventsPerS, seed });
    const count = Math.min(pace.due(performance.now()), connection.room);
    for (let sent = 0; sent < count; ++sent) {
      const { type, data } = session.next();
      connection.publish(kChannel, type, data);
    }
    pace.take(count);
  };
  const timer = setInterval(turn, kTurnMs);
  return () => {
    clearInterval(timer);
    connection.end();
  };
}

if (isMain(import.meta.url)) untilTold(runGame(options()));
