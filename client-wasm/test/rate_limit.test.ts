// Publishing faster than a real server allows: nothing is lost, nothing comes twice.
import { afterAll, beforeAll, expect, it } from 'vitest';

import { connect } from '../src/index.js';
import { NodeSocket, ServerProcess, until } from './server_process.js';
import { makeStore } from './support.js';

const LIMITS = ['--inbound-messages', '20', '--inbound-window-s', '1'];

let server: ServerProcess;

beforeAll(async () => {
  server = await ServerProcess.start(LIMITS);
});
afterAll(() => server?.down());

it('waits as long as the server asks, loses nothing and sends nothing twice', { timeout: 60_000 }, async () => {
  const store = makeStore();
  const client = connect(server.socketUrl, { store, offlineMax: 60, WebSocket: NodeSocket });
  const room = store.history<number>('room');
  const subscription = client.subscribe('rates', room, { last: 1000 });
  const sent = Array.from({ length: 60 }, (_, n) => client.publish('rates', 'n', n));
  const taken = await Promise.all(sent);
  await until(() => expect(room.size).toBe(60));
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

it('subscribes to more channels than the server takes at once, each in the end', { timeout: 60_000 }, async () => {
  const store = makeStore({ budget: '8 MiB' });
  const client = connect(server.socketUrl, { store, WebSocket: NodeSocket });
  const errors: Error[] = [];
  client.onError((error) => errors.push(error));
  const names = Array.from({ length: 35 }, (_, n) => `many:${n}`);
  const subscriptions = names.map((name) => client.subscribe(name, store.history(name, { bytes: 4096 })));
  await until(() => expect(subscriptions.filter(({ state }) => state === 'active')).toHaveLength(35));
  expect(client.stats().delayedSubscribes).toBeGreaterThan(0);
  expect([client.stats().connects, errors]).toEqual([1, []]);
  store.end();
});
