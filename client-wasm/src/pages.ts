// Older records asked for by the `history` op, outside of any subscription.
//
// Owns     one timer, for the oldest request.
// Bounds   requests without an answer: PAGES_WAITING_MAX; each has `timeoutMs` to be answered.
import { RingfenceError, ServerError } from './errors.js';
import type { HistoryPage, Timers } from './types.js';
import { type HistoryAnswer, type ServerMessage, historyMessage } from './wire.js';

const PAGES_WAITING_MAX = 64;

interface Waiting {
  readonly channel: string;
  readonly dueMs: number;
  readonly resolve: (page: HistoryPage) => void;
  readonly reject: (error: Error) => void;
}

export interface PageEvents {
  nextId(): number;
  send(text: string): void;
  isOpen(): boolean;
}

export interface PageRequest {
  readonly after: number;
  readonly limit: number;
  readonly epoch: string | undefined;
}

export class Pages {
  readonly #timers: Timers;
  readonly #timeoutMs: number;
  readonly #events: PageEvents;
  readonly #waiting = new Map<number, Waiting>();
  #timer: unknown;

  constructor(timers: Timers, timeoutMs: number, events: PageEvents) {
    this.#timers = timers;
    this.#timeoutMs = timeoutMs;
    this.#events = events;
  }

  request(channel: string, request: PageRequest): Promise<HistoryPage> {
    return new Promise((resolve, reject) => {
      if (!this.#events.isOpen())
        return reject(new RingfenceError('not_connected', 'not asked for: there is no connection'));
      if (this.#waiting.size >= PAGES_WAITING_MAX)
        return reject(new RingfenceError('too_many_requests', `${PAGES_WAITING_MAX} pages have no answer yet`));
      const id = this.#events.nextId();
      this.#waiting.set(id, { channel, dueMs: this.#timers.now() + this.#timeoutMs, resolve, reject });
      this.#timer ??= this.#timers.setTimeout(() => this.#due(), this.#timeoutMs);
      this.#events.send(historyMessage({ id, channel, ...request }));
    });
  }

  /** True if the message was the answer to a request. */
  message(message: ServerMessage): boolean {
    if ((message.op !== 'history' && message.op !== 'error') || message.id === undefined) return false;
    const waiting = this.#waiting.get(message.id);
    if (!waiting) return false;
    this.#waiting.delete(message.id);
    this.#rest();
    if (message.op === 'history') waiting.resolve(page(message));
    else waiting.reject(new ServerError(message.code, message.message, waiting.channel, message.retryAfterMs));
    return true;
  }

  lost(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#rest();
    for (const { reject } of waiting)
      reject(new RingfenceError('connection_lost', 'the connection was lost before the answer'));
  }

  #rest(): void {
    if (this.#waiting.size > 0) return;
    this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  // The oldest are the first of the map, and due first.
  #due(): void {
    this.#timer = undefined;
    const nowMs = this.#timers.now();
    for (const [id, { reject, dueMs }] of this.#waiting) {
      if (dueMs > nowMs) {
        this.#timer = this.#timers.setTimeout(() => this.#due(), dueMs - nowMs);
        return;
      }
      this.#waiting.delete(id);
      reject(new RingfenceError('no_answer', `no answer in ${this.#timeoutMs} ms`));
    }
  }
}

const page = ({ channel, epoch, first, next, missed, more, events }: HistoryAnswer): HistoryPage =>
  Object.freeze({ channel, epoch, first, next, missed, more, events });
