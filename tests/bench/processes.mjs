// Starting the processes a server benchmark needs, and reading what they cost from /proc.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

export { median, quantile } from './statistics.mjs';

const CLOCK_TICKS_PER_SECOND = 100; // USER_HZ: fixed at 100 on every Linux that Node runs on

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const RELEASE_DIR = `${ROOT}build/release`;

export function stop(message, status = 2) {
  console.error(message);
  process.exit(status);
}

/** `--name value` pairs over defaults; anything else ends the run with status 2. */
export function parseOptions(defaults) {
  const options = { ...defaults };
  const args = process.argv.slice(2);
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i].replace(/^--/, '').replaceAll('-', '_');
    if (!args[i].startsWith('--') || !(name in defaults) || args[i + 1] === undefined) {
      const known = Object.entries(defaults).map(([key, value]) => `--${key.replaceAll('_', '-')} ${value}`);
      stop(`unknown or incomplete option ${args[i]}; options and defaults: ${known.join(' ')}`);
    }
    options[name] = typeof defaults[name] === 'number' ? Number(args[i + 1]) : args[i + 1];
    if (Number.isNaN(options[name])) stop(`${args[i]} must be a number, not ${args[i + 1]}`);
  }
  return options;
}

/** Two cores of those this process may use: one for the server, one for the load. */
export function twoCores() {
  const list = readFileSync('/proc/self/status', 'utf8').match(/^Cpus_allowed_list:\s*(.+)$/m)[1];
  const cores = list.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  if (cores.length < 2 || availableParallelism() < 2)
    stop('this benchmark needs 2 cores: server and load have one each');
  return { server: cores[0], load: cores[1] };
}

const running = new Set();
process.on('exit', () => {
  // With all below them: nginx's worker outlives a master that is killed.
  for (const child of running) for (const pid of child.pid ? tree(child.pid) : []) process.kill(pid, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stop(`ended by ${signal}`, 1));

/** Starts a program pinned to one core. Its stderr is kept (the last 4 KiB) for error messages. */
export function startPinned(core, command, args, options = {}) {
  const child = spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
  child.errors = '';
  child.on('error', (error) => stop(`${command}: ${error.message}`));
  child.stderr?.on('data', (text) => (child.errors = (child.errors + text).slice(-4096)));
  running.add(child);
  child.ended = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
  child.ended.then(() => running.delete(child));
  return child;
}

export async function end(child) {
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  child.kill('SIGTERM');
  await child.ended;
  clearTimeout(timer);
}

export async function waitForPort(port, child, seconds = 10) {
  for (const deadline = Date.now() + seconds * 1000; Date.now() < deadline;) {
    if (child.exitCode !== null) break;
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.on('connect', () => (socket.destroy(), resolve(true)));
      socket.on('error', () => resolve(false));
    });
    if (open) return;
    await sleep(20);
  }
  throw new Error(`${child.spawnargs.join(' ')} does not listen on port ${port}: ${child.errors}`);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function stat(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

/** The process and all below it. */
export function tree(root) {
  const children = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const { parent } = stat(name);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // it ended while we looked
    }
  }
  const below = (pid) => [pid, ...(children.get(pid) ?? []).flatMap(below)];
  return below(root);
}

export function cpuSeconds(pids) {
  return pids.reduce((sum, pid) => sum + stat(pid).ticks, 0) / CLOCK_TICKS_PER_SECOND;
}

/** field: VmRSS (now) or VmHWM (its highest so far). */
export function rssBytes(pids, field = 'VmRSS') {
  const kib = (pid) =>
    Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(new RegExp(`^${field}:\\s+(\\d+)`, 'm'))[1]);
  return pids.reduce((sum, pid) => sum + kib(pid), 0) * 1024;
}

export function need(path, how) {
  if (!existsSync(path)) stop(`${path} is missing: ${how}`);
  return path;
}
