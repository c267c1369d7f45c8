// What a page tells its client: seen again, offline, online.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { connect } from '../src/index.js';
import { MemoryServer } from '../src/testing.js';
import { FakeClock, FakeSocket, makeRig, makeStore, subscribedRig } from './support.js';

/** Counts what listens. */
class CountedTarget extends EventTarget {
  readonly live = new Map<string, number>();
  override addEventListener(type: string, listener: EventListener): void {
    this.live.set(type, (this.live.get(type) ?? 0) + 1);
    super.addEventListener(type, listener);
  }
  override removeEventListener(type: string, listener: EventListener): void {
    this.live.set(type, (this.live.get(type) ?? 0) - 1);
    super.removeEventListener(type, listener);
  }
}

let page: CountedTarget & { visibilityState: string };
let globals: CountedTarget;
let network: { onLine: boolean };

beforeEach(() => {
  page = Object.assign(new CountedTarget(), { visibilityState: 'visible' });
  globals = new CountedTarget();
  network = { onLine: true };
  vi.stubGlobal('document', page);
  vi.stubGlobal('navigator', network);
  vi.stubGlobal('addEventListener', globals.addEventListener.bind(globals));
  vi.stubGlobal('removeEventListener', globals.removeEventListener.bind(globals));
});
afterEach(() => vi.unstubAllGlobals());

const see = (state: 'visible' | 'hidden'): void => {
  page.visibilityState = state;
  page.dispatchEvent(new Event('visibilitychange'));
};
const setOnline = (onLine: boolean): void => {
  network.onLine = onLine;
  globals.dispatchEvent(new Event(onLine ? 'online' : 'offline'));
};

describe('the listeners of a page', () => {
  it('are three, and gone with the client', () => {
    const store = makeStore();
    const clients = [makeRig({}, store).client, makeRig({}, store).client];
    expect([...page.live, ...globals.live]).toEqual([
      ['visibilitychange', 2],
      ['online', 2],
      ['offline', 2],
    ]);
    clients[0]?.end();
    clients[0]?.end();
    expect([...page.live.values(), ...globals.live.values()]).toEqual([1, 1, 1]);
    store.end();
    expect([...page.live.values(), ...globals.live.values()]).toEqual([0, 0, 0]);
  });

  it('do nothing for a client that was stopped', () => {
    const { client, sockets, timers } = makeRig();
    client.disconnect();
    timers.advance(10_000);
    see('visible');
    setOnline(false);
    setOnline(true);
    expect([client.state.status, sockets.length, timers.pending]).toEqual(['stopped', 1, 0]);
  });
});

describe('a page that is seen again', () => {
  it('pings at once, and leaves a connection that does not answer in 5 s', () => {
    const { client, socket, timers } = subscribedRig();
    see('hidden');
    timers.advance(3000);
    expect(socket().ops('ping')).toHaveLength(0);
    see('visible');
    see('visible');
    expect(socket().ops('ping')).toHaveLength(1);
    timers.advance(4999);
    expect(client.state.status).toBe('open');
    timers.advance(1);
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'silent' });
  });

  it('goes on with a connection that answers, and with its heartbeat', () => {
    const { client, socket, timers } = subscribedRig();
    see('visible');
    socket().tell({ op: 'pong' });
    timers.advance(5000);
    expect(client.state.status).toBe('open');
    // 25 s x 2.4: a ping after 30 s of silence, its answer within 30 more.
    timers.advance(30_000);
    expect(socket().ops('ping')).toHaveLength(2);
    timers.advance(30_000);
    expect(client.state.lastClose).toBe('silent');
  });

  it('tries at once while waiting, though a throttled timer is not due, and not twice in a second', () => {
    const { client, socket, sockets, timers } = makeRig({ backoff: { baseMs: 30_000 } });
    timers.advance(1000);
    socket().lose();
    expect(client.state).toMatchObject({ status: 'waiting', retryInMs: 15_000 });
    see('visible');
    expect([client.state.status, sockets.length]).toEqual(['connecting', 2]);
    socket().lose();
    for (let times = 0; times < 10; ++times) see('visible');
    expect([client.state.status, sockets.length]).toEqual(['waiting', 2]);
    timers.advance(1000);
    expect(sockets).toHaveLength(3);
  });

  it('does not come before the server allows it', () => {
    const { client, socket, sockets, timers } = subscribedRig();
    socket().tell({ op: 'closing', reason: 'restart', retry_after_ms: 20_000 });
    socket().lose(1001);
    timers.advance(5000);
    see('visible');
    setOnline(true);
    client.check();
    timers.advance(14_999);
    expect(sockets).toHaveLength(1);
    timers.advance(1);
    expect(sockets).toHaveLength(2);
  });
});

