// The client against the real server with authentication on: tokens that it brings, and the end of one.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';

import { connect } from '../src/index.js';
import type { Client, SocketConstructor } from '../src/types.js';
import { makeStore } from './support.js';

const SECRET = 'a secret for tests, of 32 bytes or more';
const root = resolve(import.meta.dirname, '../..');
const binary = process.env['RINGFENCE_SERVER_BINARY'] ?? resolve(root, 'build/release/ringfence-server');

let server: ChildProcess;
let url: string;

function token(seconds: number, rights?: object): string {
  const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
  const claims = { sub: 'ann', exp: Date.now() / 1000 + seconds, ...(rights ? { ringfence: rights } : {}) };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

beforeAll(async () => {
  server = spawn(binary, ['--port', '0', '--log-level', 'off', '--jwt-clock-skew-s', '0', '--user-attempts', '1000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, RINGFENCE_JWT_SECRET: SECRET },
  });
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

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 10 });
const opened = (client: Client): Promise<void> => until(() => expect(client.state.status).toBe('open'));

function open(bring: string | (() => string)): { client: Client; store: ReturnType<typeof makeStore> } {
  const store = makeStore();
  const backoff = { baseMs: 50, maxMs: 200 };
  return {
    store,
    client: connect(url, { store, backoff, token: bring, WebSocket: WebSocket as unknown as SocketConstructor }),
  };
}

describe('with authentication on, a client', { timeout: 60_000 }, () => {
  it('is let in by its token, and told what that does not allow', async () => {
    const { client, store } = open(token(60, { subscribe: ['room:*'], publish: ['room:1'] }));
    await opened(client);
    const errors: unknown[] = [];
    client.onError((error) => errors.push((error as { code?: string }).code));
    const room = store.history<number>('room', { capacity: 10 });
    client.subscribe('room:1', room);
    await client.publish('room:1', 'n', 7);
    await until(() => expect(room.size).toBe(1));
    await expect(client.publish('room:2', 'n', 7)).rejects.toMatchObject({ code: 'forbidden' });
    client.subscribe('news', store.history('news', { capacity: 10 }));
    await until(() => expect(errors).toContain('forbidden'));
    client.end();
    store.end();
  });

  it('comes back with another token when the first has expired, and misses nothing', async () => {
    let asked = 0;
    const { client, store } = open(() => token(++asked === 1 ? 3 : 60));
    await opened(client);
    const room = store.history<number>('room', { capacity: 100 });
    client.subscribe('room:3', room);
    await until(() => expect(asked).toBeGreaterThanOrEqual(2));
    const { client: other, store: its } = open(token(60));
    await opened(other);
    for (let n = 1; n <= 5; ++n) await other.publish('room:3', 'n', n);
    await until(() => expect(room.size).toBe(5));
    expect(client.state.status).toBe('open');
    for (const one of [client, other]) one.end();
    for (const one of [store, its]) one.end();
  });

  it('refreshes its token before that expires, on the same connection', async () => {
    let asked = 0;
    const { client, store } = open(() => token(++asked === 1 ? 8 : 3600));
    await opened(client);
    const { connection } = client.state;
    await until(() => expect(client.stats().tokenRefreshes).toBe(1));
    expect(asked).toBe(2);
    expect(client.state).toMatchObject({ status: 'open', connection });
    expect(client.stats()).toMatchObject({ connects: 1, errors: 0 });
    client.end();
    store.end();
  });

  it('without a token is not let in', async () => {
    const { client, store } = open(token(-10));
    await until(() => expect(client.state.status).toBe('waiting'));
    client.end();
    store.end();
  });
});
