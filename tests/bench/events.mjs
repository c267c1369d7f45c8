// What does it cost to tell 10 handlers of one event? EventBus and Boost.Signals2 (its thread-safe signal) in turn, in one
// run; ratios of medians. Ends with 1 when publishing is not 5x cheaper.
//
//   node tests/bench/events.mjs [--rounds 7]
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const RATIO_MIN = 5;
const program = fileURLToPath(new URL('../../build/release/events_bus', import.meta.url));
if (!existsSync(program)) {
  console.error(`events: ${program} is missing; ./dev bench events builds it`);
  process.exit(2);
}
const run = spawnSync(program, process.argv.slice(2), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
if (run.status !== 0) {
  console.error('events: events_bus failed');
  process.exit(1);
}
const rounds = JSON.parse(run.stdout);
const median = (key) => rounds.map((round) => round[key]).sort((a, b) => a - b)[rounds.length >> 1];
const [publish, delivered, signals] = ['bus_publish_ns', 'bus_delivered_ns', 'signals2_ns'].map(median);

console.log(`an event to 10 handlers, medians of ${rounds.length} rounds of 200,000 events:`);
console.log(`  Boost.Signals2   ${signals.toFixed(0)} ns   the publisher calls all 10 slots itself`);
console.log(
  `  EventBus publish ${publish.toFixed(0)} ns   the publisher puts it into the queue: ${(signals / publish).toFixed(1)}x less`,
);
console.log(
  `  EventBus in all  ${delivered.toFixed(0)} ns   until all 10 handlers were called on the other thread: ${(signals / delivered).toFixed(1)}x`,
);
if (signals < RATIO_MIN * publish) {
  console.error(`events: publishing is not ${RATIO_MIN}x cheaper than a Boost.Signals2 emission`);
  process.exit(1);
}
