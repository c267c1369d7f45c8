// Every answer of the HTTP API against its schema in docs/schemas, on a running server.

import { readFileSync, readdirSync } from 'node:fs';

import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';

import { Broker } from './support/broker.ts';
import { TestServer, kRoot } from './support/server.ts';

const kFolder = `${kRoot}docs/schemas/`;
const names = readdirSync(kFolder).map((file) => file.replace('.json', ''));
const seen = new Set<string>();

const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
ajv.addFormat('date-time', /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/);
for (const name of names) ajv.addSchema(JSON.parse(readFileSync(`${kFolder}${name}.json`, 'utf8')) as object);

let server: TestServer;
const open: WebSocket[] = [];

async function check(
  schema: string,
  path: string,
  body?: unknown,
  of: TestServer = server,
): Promise<{ status: number; answer: any }> {
  const response = await fetch(
    of.url + path.slice(1),
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) },
  );
  const answer: unknown = await response.json();
  const validate = ajv.getSchema(`ringfence:${schema}`);
  if (!validate) throw new Error(`no schema ${schema}`);
  validate(answer);
  expect({ path, errors: validate.errors ?? [], answer: validate.errors ? answer : null }).toEqual({
    path,
    errors: [],
    answer: null,
  });
  seen.add(schema);
  return { status: response.status, answer };
}

async function connect(query: string): Promise<void> {
  const socket = new WebSocket(`${server.socketUrl}${query}`, 'ringfence.v1.json');
  open.push(socket);
  await new Promise<void>((resolve, reject) => {
    socket.on('message', (data) => {
      if (String(data).includes('"subscribed"')) resolve();
    });
    socket.on('error', reject);
  });
}

beforeAll(async () => {
  // A threshold that is passed at once, so that there is an alert to be seen.
  server = await TestServer.start({
    args: ['--monitor-sample-s', '1', '--connections', '6', '--alert-share', '30', '--channels', '50'],
  });
  await connect('?channels=room:1&user=ann&session=s1');
  await connect('?channels=room:1,room:2');
});

afterAll(async () => {
  for (const socket of open) socket.terminate();
  await server.down();
});

test('answers to back ends', async () => {
  await check('publish', '/v1/publish', { channel: 'room:1', type: 'chat', data: { n: 1 } });
  const many = await check('publish-many', '/v1/publish', [
    { channel: 'room:1', data: 1 },
    { channel: 'no good', data: 1 },
  ]);
  expect(many.answer.results).toHaveLength(2);
  await check('broadcast', '/v1/broadcast', { pattern: 'room:*', data: true });
  const history = await check('history', '/v1/history?channel=room:1');
  expect(history.answer.events).toHaveLength(3);
  await check('history', '/v1/history?channel=room:1&epoch=another');
  await check('channels', '/v1/channels');
  const page = await check('channels', '/v1/channels?limit=1');
  expect(page.answer.more).toBe(true);
  open[0]?.send('{"op":"join","id":1,"channel":"room:1","data":{"mood":"good"}}');
  await vi.waitFor(
    async () => {
      const { answer } = await check('presence', '/v1/presence?channel=room:1');
      expect(answer.members).toHaveLength(1);
    },
    { timeout: 20_000, interval: 20 },
  );
  await check('info', '/v1/info');
  await check('connections-stats', '/v1/connections/stats');
  const user = await check('connections-user', '/v1/connections/ann');
  expect(user.answer.connections).toHaveLength(1);
  await check('disconnect', '/v1/disconnect', { user: 'nobody' });
});

