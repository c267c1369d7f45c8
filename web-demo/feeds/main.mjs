// All feeds of the demo in one program.
//
//   node feeds/main.mjs --url ws://127.0.0.1:8080/v1/ws [--seed N] [--speed EVENTS_PER_S]

import { runGame } from './game.mjs';
import { runHost } from './host.mjs';
import { options, untilTold } from './run.mjs';

const chosen = options();
const stops = [runGame(chosen)];
try {
  stops.push(runHost(chosen));
} catch (error) {
  console.error(`feed: no telemetry of this machine: ${error.message}`);
}
untilTold(() => stops.forEach((stop) => stop()));
