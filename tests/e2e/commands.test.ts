// The commands as a user types them: `./dev demo` with its feeds, and what they say where something is missing.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';

import { freePort, kRoot } from './support/server.ts';

const kSecondStartMaxMs = 5000;

interface Demo {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly servedAfterMs: number;
  output(): string;
}

const running = new Set<ChildProcess>();
afterEach(() => {
  for (const { pid } of running) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  running.clear();
});

async function startDemo(port: number, ...args: string[]): Promise<Demo> {
  const startedAt = performance.now();
  // A process group of its own, as a terminal gives it: a Ctrl-C reaches all of it.
  const child = spawn('./dev', ['demo', '--port', String(port), ...args], { cwd: kRoot, detached: true });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (status) => {
      running.delete(child);
      resolve(status);
    });
  });
  for (;;) {
    const served = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    if (served?.ok && output.includes('Ringfence demo: ')) {
      expect(await served.text()).toContain('<div id="root">');
      return { child, ended, servedAfterMs: performance.now() - startedAt, output: () => output };
    }
    if (!running.has(child)) throw new Error(`the demo ended by itself: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** When which records came, by channel, within that time. */
async function listen(port: number, channels: readonly string[], ms: number): Promise<Map<string, number[]>> {
  const came = new Map<string, number[]>(channels.map((channel) => [channel, []]));
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['ringfence.v1.json']);
  socket.on('message', (lines) => {
    for (const line of lines.toString().split('\n')) {
      const { op, channel, time } = JSON.parse(line || '{}') as { op?: string; channel?: string; time?: string };
      if (op === 'event' && channel) came.get(channel)?.push(Date.parse(time ?? ''));
    }
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  for (const channel of channels) socket.send(JSON.stringify({ op: 'subscribe', channel, last: 5 }));
  await new Promise((resolve) => setTimeout(resolve, ms));
  socket.terminate();
  return came;
}

describe('./dev demo', () => {
  it('serves its page and live feeds, ends on Ctrl-C, and serves again within 5 s', { timeout: 120_000 }, async () => {
    const port = await freePort();
    const first = await startDemo(port);
    const came = await listen(port, ['game', 'host', 'log'], 3000);
    expect(came.get('game')?.length).toBeGreaterThan(3);
    expect(came.get('log')?.length).toBeGreaterThan(0);
    // Four times a second, by the server's clock.
    const host = came.get('host') ?? [];
    const gaps = host.slice(1).map((at, index) => at - (host[index] ?? 0));
    expect(gaps.length).toBeGreaterThanOrEqual(8);
    expect(gaps.sort((a, b) => a - b)[gaps.length >> 1]).toBeGreaterThan(200);
    expect(gaps[gaps.length >> 1]).toBeLessThan(300);
    process.kill(-(first.child.pid ?? 0), 'SIGINT');
    expect([await first.ended, first.output()]).toEqual([0, expect.stringContaining('stopping')]);

    const second = await startDemo(port);
    expect(second.servedAfterMs).toBeLessThan(kSecondStartMaxMs);
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });

  it('--cluster goes on at the other server when one is killed', { timeout: 120_000 }, async () => {
    let port = await freePort();
    for (const port1 of [port + 1, port + 2]) if (!(await isFree(port1))) port = await freePort();
    const demo = await startDemo(port, '--cluster');
    const kill = /kill (\d+) {3}or/.exec(demo.output())?.[1];
    expect(kill).toBeDefined();
    process.kill(Number(kill), 'SIGKILL');
    // Those that came before do not count: the feeds have to come over.
    const until = Date.now() + 30_000;
    let late = 0;
    while (late < 5 && Date.now() < until) {
      const from = Date.now();
      const came = await listen(port + 1, ['host'], 1000);
      late += came.get('host')?.filter((at) => at > from).length ?? 0;
    }
    expect(late).toBeGreaterThanOrEqual(5);
    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
  });

  it('says what is wrong with its arguments, and that a port is in use', async () => {
    const run = (...args: string[]) => spawnSync('./dev', args, { cwd: kRoot, encoding: 'utf8' });
    for (const args of [
      ['demo', '--port', 'x'],
      ['demo', '--port=0'],
      ['demo', '--port=65536'],
      ['demo', 'x'],
      ['nothing'],
    ]) {
      const { status, stderr } = run(...args);
      expect([args, status, stderr.startsWith('dev: ')]).toEqual([args, 2, true]);
    }
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { status, stderr } = run('demo', '--port', String(port));
    expect([status, stderr]).toEqual([1, `dev: port ${port} is in use: choose another with ./dev demo --port N\n`]);
    server.close();
  });
});

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) =>
    server
      .once('error', () => resolve(false))
      .once('listening', () => resolve(true))
      .listen(port, '127.0.0.1'),
  );
  server.close();
  return listening;
}

describe('the set-up on a system that is not known', () => {
  /** What setup_packages says there, with these programs in PATH and no others. */
  const setUp = (sets: string, programs: Record<string, string>): { status: number | null; stderr: string } => {
    const bin = mkdtempSync(join(tmpdir(), 'ringfence-commands-'));
    for (const [name, says] of Object.entries(programs)) {
      writeFileSync(join(bin, name), `#!/bin/bash\n${says}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const script = `
      set -euo pipefail
      source tools/common.sh
      source tools/setup.sh
      DISTRO="fedora 40" PATH=${bin}
      setup_packages ${sets}`;
    const { status, stderr } = spawnSync('/bin/bash', ['-c', script], { cwd: kRoot, encoding: 'utf8' });
    rmSync(bin, { recursive: true });
    return { status, stderr };
  };
  const nothing = ':';

  it('ends with status 2 and names exactly what is missing', () => {
    const { status, stderr } = setUp('BUILD TEST', { 'g++': nothing, ninja: nothing, chromium: nothing });
    expect(status).toBe(2);
    expect(stderr).toMatch(/^dev: this system \(fedora 40\) is not Debian 12 or 13, or Ubuntu 24.04, /);
    expect(stderr).toMatch(/missing here: cmake, em\+\+, node, npm, promtool, nats-server\n$/);
    expect(setUp('TEST', {}).stderr).toMatch(
      /missing here: chromium or google-chrome-stable, promtool, nats-server\n$/,
    );
  });

  it('tells of what is there and too old', () => {
    const { status, stderr } = setUp('BUILD', {
      'g++': nothing,
      ninja: nothing,
      'em++': nothing,
      npm: nothing,
      cmake: 'echo "cmake version 3.22.1"',
      node: '[ "$1" = -v ] && echo v18.19.1 || exit 1',
    });
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /missing here: cmake >= 3.25 \(here: 3.22\), node >= 20.19 or >= 22.12 with npm \(here: v18.19.1\)\n$/,
    );
  });

  it('goes on where all is there', () => {
    const all = { 'g++': nothing, ninja: nothing, 'em++': nothing, npm: nothing, node: nothing };
    expect(setUp('BUILD', { ...all, cmake: 'echo "cmake version 4.1.0"' })).toEqual({ status: 0, stderr: '' });
  });
});
