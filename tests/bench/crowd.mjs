// A server with many connections and many channels, for the benches that look at it from outside.
import { connect } from 'node:net';
import * as bench from './processes.mjs';

const AT_ONCE = 64; // handshakes under way; above it the listener's backlog would decide
const EVENTS_A_REQUEST = 1000;

export function startServer(options, more = []) {
  bench.need(options.server, './dev build');
  const server = bench.startPinned(bench.twoCores().server, options.server, [
    '--port',
    String(options.port),
    '--threads',
    '1',
    '--log-level',
    'warn',
    '--connections',
    String(options.connections + 100),
    '--channels',
    String(options.channels + 100),
    '--memory-budget',
    '2GiB',
    ...more,
  ]);
  server.stdout.resume();
  return server;
}

export const get = async (port, path) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text.slice(0, 200)}`);
  return text;
};

/** WebSockets that are subscribed to a channel each and only listen. Raw: 10,000 of a library's would be the load. */
export async function openConnections(port, count, channels) {
  const sockets = [];
  const open = (i) =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('data', (bytes) => {
        if (!bytes.toString('latin1').startsWith('HTTP/1.1 101')) return reject(new Error(bytes.toString('latin1')));
        socket.resume();
        sockets.push(socket);
        resolve();
      });
      socket.write(
        `GET /v1/ws?channels=crowd:${i % channels} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\n` +
          `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n` +
          `Sec-WebSocket-Protocol: ringfence.v1\r\n\r\n`,
      );
    });
  let next = 0;
  const worker = async () => {
    while (next < count) await open(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return sockets;
}

/** One record on each of so many channels. */
export async function fillChannels(port, channels) {
  for (let first = 0; first < channels; first += EVENTS_A_REQUEST) {
    const events = Array.from({ length: Math.min(EVENTS_A_REQUEST, channels - first) }, (_, i) => ({
      channel: `crowd:${first + i}`,
      data: i,
    }));
    const answer = await fetch(`http://127.0.0.1:${port}/v1/publish`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(events),
    });
    const told = await answer.json();
    if (told.published !== events.length) throw new Error(`publishing: ${JSON.stringify(told).slice(0, 200)}`);
  }
}