test('answers of monitoring, with an alert', async () => {
  for (const name of ['ledger', 'eventbus', 'tasks', 'caches', 'memory']) await check(name, `/v1/monitoring/${name}`);
  const until = Date.now() + 60_000;
  for (;;) {
    const { answer } = await check('alerts', '/v1/monitoring/alerts');
    if (answer.alerts.some((alert: { structure: string }) => alert.structure === 'connections')) break;
    expect(Date.now()).toBeLessThan(until);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const leaks = await check('memory-leaks', '/v1/monitoring/memory-leaks');
  expect(leaks.answer.alerts.length).toBeGreaterThan(0);
  expect(leaks.answer.growth_rates).toHaveProperty('event subscriptions');
  const health = await check('health', '/v1/health');
  expect(health.status).toBe(200);
  expect(health.answer.status).toBe('degraded');
  expect(health.answer.reasons[0].check).toBe('monitor');
  await check('cleanup', '/v1/monitoring/cleanup', {});
});

test('errors', async () => {
  for (const path of ['/v1/nothing', '/v1/history', '/v1/channels?limit=0', '/v1/connections/nobody'])
    expect((await check('error', path)).status).toBeGreaterThanOrEqual(400);
  expect((await check('error', '/v1/publish', 'not an event')).status).toBe(400);
  expect((await check('error', '/v1/health', {})).status).toBe(405);
});

test('answers of a server on a stream, and of one whose broker is away', { timeout: 60_000 }, async () => {
  const broker = await Broker.start();
  const args = ['--nats', broker.url, '--nats-heartbeat-ms', '50', '--nats-stream-bytes', '4MiB'];
  const joined: TestServer[] = [];
  try {
    for (const name of ['one', 'two'])
      joined.push(await TestServer.start({ args: [...args, '--nats-name', name, '--history-records', '5'] }));
    const one = joined[0]!;
    for (let n = 1; n <= 7; ++n) {
      const { answer } = await check('publish', '/v1/publish', { channel: 'room:1', data: n }, one);
      expect(answer.seq).toBe(n);
    }
    await vi.waitFor(
      async () => {
        const { answer } = await check('ledger', '/v1/monitoring/ledger', undefined, one);
        expect(answer.stream).toMatchObject({
          name: 'ringfence',
          storage: 'file',
          replicas: 1,
          capacity_bytes: 4 << 20,
          records: 5,
          records_max: null,
          channel_records_max: 5,
          age_s_max: 86_400,
        });
        expect(answer.stream.used_bytes).toBeGreaterThan(5 * 24);
        const info = await check('info', '/v1/info', undefined, one);
        expect(info.answer.nodes.map((node: { node: string }) => node.node)).toEqual(['one', 'two']);
      },
      { timeout: 20_000, interval: 20 },
    );
    const history = await check('history', '/v1/history?channel=room:1', undefined, joined[1]);
    expect(history.answer.events.map((event: { seq: number }) => event.seq)).toEqual([3, 4, 5, 6, 7]);
    expect((await check('disconnect', '/v1/disconnect', { user: 'nobody' }, one)).answer.asked).toBe(1);
    await check('health', '/v1/health', undefined, one);

    await broker.stop();
    await vi.waitFor(
      async () => {
        const { answer } = await check('health', '/v1/health', undefined, one);
        expect(answer.reasons[0]?.check).toBe('broker');
      },
      { timeout: 20_000, interval: 20 },
    );
    // It waits for the broker to come back, and then says that it was not sent; or is refused at once.
    const refused = await check('error', '/v1/publish', { channel: 'room:1', data: 8 }, one);
    expect(refused.status).toBe(503);
    expect(refused.answer.error.code).toBe('broker_unavailable');
    // What the broker said last stays, with its age.
    const { answer } = await check('ledger', '/v1/monitoring/ledger', undefined, one);
    expect(answer.stream.records).toBe(5);
  } finally {
    for (const one of joined) await one.down();
    await broker.stop();
  }
});

test('a schema refuses what it does not know', () => {
  const validate = ajv.getSchema('ringfence:disconnect');
  expect(validate?.({ disconnected: 1 })).toBe(true);
  for (const wrong of [{}, { disconnected: -1 }, { disconnected: '1' }, { disconnected: 1, more: 1 }])
    expect(validate?.(wrong)).toBe(false);
});

test('no schema is left untried', () => {
  expect(names.filter((name) => !seen.has(name))).toEqual([]);
});
