// A NATS broker of a test's own, with JetStream, on a free port of 127.0.0.1.

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './server.ts';

const kStartTimeoutMs = 20_000;

export class Broker {
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(
    readonly port: number,
    process: ChildProcess,
    folder: string,
  ) {
    this.#process = process;
    this.#folder = folder;
  }

  static async start(): Promise<Broker> {
    const port = await freePort();
    const folder = mkdtempSync(join(tmpdir(), 'ringfence-broker-'));
    const child = spawn('nats-server', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder], {
      stdio: 'ignore',
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin` },
    });
    const broker = new Broker(port, child, folder);
    const failed = new Promise<never>((_, reject) => child.once('error', reject));
    const until = Date.now() + kStartTimeoutMs;
    while (!(await Promise.race([listens(port), failed]))) {
      if (child.exitCode !== null || Date.now() > until) {
        await broker.stop();
        throw new Error(`nats-server does not listen on ${port}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return broker;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
