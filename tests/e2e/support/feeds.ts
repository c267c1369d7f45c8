// The demo's own feeds, run as the demo runs them.

import { spawn, type ChildProcess } from 'node:child_process';
import { kRoot } from './server.ts';

export class Feed {
  readonly #process: ChildProcess;
  #output = '';

  /** `name` is a file of web-demo/feeds without its ending. */
  constructor(name: string, args: readonly string[]) {
    this.#process = spawn(process.execPath, [`${kRoot}web-demo/feeds/${name}.mjs`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (text: Buffer) => (this.#output = (this.#output + text.toString()).slice(-4096));
    this.#process.stdout?.on('data', keep);
    this.#process.stderr?.on('data', keep);
  }

  /** Throws if it ended by itself. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`a feed ended by itself:\n${this.#output}`);
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    await ended;
  }
}
