// The real server for a test: on a free port of 127.0.0.1, which it keeps over a restart.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { vi } from 'vitest';
import { WebSocket } from 'ws';

import type { SocketConstructor } from '../src/types.js';

const root = resolve(import.meta.dirname, '../..');
const binary = process.env['RINGFENCE_SERVER_BINARY'] ?? resolve(root, 'build/release/ringfence-server');
const START_MS = 30_000;
const UNTIL_MS = 20_000;

/** Node's, for `connect()`. */
export const NodeSocket = WebSocket as unknown as SocketConstructor;

export class ServerProcess {
  readonly #args: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #port = '0';

  private constructor(args: readonly string[], environment: Readonly<Record<string, string>>) {
    this.#args = args;
    this.#environment = environment;
  }

  static async start(
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<ServerProcess> {
    if (!existsSync(binary)) throw new Error(`no server at ${binary}: run ./dev build, or set RINGFENCE_SERVER_BINARY`);
    const server = new ServerProcess(args, environment);
    await server.up();
    return server;
  }

  get http(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get socketUrl(): string {
    return `ws://127.0.0.1:${this.#port}/v1/ws`;
  }

  /** Also after down(): another life on the same port. */
  async up(): Promise<void> {
    const child = spawn(binary, ['--port', this.#port, '--log-level', 'off', ...this.#args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...this.#environment },
    });
    this.#child = child;
    const timer = setTimeout(() => child.kill('SIGKILL'), START_MS);
    try {
      // It says where it listens once it does.
      for await (const line of createInterface({ input: child.stdout! })) {
        this.#port = new URL(line).port;
        return;
      }
    } finally {
      clearTimeout(timer);
    }
    throw new Error(`the server ended before it listened: ${child.exitCode ?? child.signalCode}`);
  }

  async down(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill('SIGTERM');
    await ended;
  }
}

/** Waits until it holds, on a machine however busy. */
export const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: UNTIL_MS, interval: 10 });
