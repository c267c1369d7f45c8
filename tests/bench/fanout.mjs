// Fan-out of one channel to many subscribers: CPU time of the server for each delivered message, beside
// the servers a user would pick instead. What it measures, and what not: README.md beside this file.
//
//   ./dev bench fanout [--rates 50,1000,3000] [--seconds 5] [--rounds 3] [--subscribers 1000]
//                      [--message-bytes 300] [--servers ringfence,ws,nats,nchan] [--port-base 8700]
//                      [--server build/release/ringfence-server] [--load build/release/fanout_load]
//
// Status 1 when Ringfence lost, refused or delayed anything, or took no less CPU time for a delivered
// message than each peer at the highest rate; 2 when something needed is missing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as bench from './processes.mjs';
import { servers as serverTable } from './fanout_servers.mjs';

const options = bench.parseOptions({
  rates: '50,1000,3000',
  seconds: 5,
  rounds: 3,
  subscribers: 1000,
  message_bytes: 300,
  servers: 'ringfence,ws,nats,nchan',
  port_base: 8700,
  server: `${bench.RELEASE_DIR}/ringfence-server`,
  load: `${bench.RELEASE_DIR}/fanout_load`,
});
const WARM_UP_MS = 1500;
const DRAIN_MS_MAX = 10_000;
const KEEPS_UP = 0.95; // of what was due in the window, whose edges latency blurs; below it the server is saturated

const rates = options.rates.split(',').map(Number);
const cores = bench.twoCores();
bench.need(options.load, './dev build');
const wanted = options.servers.split(',');
const servers = serverTable(options.server).filter(({ name }) => wanted.includes(name));
for (const server of servers) {
  server.installed = server.version();
  if (!server.installed) bench.stop(`${server.name} is missing: ${server.install}`);
}

class Load {
  #waiting = [];

