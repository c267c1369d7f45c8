// The client against the real server with authentication on: tokens that it brings, and the end of one.
import { createHmac } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { connect } from '../src/index.js';
import type { Client, ClientOptions } from '../src/types.js';
import { NodeSocket, ServerProcess, until } from './server_process.js';
import { makeStore } from './support.js';

const SECRET = 'a secret for tests, of 32 bytes or more';
const ARGS = ['--jwt-clock-skew-s', '0', '--user-attempts', '1000'];

let server: ServerProcess;

function token(seconds: number, rights?: object): string {
  const part = (json: object): string => Buffer.from(JSON.stringify(json)).toString('base64url');
  const claims = { sub: 'ann', exp: Date.now() / 1000 + seconds, ...(rights ? { ringfence: rights } : {}) };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
}

beforeAll(async () => {
  server = await ServerProcess.start(ARGS, { RINGFENCE_JWT_SECRET: SECRET });
});
afterAll(() => server?.down());

const opened = (client: Client): Promise<void> => until(() => expect(client.state.status).toBe('open'));

function open(
  bring: string | (() => string) | undefined,
  options: Partial<ClientOptions> = {},
  url = server.socketUrl,
): { client: Client; store: ReturnType<typeof makeStore> } {
  const store = makeStore();
  const backoff = { baseMs: 50, maxMs: 200 };
  return {
    store,
    client: connect(url, {
      store,
      backoff,
      ...(bring === undefined ? {} : { token: bring }),
      WebSocket: NodeSocket,
      ...options,
    }),
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

  it('without a good token is not let in, and told why', async () => {
    for (const [bring, code] of [
      [token(-10), 'token_expired'],
      ['a.b.c', 'token_malformed'],
      [`${token(60)}x`, 'token_signature'],
      [undefined, 'token_missing'],
    ] as const) {
      const { client, store } = open(bring, { askWhy: true });
      const codes: unknown[] = [];
      client.onError((error) => codes.push((error as { code?: string }).code));
      await until(() => expect(codes).toContain(code));
      expect(['waiting', 'connecting']).toContain(client.state.status);
      await until(() => expect(client.stats().errors).toBe(1));
      store.end();
    }
  });

  it('does not take a server that is down for one that refuses it', async () => {
    const { client, store } = open(token(60), { askWhy: true }, 'ws://127.0.0.1:1/v1/ws');
    const errors: unknown[] = [];
    client.onError((error) => errors.push(error));
    await until(() => expect(client.state.attempt).toBeGreaterThan(3));
    expect(errors).toEqual([]);
    store.end();
  });

  it('is told which channels a refreshed token no longer covers, and keeps the others', async () => {
    let asked = 0;
    const rights = (): object => ({ subscribe: ++asked === 1 ? ['room:*', 'news'] : ['news'], publish: ['*'] });
    const { client, store } = open(() => token(8, rights()));
    await opened(client);
    const errors: unknown[] = [];
    client.onError((error) => errors.push(error));
    const room = client.subscribe('room:9', store.history('room', { capacity: 10 }));
    const news = client.subscribe('news', store.history('news', { capacity: 10 }));
    await until(() => expect([room.state, news.state]).toEqual(['active', 'active']));
    await until(() => expect(room.state).toBe('refused'));
    expect(errors).toMatchObject([{ code: 'forbidden', channel: 'room:9' }]);
    expect([news.state, client.stats().connects, client.stats().refusedMessages]).toEqual(['active', 1, 0]);
    store.end();
  });
});
