// Publishing faster than a real server allows: nothing is lost, nothing comes twice.
import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';

import { connect } from '../src/index.js';
import type { SocketConstructor } from '../src/types.js';
import { makeStore } from './support.js';

const root = resolve(import.meta.dirname, '../..');
const binary = process.env['RINGFENCE_SERVER_BINARY'] ?? resolve(root, 'build/release/ringfence-server');
const LIMITS = ['--inbound-messages', '20', '--inbound-window-s', '1'];

let server: ChildProcess;
let url: string;

beforeAll(async () => {
  server = spawn(binary, ['--port', '0', '--log-level', 'off', ...LIMITS], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: server.stdout! })) {
    url = `${line.replace('http', 'ws')}/v1/ws`;
    break;
  }
}, 30_000);

afterAll(async () => {
  const ended = new Promise((done) => server.once('exit', done));
  server.kill('SIGTERM');
  await ended;
});

it('waits as long as the server asks, loses nothing and sends nothing twice', { timeout: 60_000 }, async () => {
  const store = makeStore();
  const client = connect(url, { store, offlineMax: 60, WebSocket: WebSocket as unknown as SocketConstructor });
  const room = store.history<number>('room');
  const subscription = client.subscribe('rates', room, { last: 1000 });
  const sent = Array.from({ length: 60 }, (_, n) => client.publish('rates', 'n', n));
  const taken = await Promise.all(sent);
  await vi.waitFor(() => expect(room.size).toBe(60), { timeout: 20_000 });
  const values = room
    .window({ last: 100 })
    .getSnapshot()
    .items.map(({ data }) => data);
  expect([...values].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, n) => n));
  expect(new Set(taken.map(({ seq }) => seq)).size).toBe(60);
  expect(client.stats().delayedPublishes).toBeGreaterThan(0);
  expect(client.stats()).toMatchObject({ refusedPublishes: 0, waitingPublishes: 0, connects: 1 });
  subscription.end();
  client.end();
  store.end();
});