  constructor(peer, port) {
    const args = [
      '--peer',
      peer,
      '--port',
      port,
      '--subscribers',
      options.subscribers,
      '--message-bytes',
      options.message_bytes,
    ];
    this.process = bench.startPinned(cores.load, options.load, args.map(String));
    createInterface({ input: this.process.stdout }).on('line', (line) =>
      this.#waiting.shift()?.resolve(JSON.parse(line)),
    );
    this.process.ended.then(() => {
      for (const { reject } of this.#waiting) reject(new Error(`${peer}: ${this.process.errors}`));
    });
    this.process.stdin.on('error', () => {}); // told by the exit status
  }

  answer() {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  say(line) {
    this.process.stdin.write(`${line}\n`);
  }

  stats() {
    const answer = this.answer();
    this.say('stats');
    return answer;
  }
}

const temporary = mkdtempSync(join(tmpdir(), 'ringfence-bench-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

let port = options.port_base;
function nextPort() {
  port = port + 2 < options.port_base + 98 ? port + 2 : options.port_base;
  return port;
}

/** Starts the server anew, warms it up, measures one window, lets it drain. */
async function measure(server, rate) {
  const folder = mkdtempSync(join(temporary, 'server-'));
  const port = nextPort();
  const child = bench.startPinned(cores.server, ...server.command(port, folder));
  child.stdout.resume();
  let load;
  try {
    await bench.waitForPort(port, child);
    load = new Load(server.name, port);
    await load.answer();
    const pids = bench.tree(child.pid);
    load.say(`rate ${rate}`);
    await bench.sleep(WARM_UP_MS);
    load.say('mark');
    const before = await load.stats();
    const cpuBefore = bench.cpuSeconds(pids);
    const loadCpuBefore = bench.cpuSeconds([load.process.pid]);
    await bench.sleep(options.seconds * 1000);
    const after = await load.stats();
    const cpu = bench.cpuSeconds(pids) - cpuBefore;
    const loadCpu = bench.cpuSeconds([load.process.pid]) - loadCpuBefore;
    const rss = bench.rssBytes(pids);
    load.say('rate 0');

    let last = await load.stats();
    for (const deadline = Date.now() + DRAIN_MS_MAX; Date.now() < deadline; last = await load.stats()) {
      if (last.delivered >= last.published * options.subscribers) break;
      await bench.sleep(100);
    }
    load.say('quit');
    await load.process.ended;
    const seconds = (after.at_us - before.at_us) / 1e6;
    const delivered = after.delivered - before.delivered;
    return {
      cpuUs: (cpu / delivered) * 1e6,
      deliveredPerSecond: delivered / seconds,
      share: delivered / (rate * seconds * options.subscribers),
      perFrame: delivered / (after.frames - before.frames),
      serverCpu: cpu / seconds,
      loadCpu: loadCpu / seconds,
      latencyMs: after.latency_p50_us / 1000,
      rss,
      lost: last.published * options.subscribers - last.delivered,
      trouble: last.skipped + last.wrong + last.refused + last.closed + last.broken,
      last,
    };
  } finally {
    load?.process.kill('SIGKILL');
    await bench.end(child);
  }
}

const results = new Map(servers.map((server) => [server, new Map(rates.map((rate) => [rate, []]))]));
for (let round = 0; round < options.rounds; ++round) {
  for (const rate of rates) {
    // Another one first in each round: what drifts on the machine meets them all.
    const order = servers.map((_, i) => servers[(i + round) % servers.length]);
    for (const server of order) {
      const result = await measure(server, rate).catch((error) => bench.stop(`${server.name}: ${error.message}`, 1));
      results.get(server).get(rate).push(result);
      console.error(
        `round ${round + 1}/${options.rounds} ${rate}/s ${server.name}: ${result.cpuUs.toFixed(3)} us, ` +
          `${(result.share * 100).toFixed(1)} % of what was due, ${result.lost} not delivered`,
      );
    }
  }
}

const failures = [];
const middle = (server, rate, key) =>
  bench.median(
    results
      .get(server)
      .get(rate)
      .map((result) => result[key]),
  );
const ringfence = servers.find(({ name }) => name === 'ringfence');

console.log(
  `\n${options.subscribers} subscribers, ${options.message_bytes} B messages, ${options.rounds} rounds of ` +
    `${options.seconds} s; server on core ${cores.server}, load on core ${cores.load}; medians`,
);
console.log(servers.map(({ name, installed }) => `${name} ${installed}`).join(', '));
const header = [
  'msg/s',
  'server',
  'CPU us/delivered',
  'x ringfence',
  'delivered/s',
  'of due',
  'not delivered',
  'msg/frame',
  'server CPU',
  'load CPU',
  'p50 ms',
  'RSS MiB',
];
const rows = [header, header.map((title) => '-'.repeat(title.length))];
for (const rate of rates) {
  for (const server of servers) {
    const of = (key) => middle(server, rate, key);
    const lost = Math.max(
      ...results
        .get(server)
        .get(rate)
        .map((result) => result.lost),
    );
    const ratio = ringfence ? (of('cpuUs') / middle(ringfence, rate, 'cpuUs')).toFixed(2) : '-';
    rows.push(
      [
        rate,
        server.name,
        of('cpuUs').toFixed(3),
        ratio,
        Math.round(of('deliveredPerSecond')),
        `${(of('share') * 100).toFixed(1)} %${of('share') < KEEPS_UP ? ' behind' : ''}`,
        lost,
        of('perFrame').toFixed(1),
        `${(of('serverCpu') * 100).toFixed(0)} %`,
        `${(of('loadCpu') * 100).toFixed(0)} %`,
        of('latencyMs').toFixed(1),
        (of('rss') / 2 ** 20).toFixed(1),
      ].map(String),
    );
  }
}
const widths = header.map((_, column) => Math.max(...rows.map((row) => String(row[column]).length)));
for (const row of rows) console.log(`| ${row.map((cell, i) => String(cell).padStart(widths[i])).join(' | ')} |`);
console.log(
  '"behind": the server was saturated; its CPU figure is for what it did deliver in the window, and ' +
    '"not delivered" is what was still missing 10 s after the last message was sent.',
);

if (ringfence) {
  for (const rate of rates) {
    for (const { lost, trouble, last } of results.get(ringfence).get(rate))
      if (lost || trouble) failures.push(`${rate}/s: ${lost} not delivered: ${JSON.stringify(last)}`);
    if (middle(ringfence, rate, 'share') < KEEPS_UP)
      failures.push(`${rate}/s: fell behind: ${(middle(ringfence, rate, 'share') * 100).toFixed(1)} % of what was due`);
  }
  const top = Math.max(...rates);
  for (const peer of servers)
    if (peer !== ringfence && middle(peer, top, 'cpuUs') <= middle(ringfence, top, 'cpuUs'))
      failures.push(`${top}/s: ${peer.name} takes no more CPU time for a delivered message`);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (ringfence && !failures.length)
  console.log(`ok: nothing lost${servers.length > 1 ? ', less CPU for each delivered message than every peer' : ''}`);
process.exit(failures.length ? 1 : 0);
