import { afterEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { runGame } from './game.mjs';
import { parseMemory, parseNetwork, parseStat, telemetry } from './host.mjs';
import { Pace, speedOf } from './pace.mjs';
import { GameSession, kEventsPerGameS } from './session.mjs';

const events = (seed, count) => {
  const session = new GameSession(seed);
  return Array.from({ length: count }, () => session.next());
};

test('a seed gives the same session, another seed another one', () => {
  expect(events(7, 5000)).toEqual(events(7, 5000));
  expect(events(7, 50)).not.toEqual(events(8, 50));
});

test('a second of the game has one game_tick and one effects_update', () => {
  const all = events(1, 1000 * kEventsPerGameS);
  const count = (type) => all.filter((event) => event.type === type).length;
  expect(count('game_tick')).toBe(1000);
  expect(count('effects_update')).toBe(1000);
  expect(all.filter((event) => event.type === 'game_tick').map((event) => event.data.tick_number)).toEqual(
    Array.from({ length: 1000 }, (_, index) => index + 1),
  );
});

test('fights begin, go on and end, and every kind of event comes', () => {
  const all = events(3, 20_000);
  const kinds = new Set(all.map((event) => event.type));
  for (const kind of [
    'combat_started',
    'npc_attacked',
    'combat_ended',
    'player_entered',
    'player_left',
    'chat_message',
    'room_message',
    'room_occupants',
    'command_response',
    'quest_log_updated',
    'party_invite',
    'system',
  ])
    expect(kinds, kind).toContain(kind);
  const open = new Set();
  for (const { type, data } of all) {
    if (type === 'combat_started') open.add(data.combat_id);
    if (type === 'npc_attacked') expect(open).toContain(data.combat_id);
    if (type === 'combat_ended') expect(open.delete(data.combat_id)).toBe(true);
  }
  expect(open.size).toBeLessThanOrEqual(3);
});

test('payloads are about 300 bytes', () => {
  const sizes = events(5, 10_000).map((event) => JSON.stringify(event.data).length);
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  expect(mean).toBeGreaterThan(240);
  expect(mean).toBeLessThan(360);
  expect(Math.max(...sizes)).toBeLessThan(800);
});

test('Pace gives exactly the speed, changes it while it runs, and does not make up for long waits', () => {
  const pace = new Pace(10_000, 0);
  let sent = 0;
  for (let nowMs = 7; nowMs <= 7000; nowMs += 7) {
    const due = pace.due(nowMs);
    sent += due;
    pace.take(due);
  }
  expect(sent).toBe(70_000);
  pace.set(100, 7000);
  expect(pace.due(7100)).toBe(10);
  pace.take(10);
  expect(pace.due(67_100)).toBe(25); // of a minute, a quarter of a second
  expect(pace.due(67_200)).toBe(25);
});

test('a speed stays within its bounds, and what is no number is none', () => {
  expect(speedOf(1e9)).toBe(10_000);
  expect(speedOf(0)).toBe(1);
  for (const wrong of [NaN, Infinity, '7', null, undefined, {}]) expect(speedOf(wrong)).toBeNull();
});

test('telemetry is what went on between two readings', () => {
  const reading = (atMs, stat, network) => ({
    atMs,
    cpu: parseStat(stat),
    network: parseNetwork(network),
    load: [1, 2, 3],
    processes: 99,
    memory: parseMemory('MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n'),
  });
  const dev = (eth, lo) =>
    `Inter-|\n face |\n    lo: ${lo} 0 0 0 0 0 0 0 ${lo} 0\n  eth0: ${eth} 0 0 0 0 0 0 0 ${eth * 2} 0\n`;
  const before = reading(0, 'cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n', dev(1000, 50));
  const now = reading(250, 'cpu  150 0 125 770 105 0 0 0 0 0\ncpu0 1\n', dev(1500, 100));
  expect(telemetry(before, now)).toEqual({
    cpu: 0.5,
    load_1m: 1,
    load_5m: 2,
    load_15m: 3,
    processes: 99,
    memory_used_bytes: 600 * 1024,
    memory_total_bytes: 1000 * 1024,
    rx_bytes_per_s: 2000,
    tx_bytes_per_s: 4000,
    loopback_bytes_per_s: 200,
  });
});

let peer = null;
let stop = null;
afterEach(() => {
  stop?.();
  peer?.close();
  for (const client of peer?.clients ?? []) client.terminate();
  stop = peer = null;
});

/** A server that answers publishes only as far as `answer` lets it. */
async function startPeer(answer) {
  peer = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await new Promise((resolve) => peer.once('listening', resolve));
  const seen = [];
  peer.on('connection', (socket) => {
    socket.on('message', (text) => {
      const message = JSON.parse(text.toString());
      seen.push(message);
      if (message.op === 'publish') answer(socket, message, seen);
    });
    socket.send(JSON.stringify({ op: 'welcome' }));
  });
  return { seen, url: `ws://127.0.0.1:${peer.address().port}/` };
}

const published = (seen, channel) => seen.filter((message) => message.op === 'publish' && message.channel === channel);

test('the game stops at a full window, and goes on with what comes next when it is answered', async () => {
  const held = [];
  const { seen, url } = await startPeer((socket, message) => held.push([socket, message.id]));
  stop = runGame({ url, seed: 4, speed: 10_000 });
  await expect.poll(() => held.length, { timeout: 5000 }).toBe(1024);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(held.length).toBe(1024); // none more without an answer
  for (const [socket, id] of held.splice(0)) socket.send(JSON.stringify({ op: 'ok', id, seq: 1 }));
  await expect.poll(() => held.length, { timeout: 5000 }).toBe(1024);
  const game = published(seen, 'game');
  expect(game.map(({ type, data }) => ({ type, data }))).toEqual(events(4, game.length));
});

test('the speed is asked for on game.control and answered there, and holds after a lost connection', async () => {
  const { seen, url } = await startPeer((socket, { id }) => socket.send(JSON.stringify({ op: 'ok', id, seq: 1 })));
  stop = runGame({ url, seed: 4 });
  const told = () => published(seen, 'game.control').map((message) => message.data.events_per_s);
  await expect.poll(told).toEqual([kEventsPerGameS]);
  const ask = (data) => {
    for (const client of peer.clients)
      client.send(JSON.stringify({ op: 'event', channel: 'game.control', seq: 1, time: '', type: 'speed', data }));
  };
  ask({ events_per_s: 2000 });
  await expect.poll(told).toEqual([kEventsPerGameS, 2000]);
  ask({ events_per_s: 'fast' });
  await expect.poll(told).toEqual([kEventsPerGameS, 2000, 2000]);
  for (const client of peer.clients) client.terminate();
  await expect.poll(told, { timeout: 5000 }).toEqual([kEventsPerGameS, 2000, 2000, 2000]);
});
