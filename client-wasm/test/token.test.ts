import { describe, expect, it } from 'vitest';

import { tokenExpiryMs } from '../src/token.js';
import { codesOf, makeRig } from './support.js';

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const jwt = (claims: unknown): string => `${encode({ alg: 'HS256' })}.${encode(claims)}.c2ln`;
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe('tokenExpiryMs', () => {
  it('reads exp, and nothing else', () => {
    expect(tokenExpiryMs(jwt({ exp: 1_768_478_400, name: '??>>~~' }))).toBe(1_768_478_400_000);
    for (const bad of ['', 'a', 'a.b.c', jwt(null), jwt({}), jwt({ exp: '1' }), jwt({ exp: -1 })])
      expect(tokenExpiryMs(bad)).toBeUndefined();
  });
});

async function openRig(lifeMs: number, next?: () => string | Promise<string>) {
  let asked = 0;
  const rig = makeRig({
    silenceMs: 24 * 3600 * 1000,
    token: () => {
      ++asked;
      if (asked > 1 && next) return next();
      return jwt({ exp: (rig.timers.now() + lifeMs) / 1000, n: asked });
    },
  });
  await settled();
  rig.socket().welcome();
  return { ...rig, asked: () => asked };
}

describe('a token', () => {
  it('is refreshed before it expires, again and again, on the same connection', async () => {
    const { client, socket, timers, asked, sockets } = await openRig(100_000);
    for (let round = 1; round <= 3; ++round) {
      timers.advance(79_999);
      await settled();
      expect(asked()).toBe(round);
      timers.advance(1);
      await settled();
      const request = socket().ops('refresh').at(-1);
      expect(socket().ops('refresh')).toHaveLength(round);
      expect(request?.['token']).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
      socket().tell({ op: 'ok', id: request?.['id'] });
      socket().tell({ op: 'pong' });
    }
    expect(client.stats()).toMatchObject({ tokenRefreshes: 3, errors: 0, refusedMessages: 0 });
    expect(sockets).toHaveLength(1);
    client.end();
    expect(timers.pending).toBe(0);
  });

  it('refused is reported, and asked for again with back-off', async () => {
    const { client, socket, timers, asked, errors } = await openRig(100_000);
    timers.advance(80_000);
    await settled();
    socket().tell({ op: 'error', id: socket().ops('refresh')[0]?.['id'], code: 'token_expired', message: 'late' });
    expect(codesOf(errors)).toEqual(['token_expired']);
    timers.advance(499);
    await settled();
    expect(asked()).toBe(2);
    timers.advance(1);
    await settled();
    expect(asked()).toBe(3);
    expect(client.state.status).toBe('open');
  });

  it('that cannot be had is reported, and a function that never answers as well', async () => {
    const failing = await openRig(100_000, () => Promise.reject(new Error('no')));
    failing.timers.advance(80_000);
    await settled();
    expect(codesOf(failing.errors)).toEqual(['token_failed']);
    const silent = await openRig(100_000, () => new Promise(() => undefined));
    silent.timers.advance(80_000);
    await settled();
    silent.timers.advance(30_000);
    expect(codesOf(silent.errors)).toEqual(['no_answer']);
    silent.client.end();
    expect(silent.timers.pending).toBe(0);
  });

  it('with an expiry beyond what a timer can wait, or behind the clock, makes no storm', async () => {
    const far = await openRig(100 * 24 * 3600 * 1000);
    far.client.disconnect();
    const past = await openRig(-100_000);
    past.timers.advance(4999);
    await settled();
    expect(past.asked()).toBe(1);
    past.timers.advance(1);
    await settled();
    expect(past.asked()).toBe(2);
    expect(far.asked()).toBe(1);
  });

  it('is asked for again after the server has closed for it', async () => {
    const { socket, timers, asked } = await openRig(100_000);
    socket().tell({ op: 'closing', reason: 'token_expired', retry_after_ms: 0 });
    socket().lose(1008, 'token_expired');
    timers.advance(0);
    await settled();
    expect(asked()).toBe(2);
    expect(socket().protocols[1]).toMatch(/^bearer\./);
  });
});
