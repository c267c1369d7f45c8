// What does a scrape of /metrics cost while the server has 10,000 connections and 10,000 channels?
//
//   ./dev bench scrape [--connections 10000] [--channels 10000] [--scrapes 100] [--limit-ms 50] [--port 8792]
//                      [--server build/release/ringfence-server]
//
// Status 1 when the slowest but one of the scrapes takes --limit-ms or more, or the page does not tell of the crowd.
import * as bench from './processes.mjs';
import { fillChannels, get, openConnections, startServer } from './crowd.mjs';

const options = bench.parseOptions({
  connections: 10_000,
  channels: 10_000,
  scrapes: 100,
  limit_ms: 50,
  port: 8792,
  server: `${bench.RELEASE_DIR}/ringfence-server`,
});
const server = startServer(options);
const failures = [];
try {
  await bench.waitForPort(options.port, server);
  await fillChannels(options.port, options.channels);
  const sockets = await openConnections(options.port, options.connections, options.channels);
  const took = [];
  let page = '';
  for (let i = 0; i < options.scrapes; ++i) {
    const began = performance.now();
    page = await get(options.port, '/metrics');
    took.push(performance.now() - began);
  }
  const told = (name) => Number(page.match(new RegExp(`^${name} (\\S+)`, 'm'))?.[1]);
  if (told('ringfence_connections') !== options.connections || told('ringfence_channels') !== options.channels)
    failures.push(
      `/metrics tells of ${told('ringfence_connections')} connections, ${told('ringfence_channels')} channels`,
    );
  took.sort((a, b) => a - b);
  const slowest = took[Math.max(0, took.length - 2)];
  console.log(
    `/metrics with ${options.connections} connections and ${options.channels} channels, ${page.split('\n').length} lines: ` +
      `median ${bench.median(took).toFixed(2)} ms, slowest but one of ${took.length} ${slowest.toFixed(2)} ms ` +
      `(limit ${options.limit_ms} ms)`,
  );
  if (slowest >= options.limit_ms) failures.push(`a scrape took ${slowest.toFixed(1)} ms`);
  for (const socket of sockets) socket.destroy();
} catch (error) {
  failures.push(`${error.message} ${server.errors}`);
} finally {
  await bench.end(server);
}
for (const failure of failures) console.log(`FAILED ${failure}`);
if (!failures.length) console.log('ok');
process.exit(failures.length ? 1 : 0);
