// What do put and get of the cache cost? LruCache, the reference system's put with its full sweep, and an unordered_map
// with a list, in turn in one run; ratios of medians. Ends with 1 when the 99.9th percentile of put is not 50x below the
// sweep's, or get takes more than 1.2x of what the plain one without a TTL takes.
//
//   node tests/bench/cache.mjs [--rounds 11]
import { spawnSync } from 'node:child_process';
import * as bench from './processes.mjs';

const PUT_RATIO_MIN = 50;
const GET_RATIO_MAX = 1.2;
const options = bench.parseOptions({ rounds: 11 });
const program = bench.need(`${bench.RELEASE_DIR}/cache_cost`, './dev bench cache builds it');
const run = spawnSync(program, ['--rounds', String(options.rounds)], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (run.status !== 0) bench.stop('cache: cache_cost failed', 1);
const rounds = JSON.parse(run.stdout);
const [put, sweep, get, plain] = ['put_ns', 'sweep_put_ns', 'get_ns', 'plain_get_ns'].map((key) =>
  bench.median(rounds.map((round) => round[key])),
);

console.log(`10,000 entries, medians of ${rounds.length} rounds:`);
console.log(`  put, half of it expired, 99.9th percentile  ${put.toFixed(0)} ns`);
console.log(`  the same with a full sweep                  ${sweep.toFixed(0)} ns: ${(sweep / put).toFixed(0)}x`);
console.log(`  get of LruCache with a TTL                  ${get.toFixed(1)} ns`);
console.log(`  get of unordered_map + list without         ${plain.toFixed(1)} ns: ${(plain / get).toFixed(2)}x`);
let status = 0;
if (sweep < PUT_RATIO_MIN * put) {
  console.error(`cache: the 99.9th percentile of put is not ${PUT_RATIO_MIN}x below that of a full sweep`);
  status = 1;
}
if (get > GET_RATIO_MAX * plain) {
  console.error(`cache: get takes more than ${GET_RATIO_MAX}x of what a plain LRU takes`);
  status = 1;
}
process.exit(status);
