// What does the leak monitor cost? A look at a server with 10,000 connections and 10,000 channels, and its share of the
// CPU while a server fans out as much as one core gives, with a look each second (the default is one in 30).
//
//   ./dev bench monitor [--connections 10000] [--channels 10000] [--seconds 15] [--rate 3000] [--look-limit-us 1000]
//                       [--share-limit-percent 1] [--port 8794] [--server …] [--load build/release/fanout_load]
//
// CPU time is that of the monitor's thread, as it tells itself in /v1/monitoring/memory.
// Status 1 when the median look takes --look-limit-us or more of CPU, or the share is --share-limit-percent or more.
import { createInterface } from 'node:readline';
import * as bench from './processes.mjs';
import { fillChannels, get, openConnections, startServer } from './crowd.mjs';

const options = bench.parseOptions({
  connections: 10_000,
  channels: 10_000,
  seconds: 15,
  rate: 3_000,
  look_limit_us: 1_000,
  share_limit_percent: 1,
  port: 8794,
  server: `${bench.RELEASE_DIR}/ringfence-server`,
  load: `${bench.RELEASE_DIR}/fanout_load`,
});
bench.need(options.load, './dev build');
const failures = [];
const monitor = async (port) => JSON.parse(await get(port, '/v1/monitoring/memory')).monitor;

async function looks() {
  const server = startServer(options, ['--monitor-sample-s', '1']);
  try {
    await bench.waitForPort(options.port, server);
    await fillChannels(options.port, options.channels);
    const sockets = await openConnections(options.port, options.connections, options.channels);
    const seen = new Map();
    for (const until = Date.now() + options.seconds * 1000; Date.now() < until; await bench.sleep(100)) {
      const { looks, cpu_us_last } = await monitor(options.port);
      seen.set(looks, cpu_us_last);
    }
    for (const socket of sockets) socket.destroy();
    const took = [...seen.values()];
    const middle = bench.median(took);
    console.log(
      `a look at ${options.connections} connections and ${options.channels} channels: median ${middle} us of CPU, ` +
        `most ${Math.max(...took)} us, ${took.length} looks (limit ${options.look_limit_us} us)`,
    );
    if (!(middle < options.look_limit_us)) failures.push(`a look takes ${middle} us`);
  } finally {
    await bench.end(server);
  }
}

async function share() {
  const server = startServer({ ...options, port: options.port + 1 }, [
    '--monitor-sample-s',
    '1',
    '--inbound-messages',
    '1000000',
    '--inbound-window-s',
    '1',
  ]);
  let load;
  try {
    await bench.waitForPort(options.port + 1, server);
    load = bench.startPinned(
      bench.twoCores().load,
      options.load,
      ['--peer', 'ringfence', '--port', options.port + 1, '--subscribers', 1000, '--message-bytes', 300].map(String),
    );
    const lines = createInterface({ input: load.stdout })[Symbol.asyncIterator]();
    await lines.next(); // it is ready
    load.stdin.write(`rate ${options.rate}\n`);
    await bench.sleep(1500);
    const before = await monitor(options.port + 1);
    const cpu = bench.cpuSeconds([server.pid]);
    await bench.sleep(options.seconds * 1000);
    const after = await monitor(options.port + 1);
    const used = bench.cpuSeconds([server.pid]) - cpu;
    const own = (after.cpu_us_total - before.cpu_us_total) / 1e6;
    const percent = (100 * own) / used;
    console.log(
      `full fan-out, ${options.rate} messages/s to 1,000: the server used ${((100 * used) / options.seconds).toFixed(0)} % of ` +
        `a core, ${after.looks - before.looks} looks ${percent.toFixed(3)} % of that (limit ${options.share_limit_percent} %)`,
    );
    if (after.looks === before.looks) failures.push('the monitor did not look');
    if (!(percent < options.share_limit_percent)) failures.push(`the monitor took ${percent.toFixed(2)} % of the CPU`);
    load.stdin.write('quit\n');
    await load.ended;
  } finally {
    load?.kill('SIGKILL');
    await bench.end(server);
  }
}

try {
  await looks();
  await share();
} catch (error) {
  failures.push(error.message);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (!failures.length) console.log('ok');
process.exit(failures.length ? 1 : 0);