describe('without a network', () => {
  it('no attempt is made or counted, and the first comes at once when there is one', () => {
    const { client, socket, sockets, timers } = subscribedRig();
    setOnline(false);
    timers.advance(5000); // the ping had no answer
    expect(client.state).toMatchObject({ status: 'offline', attempt: 0, retryInMs: 0, lastClose: 'silent' });
    timers.advance(4 * 60_000);
    expect(sockets).toHaveLength(1);
    setOnline(true);
    expect([client.state.status, sockets.length]).toEqual(['connecting', 2]);
    socket().welcome();
    expect(socket().ops('subscribe')).toHaveLength(1);
    expect(client.state).toMatchObject({ status: 'open', attempt: 0 });
  });

  it('a wait that was under way is given up, and its timer', () => {
    const { client, socket, sockets, timers } = makeRig({ backoff: { baseMs: 10_000 } });
    socket().lose();
    expect(client.state).toMatchObject({ status: 'waiting', attempt: 1 });
    setOnline(false);
    expect(client.state).toMatchObject({ status: 'offline', attempt: 1, retryInMs: 0 });
    timers.advance(60_000);
    expect([sockets.length, timers.pending]).toEqual([1, 1]);
    client.end();
    expect(timers.pending).toBe(0);
  });

  it('a connection that lives in spite of that is kept', () => {
    const { client, socket, timers } = subscribedRig();
    setOnline(false);
    socket().tell({ op: 'pong' });
    timers.advance(20_000);
    expect(client.state.status).toBe('open');
  });

  it('a browser that is wrong about it is not believed for ever', () => {
    const { client, socket, sockets, timers } = subscribedRig();
    network.onLine = false;
    socket().lose();
    expect(client.state.status).toBe('offline');
    timers.advance(5 * 60_000 - 1);
    expect(sockets).toHaveLength(1);
    timers.advance(1);
    expect(sockets).toHaveLength(2);
    socket().lose();
    expect(client.state).toMatchObject({ status: 'offline', attempt: 0 });
    timers.advance(5 * 60_000);
    socket().welcome();
    expect(client.state.status).toBe('open');
  });

  it('reconnect() tries all the same', () => {
    const { client, socket, sockets } = subscribedRig();
    network.onLine = false;
    socket().lose();
    client.reconnect();
    expect([client.state.status, sockets.length]).toEqual(['connecting', 2]);
  });

  it('a server on this machine needs none', () => {
    network.onLine = false;
    const sockets: FakeSocket[] = [];
    class Socket extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols);
        sockets.push(this);
      }
    }
    for (const host of ['localhost:8080', '127.0.0.1', '[::1]:9', 'localhost.example.org']) {
      const store = makeStore();
      const client = connect(`ws://${host}/v1/ws`, { store, WebSocket: Socket, timers: new FakeClock() });
      sockets.at(-1)?.lose();
      expect([host, client.state.status]).toEqual([host, host.endsWith('.org') ? 'offline' : 'waiting']);
      store.end();
    }
  });

  it('nothing is missed over it, with a server in memory', async () => {
    const server = new MemoryServer();
    const clock = new FakeClock();
    const store = makeStore();
    const client = connect('ws://test/', { store, WebSocket: server.WebSocket, timers: clock });
    const history = store.history('a');
    const told: string[] = [];
    client.onResume(({ text }) => told.push(text));
    client.subscribe('a', history);
    await server.settled();
    server.publish('a', 't', 0);
    await server.settled();
    setOnline(false);
    server.refusing = true;
    server.dropConnections();
    for (let n = 1; n <= 5; ++n) server.publish('a', 't', n);
    clock.advance(120_000);
    await server.settled();
    expect(client.state).toMatchObject({ status: 'offline', attempt: 0 });
    server.refusing = false;
    setOnline(true);
    await server.settled();
    expect([client.state.status, told, history.size]).toEqual(['open', ['replayed 5'], 6]);
    store.end();
  });
});
