// Memory of quiet channels: how much the server's RSS grows by 100,000 channels that hold one record each.
//
//   ./dev bench channels [--channels 100000] [--payload-bytes 300] [--limit-mib 100] [--connections 4]
//                        [--port 8790] [--server build/release/ringfence-server]
//
// Status 1 when a publish was refused, a channel does not hold its record, or RSS grew by more than the
// limit; 2 when something needed is missing.
import WebSocket from 'ws';
import * as bench from './processes.mjs';

const options = bench.parseOptions({
  channels: 100_000,
  payload_bytes: 300,
  limit_mib: 100,
  connections: 4,
  port: 8790,
  server: `${bench.RELEASE_DIR}/ringfence-server`,
});
const WARM_UP_CHANNELS = 100; // makes threads, buffers and code pages appear before the baseline
const IN_FLIGHT_MAX = 256; // publishes without an answer, each connection
const CHECKED = 1000; // channels read back

bench.need(options.server, './dev build');

/** One connection; ask() resolves with the answer that carries its id. */
class Client {
  #answers = new Map();
  #id = 0;

  static async open(url) {
    const client = new Client();
    client.socket = new WebSocket(url, 'ringfence.v1.json', { perMessageDeflate: false });
    client.socket.on('message', (text) => {
      const message = JSON.parse(text);
      client.#answers.get(message.id)?.(message);
      client.#answers.delete(message.id);
    });
    await new Promise((resolve, reject) => client.socket.on('open', resolve).on('error', reject));
    client.socket.on('close', (code) => {
      for (const answer of client.#answers.values()) answer({ op: 'error', code: `closed with ${code}` });
    });
    return client;
  }

  ask(request) {
    const id = ++this.#id;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.socket.send(JSON.stringify({ ...request, id }));
    });
  }
}

const data = { text: '' };
data.text = 'x'.repeat(options.payload_bytes - JSON.stringify(data).length);

/** Publishes once to each channel, with a bounded number in flight; returns the refusals. */
async function publish(clients, name, count) {
  const refusals = [];
  let next = 0;
  const worker = async (client) => {
    while (next < count) {
      const answer = await client.ask({ op: 'publish', channel: name(next++), type: 'chat_message', data });
      if (answer.op !== 'ok') refusals.push(answer);
    }
  };
  await Promise.all(clients.flatMap((client) => Array.from({ length: IN_FLIGHT_MAX }, () => worker(client))));
  return refusals;
}

const channel = (i) => `room:${i}`;
// The budget is for the worst case of all limits, so it has to rise with --channels.
const server = bench.startPinned(bench.twoCores().server, options.server, [
  '--port',
  String(options.port),
  '--threads',
  '1',
  '--channels',
  String(options.channels + WARM_UP_CHANNELS),
  '--memory-budget',
  '2GiB',
  '--inbound-messages', // the publishers have no API key
  '1000000',
]);
server.stdout.resume();
const failures = [];
try {
  await bench.waitForPort(options.port, server);
  const url = `ws://127.0.0.1:${options.port}/v1/ws`;
  const clients = await Promise.all(Array.from({ length: options.connections }, () => Client.open(url)));
  // Many times over, so that a publish has been paid for but for what its channel keeps.
  for (let i = 0; i < 20; ++i) await publish(clients, (channel) => `warm:${channel}`, WARM_UP_CHANNELS);
  await bench.sleep(500);
  const before = bench.rssBytes([server.pid]);

  const started = performance.now();
  const refusals = await publish(clients, channel, options.channels);
  const seconds = (performance.now() - started) / 1000;
  if (refusals.length)
    failures.push(`${refusals.length} publishes refused, the first with ${JSON.stringify(refusals[0])}`);
  await bench.sleep(500);
  const after = bench.rssBytes([server.pid]);

  for (let i = 0; i < CHECKED; ++i) {
    const name = channel(Math.floor((i * options.channels) / CHECKED));
    const answer = await clients[i % clients.length].ask({ op: 'history', channel: name });
    if (answer.events?.length === 1 && answer.events[0].data.text === data.text) continue;
    failures.push(`${name} does not hold its record: ${JSON.stringify(answer).slice(0, 200)}`);
    break;
  }
  for (const { socket } of clients) socket.terminate();

  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  const grown = after - before;
  console.log(
    `${options.channels} channels, each with one record of ${options.payload_bytes} B, published in ${seconds.toFixed(1)} s`,
  );
  console.log(
    `RSS ${mib(before)} MiB -> ${mib(after)} MiB: +${mib(grown)} MiB, ${(grown / options.channels).toFixed(0)} B a channel ` +
      `(limit ${options.limit_mib} MiB)`,
  );
  if (grown > options.limit_mib * 2 ** 20) failures.push(`RSS grew by more than ${options.limit_mib} MiB`);
} catch (error) {
  failures.push(`${error.message} ${server.errors}`);
} finally {
  await bench.end(server);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (!failures.length) console.log('ok');
process.exit(failures.length ? 1 : 0);
