// Two servers and a broker beside one server alone: what is delivered when all is busy, how much later it comes, and how
// long 1,000 clients of a server that is killed take to be complete again at the other. What it measures: README.md.
//
//   ./dev bench cluster [--rate 20000] [--latency-rate 1000] [--seconds 5] [--rounds 3] [--subscribers 1000]
//                       [--message-bytes 300] [--resume-clients 1000] [--port-base 8800]
//                       [--server build/release/ringfence-server] [--load build/release/fanout_load]
//
// Status 1 when core mode delivers less than 0.7 of what one server does, JetStream less than 0.4, the 99th percentile
// comes 5 ms later or more, or a resume is not complete within 5 s; 2 when something needed is missing.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import WebSocket from 'ws';
import * as bench from './processes.mjs';

const options = bench.parseOptions({
  rate: 20000,
  latency_rate: 1000,
  seconds: 5,
  rounds: 3,
  subscribers: 1000,
  message_bytes: 300,
  resume_clients: 1000,
  port_base: 8800,
  server: `${bench.RELEASE_DIR}/ringfence-server`,
  load: `${bench.RELEASE_DIR}/fanout_load`,
});
const LEAST = { core: 0.7, jetstream: 0.4 };
const LATER_MS_MAX = 5;
const RESUME_S_MAX = 5;
const WARM_UP_MS = 1500;

