// The page's end of the line to its worker: calls and their answers, listeners, what is live here.
//
// Owns     the worker, which it terminates. Bounds: CALLS_MAX calls without an answer, LISTENERS_MAX listeners of a kind.
import { EndedError, RingfenceError } from '../errors.js';
import { HandleTable, type Registration } from '../handle.js';
import type { Handle, LiveHandle } from '../types.js';
import { fromPlain } from './errors.js';
import type { Call, ToPage, ToWorker, WorkerLike } from './messages.js';

const CALLS_MAX = 1024;
const LISTENERS_MAX = 4096;
/** More than what is kept has to be written in. */
const END_MS = 3000;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export type Listeners<Listener> = Map<Registration, Listener>;

export function endAll(registrations: Iterable<Registration>): void {
  for (const registration of [...registrations]) registration.end();
}

export class Link {
  readonly #worker: WorkerLike;
  readonly #report: (error: unknown) => void;
  readonly #calls = new Map<number, Waiting>();
  readonly #failed: (error: RingfenceError) => void;
  #ids = 0;
  #ended = false;
  #endTimer: ReturnType<typeof setTimeout> | undefined;
  /** What was begun here and has not ended. */
  readonly table: HandleTable;
  /** What listeners of the page threw. */
  listenerErrors = 0;

  constructor(
    worker: WorkerLike,
    received: (message: ToPage) => void,
    report: (error: unknown) => void,
    failed: (error: RingfenceError) => void,
    onLeak: (leaked: LiveHandle) => void,
  ) {
    this.table = new HandleTable((leaked) => this.guard(() => onLeak(leaked)));
    this.#worker = worker;
    this.#report = report;
    this.#failed = failed;
    worker.onmessage = ({ data }: MessageEvent) => {
      const message = data as ToPage;
      if (message.op === 'ended') return this.#terminate();
      if (message.op !== 'result') return this.#ended ? undefined : received(message);
      const waiting = this.#calls.get(message.id);
      this.#calls.delete(message.id);
      if (message.error) waiting?.reject(fromPlain(message.error));
      else waiting?.resolve(message.value as never);
    };
    worker.onerror = (event) => this.fail(`the worker failed: ${event.message ?? 'its script did not load'}`);
    worker.onmessageerror = () => this.fail('a message of the worker could not be read');
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A number for something. */
  next(): number {
    return ++this.#ids;
  }

  send(message: ToWorker, transfer: Transferable[] = []): void {
    if (!this.#ended) this.#worker.postMessage(message, transfer);
  }

  call<Value>(call: Call): Promise<Value> {
    return new Promise<Value>((resolve, reject) => {
      if (this.#ended) return reject(new EndedError('store'));
      if (this.#calls.size >= CALLS_MAX)
        return reject(new RingfenceError('too_many_requests', `${CALLS_MAX} calls have no answer yet`));
      const id = this.next();
      try {
        this.#worker.postMessage({ op: 'call', id, call } satisfies ToWorker, []);
      } catch (cause) {
        return reject(new TypeError(`not sent: ${String(cause)}`)); // what cannot be cloned
      }
      this.#calls.set(id, { resolve, reject });
    });
  }

  /** @param ended called once it has ended */
  listen<Listener>(
    kind: 'listener' | 'clientListener',
    owner: string,
    listeners: Listeners<Listener>,
    listener: Listener,
    ended?: () => void,
  ): Handle {
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    if (listeners.size >= LISTENERS_MAX)
      throw new RingfenceError('too_many_subscriptions', `there are ${LISTENERS_MAX} listeners already`);
    const registration = this.table.open(kind, '', owner, () => {
      listeners.delete(registration);
      ended?.();
    });
    listeners.set(registration, listener);
    return this.table.handle(registration);
  }

  tell<Value>(listeners: Listeners<(value: Value) => void>, value: Value): void {
    for (const [registration, listener] of [...listeners]) if (registration.active) this.guard(() => listener(value));
  }

  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Counts and tells what something of the user threw. */
  failed(error: unknown): void {
    ++this.listenerErrors;
    this.#report(error);
  }

  /** Nothing can come from the worker any more. */
  fail(why: string): void {
    if (this.#ended) return;
    const error = new RingfenceError('worker_failed', why);
    this.#ended = true;
    this.#reject(error);
    this.#terminate();
    this.#failed(error);
  }

  /** Lets the worker end what it has, for END_MS at most, and terminates it. */
  end(): void {
    if (this.#ended) return;
    this.send({ op: 'end' });
    this.#ended = true;
    this.#reject(new EndedError('store'));
    this.#endTimer = setTimeout(() => this.#terminate(), END_MS);
  }

  #reject(error: Error): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { reject } of calls) reject(error);
  }

  #terminate(): void {
    clearTimeout(this.#endTimer);
    this.#worker.onmessage = this.#worker.onerror = this.#worker.onmessageerror = null;
    this.#worker.terminate();
  }
}
