// A ringfence-server of a test's own: on a free port of 127.0.0.1, with the built demo page as its static files.

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

export const kRoot = fileURLToPath(new URL('../../../', import.meta.url));
const kBinary = process.env['RINGFENCE_SERVER_BINARY'] ?? `${kRoot}build/release/ringfence-server`;
export const kDemoDist = process.env['RINGFENCE_DEMO_DIST'] ?? `${kRoot}web-demo/dist`;
// Publishers of the tests have no API key and send thousands of messages a second.
const kRoomyArgs = ['--inbound-messages', '1000000', '--inbound-window-s', '1'];
const kStartTimeoutMs = 10_000;
const kStopTimeoutMs = 10_000;

export interface ServerOptions {
  readonly files?: string;
  readonly port?: number;
  readonly args?: readonly string[];
}

export class TestServer {
  readonly port: number;
  readonly #files: string;
  readonly #args: readonly string[];
  #process: ChildProcess | null = null;
  #output = '';

  private constructor(port: number, files: string, args: readonly string[]) {
    this.port = port;
    this.#files = files;
    this.#args = args;
  }

  static async start({ files = kDemoDist, port, args = [] }: ServerOptions = {}): Promise<TestServer> {
    if (!existsSync(kBinary))
      throw new Error(`no server at ${kBinary}: run ./dev build, or set RINGFENCE_SERVER_BINARY`);
    if (!existsSync(`${files}/index.html`))
      throw new Error(`no page at ${files}: run ./dev build, or set RINGFENCE_DEMO_DIST`);
    const server = new TestServer(port ?? (await freePort()), files, args);
    await server.up();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  get socketUrl(): string {
    return `ws://127.0.0.1:${this.port}/v1/ws`;
  }

  /** Also after down(): the same port, another life. */
  async up(): Promise<void> {
    const child = spawn(kBinary, [...kRoomyArgs, '--port', String(this.port), '--static', this.#files, ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    this.#output = '';
    const keep = (text: Buffer) => (this.#output = (this.#output + text.toString()).slice(-8192));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const until = Date.now() + kStartTimeoutMs;
    for (;;) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`the server ended at once:\n${this.#output}`);
      const healthy = await fetch(`${this.url}v1/health`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (healthy) return;
      if (Date.now() > until) throw new Error(`the server is not up after ${kStartTimeoutMs} ms:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** As a machine that fails would: without a word to anybody. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.down();
  }

  /** Stops it as an operator would. Its exit status, or the signal that ended it. */
  async down(): Promise<number | string | null> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const timer = setTimeout(() => child.kill('SIGKILL'), kStopTimeoutMs);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
    return child.exitCode ?? child.signalCode;
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}
