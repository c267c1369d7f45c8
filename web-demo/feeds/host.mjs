// The machine's telemetry from /proc on channel `host`, four times a second.
//
//   node feeds/host.mjs --url ws://127.0.0.1:8080/v1/ws

import { readFileSync } from 'node:fs';
import { Connection } from './connection.mjs';
import { isMain, options, untilTold } from './run.mjs';

const kChannel = 'host';
const kPeriodMs = 250;

/** Busy and all time of all cores, in ticks. */
export function parseStat(text) {
  const fields = text.slice(0, text.indexOf('\n')).trim().split(/\s+/).slice(1, 9).map(Number);
  const all = fields.reduce((sum, ticks) => sum + ticks, 0);
  return { all, busy: all - fields[3] - (fields[4] ?? 0) }; // idle, and waiting for disks
}

export function parseMemory(text) {
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) * 1024;
  const total = field('MemTotal');
  return { total, used: total - field('MemAvailable') };
}

/** Bytes received and sent by all interfaces, loopback apart: there the demo itself would show. */
export function parseNetwork(text) {
  const sums = { received: 0, sent: 0, loopback: 0 };
  for (const line of text.split('\n').slice(2)) {
    const [name, rest] = line.split(':');
    if (rest === undefined) continue;
    const fields = rest.trim().split(/\s+/).map(Number);
    if (name.trim() === 'lo') sums.loopback += fields[0];
    else {
      sums.received += fields[0];
      sums.sent += fields[8];
    }
  }
  return sums;
}

export function readCounters() {
  const read = (name) => readFileSync(`/proc/${name}`, 'utf8');
  const [load1, load5, load15, tasks] = read('loadavg').split(' ');
  return {
    atMs: performance.now(),
    cpu: parseStat(read('stat')),
    memory: parseMemory(read('meminfo')),
    network: parseNetwork(read('net/dev')),
    load: [Number(load1), Number(load5), Number(load15)],
    processes: Number(tasks.split('/')[1]),
  };
}

/** What went on between two readings. */
export function telemetry(before, now) {
  const seconds = (now.atMs - before.atMs) / 1000;
  const ticks = now.cpu.all - before.cpu.all;
  const rate = (name) => Math.max(0, Math.round((now.network[name] - before.network[name]) / seconds));
  return {
    cpu: ticks > 0 ? Math.round(((now.cpu.busy - before.cpu.busy) / ticks) * 1000) / 1000 : 0,
    load_1m: now.load[0],
    load_5m: now.load[1],
    load_15m: now.load[2],
    processes: now.processes,
    memory_used_bytes: now.memory.used,
    memory_total_bytes: now.memory.total,
    rx_bytes_per_s: rate('received'),
    tx_bytes_per_s: rate('sent'),
    loopback_bytes_per_s: rate('loopback'),
  };
}

/** Publishes until the returned function is called. Throws if there is no /proc. */
export function runHost({ url }) {
  let before = readCounters();
  const connection = new Connection(url);
  const timer = setInterval(() => {
    const now = readCounters();
    connection.publish(kChannel, 'telemetry', telemetry(before, now)); // one that finds no room is out of date anyway
    before = now;
  }, kPeriodMs);
  return () => {
    clearInterval(timer);
    connection.end();
  };
}

if (isMain(import.meta.url)) untilTold(runHost(options()));