const cores = bench.twoCores();
bench.need(options.load, './dev build');
bench.need(options.server, './dev build');
try {
  execFileSync('nats-server', ['-v']);
} catch {
  bench.stop('nats-server is missing: apt-get install nats-server');
}
const temporary = mkdtempSync(join(tmpdir(), 'ringfence-cluster-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

let port = options.port_base;
const nextPort = () => (port = port + 1 < options.port_base + 190 ? port + 1 : options.port_base);

/** The servers of a mode, all on one core, with their broker if there is one. */
async function startAll(mode) {
  const processes = [];
  const broker = [];
  if (mode !== 'embedded') {
    const at = nextPort();
    const store = mkdtempSync(join(temporary, 'nats-'));
    const child = bench.startPinned(cores.server, 'nats-server', [
      '-a',
      '127.0.0.1',
      '-p',
      String(at),
      '-js',
      '-sd',
      store,
    ]);
    child.stdout.resume();
    processes.push(child);
    await bench.waitForPort(at, child);
    broker.push('--nats', `nats://127.0.0.1:${at}`, '--nats-mode', mode);
  }
  const ports = [];
  for (let i = 0; i < (mode === 'embedded' ? 1 : 2); ++i) {
    const at = nextPort();
    const child = bench.startPinned(cores.server, options.server, [
      ...['--port', String(at), '--threads', '1', '--log-level', 'warn'],
      ...['--history-records', '10000', '--history-bytes', '8MiB'],
      ...['--inbound-messages', '1000000', '--inbound-window-s', '1'], // the publisher has no API key
      ...broker,
    ]);
    child.stdout.resume();
    processes.push(child);
    await bench.waitForPort(at, child);
    ports.push(at);
  }
  return { ports, processes, end: async () => void (await Promise.all(processes.reverse().map(bench.end))) };
}

async function measure(mode, rate) {
  const all = await startAll(mode);
  const args = ['--peer', 'ringfence', '--port', all.ports[0]];
  if (all.ports[1]) args.push('--also', all.ports[1]);
  args.push('--subscribers', options.subscribers, '--message-bytes', options.message_bytes);
  const load = bench.startPinned(cores.load, options.load, args.map(String));
  const waiting = [];
  createInterface({ input: load.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
  load.stdin.on('error', () => {});
  const answer = () =>
    new Promise((resolve, reject) => {
      waiting.push(resolve);
      load.ended.then(() => reject(new Error(`${mode}: ${load.errors}`)));
    });
  const stats = () => {
    const told = answer();
    load.stdin.write('stats\n');
    return told;
  };
  try {
    await answer(); // ready
    load.stdin.write(`rate ${rate}\n`);
    await bench.sleep(WARM_UP_MS);
    load.stdin.write('mark\n');
    const before = await stats();
    await bench.sleep(options.seconds * 1000);
    const after = await stats();
    load.stdin.write('rate 0\n');
    const seconds = (after.at_us - before.at_us) / 1e6;
    return {
      perSecond: (after.delivered - before.delivered) / seconds,
      p50: after.latency_p50_us / 1000,
      p99: after.latency_p99_us / 1000,
      otherP50: (after.also_latency_p50_us ?? after.latency_p50_us) / 1000,
      otherP99: (after.also_latency_p99_us ?? after.latency_p99_us) / 1000,
      trouble: after.wrong + after.refused + after.closed + after.broken,
    };
  } finally {
    load.kill('SIGKILL');
    await all.end();
  }
}

// --- Resume

class Client {
  seqs = [];
  prev = 0;
  holes = 0;

  open(at) {
    return new Promise((resolve, reject) => {
      this.socket = new WebSocket(`ws://127.0.0.1:${at}/v1/ws`, 'ringfence.v1.json', { perMessageDeflate: false });
      this.socket.on('error', reject);
      this.socket.on('open', () => {
        const after = this.epoch ? { epoch: this.epoch, seq: this.prev } : undefined;
        this.socket.send(JSON.stringify({ op: 'subscribe', channel: 'bench', after }));
      });
      this.socket.on('message', (data) => {
        for (const line of data.toString().split('\n')) {
          const message = JSON.parse(line);
          if (message.op === 'subscribed') {
            if (this.epoch && !message.recovered) ++this.holes;
            this.epoch = message.epoch;
            this.prev = message.after;
            resolve();
          } else if (message.op === 'event') {
            if ((message.prev ?? message.seq - 1) !== this.prev) ++this.holes;
            this.prev = message.seq;
          } else if (message.op === 'gap') ++this.holes;
        }
      });
    });
  }
}

async function openAll(clients, at) {
  for (let i = 0; i < clients.length; i += 50)
    await Promise.all(clients.slice(i, i + 50).map((client) => client.open(at)));
}

async function measureResume() {
  const all = await startAll('jetstream');
  const clients = Array.from({ length: options.resume_clients }, () => new Client());
  try {
    await openAll(clients, all.ports[0]);
    const publisher = new WebSocket(`ws://127.0.0.1:${all.ports[1]}/v1/ws`, 'ringfence.v1.json');
    await new Promise((resolve) => publisher.on('open', resolve));
    let last = 0;
    let failed = 0;
    publisher.on('message', (data) => {
      const message = JSON.parse(data);
      if (message.op === 'ok') last = message.seq;
      if (message.op === 'error') ++failed;
    });
    let id = 0;
    const timer = setInterval(
      () => publisher.send(JSON.stringify({ op: 'publish', id: ++id, channel: 'bench', data: { n: id } })),
      20,
    );
    await bench.sleep(1000);
    for (const client of clients) client.socket.on('close', () => {}).on('error', () => {});
    const [first] = bench.tree(all.processes[1].pid).slice(-1);
    process.kill(first, 'SIGKILL');
    await all.processes[1].ended;
    const began = performance.now();
    await openAll(clients, all.ports[1]);
    const goal = last;
    while (clients.some((client) => client.prev < goal)) {
      if (performance.now() - began > 60_000) break;
      await bench.sleep(5);
    }
    const seconds = (performance.now() - began) / 1000;
    clearInterval(timer);
    return { seconds, incomplete: clients.filter((client) => client.holes > 0 || client.prev < goal).length, failed };
  } finally {
    for (const client of clients) client.socket?.terminate();
    await all.end();
  }
}

// --- The run

const modes = ['embedded', 'core', 'jetstream'];
const found = new Map(modes.map((mode) => [mode, { busy: [], paced: [] }]));
for (let round = 0; round < options.rounds; ++round) {
  for (let i = 0; i < modes.length; ++i) {
    const mode = modes[(i + round) % modes.length];
    const busy = await measure(mode, options.rate);
    const paced = await measure(mode, options.latency_rate);
    found.get(mode).busy.push(busy);
    found.get(mode).paced.push(paced);
    console.error(
      `round ${round + 1}/${options.rounds} ${mode}: ${Math.round(busy.perSecond)} delivered/s, ` +
        `p99 ${paced.p99.toFixed(2)} and ${paced.otherP99.toFixed(2)} ms at ${options.latency_rate}/s`,
    );
  }
}
const resume = await measureResume();

const middle = (mode, part, key) => bench.median(found.get(mode)[part].map((one) => one[key]));
const failures = [];
console.log(
  `\none publisher, ${options.subscribers} subscribers (a cluster: ${options.subscribers / 2} at each of 2 servers), ` +
    `${options.message_bytes} B, ${options.rounds} rounds of ${options.seconds} s; servers and broker on core ` +
    `${cores.server}, load on core ${cores.load}; medians`,
);
for (const mode of modes) {
  const share = middle(mode, 'busy', 'perSecond') / middle('embedded', 'busy', 'perSecond');
  const alone = middle('embedded', 'paced', 'p99');
  const later = Math.max(middle(mode, 'paced', 'p99'), middle(mode, 'paced', 'otherP99')) - alone;
  const at = (p50, p99) =>
    `p50 ${middle(mode, 'paced', p50).toFixed(2)} ms, p99 ${middle(mode, 'paced', p99).toFixed(2)} ms`;
  console.log(
    `${mode.padEnd(9)}  ${Math.round(middle(mode, 'busy', 'perSecond'))} delivered/s (x ${share.toFixed(2)}) at ` +
      `${options.rate}/s; at ${options.latency_rate}/s ${at('p50', 'p99')}` +
      (mode === 'embedded'
        ? ''
        : `, at the other server ${at('otherP50', 'otherP99')}; the later one ${later >= 0 ? '+' : ''}${later.toFixed(2)} ms`),
  );
  for (const one of [...found.get(mode).busy, ...found.get(mode).paced])
    if (one.trouble) failures.push(`${mode}: ${one.trouble} frames wrong, refused or connections lost`);
  if (mode === 'embedded') continue;
  if (share < LEAST[mode]) failures.push(`${mode}: delivers ${share.toFixed(2)} of one server's, not ${LEAST[mode]}`);
  if (later >= LATER_MS_MAX) failures.push(`${mode}: the 99th percentile comes ${later.toFixed(2)} ms later`);
}
console.log(
  `resume     ${options.resume_clients} clients of a killed server complete at the other after ` +
    `${resume.seconds.toFixed(2)} s; ${resume.incomplete} not complete`,
);
if (resume.incomplete) failures.push(`resume: ${resume.incomplete} clients not complete`);
if (resume.seconds > RESUME_S_MAX) failures.push(`resume: took ${resume.seconds.toFixed(2)} s`);
for (const failure of failures) console.log(`FAILED ${failure}`);
if (!failures.length) console.log('ok');
process.exit(failures.length ? 1 : 0);
