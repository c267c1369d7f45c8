// What is published: sent in order, answered once, and held while the server asks to wait or there is no connection.
//
// At most once: what was sent and lost its connection before the answer is rejected (`connection_lost`), never sent again.
// Sent again is only what the server has refused for now (`rate_limited`, `overloaded`), in its old place.
// Owns     one timer for answers, one for the wait that the server asked for.
// Bounds   sent without an answer: publishesMax, and one at a time until what was refused for now is through. Waiting
//          without a connection: offlineMax messages of offlineBytes in all.
// Errors   each refusal rejects its promise with a code, and is counted.
import { byteLength } from './check.js';
import { EndedError, RingfenceError, ServerError } from './errors.js';
import { LATER, laterMs } from './later.js';
import type { Timers } from './types.js';
import { type Failure, jsonDepth } from './wire.js';

type Taken = { readonly seq: number };

interface Publish {
  readonly id: number;
  readonly channel: string;
  readonly text: string;
  readonly bytes: number;
  readonly resolve: (taken: Taken) => void;
  readonly reject: (error: Error) => void;
  dueMs: number;
}

export interface PublishLimits {
  readonly publishesMax: number;
  readonly publishTimeoutMs: number;
  readonly offlineMax: number;
  readonly offlineBytes: number;
}

export interface PublishEvents {
  send(text: string): void;
  isOpen(): boolean;
}

export class Publishes {
  readonly #limits: PublishLimits;
  readonly #timers: Timers;
  readonly #events: PublishEvents;
  readonly #sent = new Map<number, Publish>(); // by id, the oldest first
  #waiting: Publish[] = []; // in the order they were published, all behind those of #sent but for what was refused for now
  #waitingBytes = 0;
  #careful = 0; // refused for now and not taken yet: one goes at a time
  #messageBytesMax = Number.POSITIVE_INFINITY;
  #jsonDepthMax = Number.POSITIVE_INFINITY;
  #answerTimer: unknown;
  #holdTimer: unknown;
  refused = 0;
  delayed = 0;

  constructor(timers: Timers, limits: PublishLimits, events: PublishEvents) {
    this.#timers = timers;
    this.#limits = limits;
    this.#events = events;
  }

  get unacknowledged(): number {
    return this.#sent.size;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  add(id: number, channel: string, text: string): Promise<Taken> {
    return new Promise((resolve, reject) => {
      const bytes = byteLength(text);
      const publish: Publish = { id, channel, text, bytes, resolve, reject, dueMs: 0 };
      const { publishesMax, offlineMax, offlineBytes } = this.#limits;
      if (this.#events.isOpen()) {
        const count = this.#sent.size + this.#waiting.length;
        if (count >= Math.max(publishesMax, offlineMax))
          return this.#refuse(publish, 'too_many_publishes', `${count} have no answer yet`);
      } else {
        if (offlineMax === 0) return this.#refuse(publish, 'not_connected', 'there is no connection');
        if (this.#waiting.length >= offlineMax)
          return this.#refuse(publish, 'offline_full', `${offlineMax} messages wait for a connection already`);
        if (this.#waitingBytes + bytes > offlineBytes)
          return this.#refuse(publish, 'offline_full', `${bytes} bytes more than the ${offlineBytes} that may wait`);
      }
      if (!this.#fits(publish)) return;
      this.#waiting.push(publish);
      this.#waitingBytes += bytes;
      this.#pump();
    });
  }

  /** The server has greeted: what waits goes out, as far as it fits. */
  opened(messageBytesMax: number, jsonDepthMax: number): void {
    this.#messageBytesMax = messageBytesMax;
    this.#jsonDepthMax = jsonDepthMax;
    this.#waiting = this.#waiting.filter((publish) => {
      if (this.#fits(publish)) return true;
      this.#waitingBytes -= publish.bytes;
      return false;
    });
    this.#pump();
  }

  /** What has no answer may have been taken; what waits has not been, and stays. */
  lost(): void {
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    this.#clearTimers();
    const error = 'the connection was lost before the answer: it may have been taken';
    for (const { reject } of sent) reject(new RingfenceError('connection_lost', error));
  }

  end(owner: string): void {
    this.lost();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.refused += waiting.length;
    for (const { reject } of waiting) reject(new EndedError(owner));
  }

  /** True if the answer was for a publish. `seq` undefined: an answer that no publish can have. */
  taken(id: number, seq: number | undefined): boolean {
    const publish = this.#sent.get(id);
    if (!publish || seq === undefined) return false;
    this.#sent.delete(id);
    if (this.#careful > 0) --this.#careful;
    publish.resolve({ seq });
    this.#pump();
    return true;
  }

  failed(failure: Failure): boolean {
    const publish = failure.id === undefined ? undefined : this.#sent.get(failure.id);
    if (!publish) return false;
    this.#sent.delete(publish.id);
    if (LATER.has(failure.code)) {
      this.#hold(publish, failure.retryAfterMs);
      return true;
    }
    if (this.#careful > 0) --this.#careful;
    ++this.refused;
    publish.reject(new ServerError(failure.code, failure.message, publish.channel, failure.retryAfterMs));
    this.#pump();
    return true;
  }

  // Back to its place among those that wait: ids rise in the order of publishing.
  #hold(publish: Publish, retryAfterMs: number | undefined): void {
    ++this.delayed;
    const at = this.#waiting.findIndex(({ id }) => id > publish.id);
    this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, publish);
    this.#waitingBytes += publish.bytes;
    this.#careful = Math.min(this.#careful + 1, this.#waiting.length);
    this.#timers.clearTimeout(this.#holdTimer);
    this.#holdTimer = this.#timers.setTimeout(() => {
      this.#holdTimer = undefined;
      this.#pump();
    }, laterMs(retryAfterMs));
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#events.isOpen() && this.#holdTimer === undefined) {
      if (this.#sent.size >= (this.#careful > 0 ? 1 : this.#limits.publishesMax)) return;
      const publish = this.#waiting.shift() as Publish;
      this.#waitingBytes -= publish.bytes;
      publish.dueMs = this.#timers.now() + this.#limits.publishTimeoutMs;
      this.#sent.set(publish.id, publish);
      this.#answerTimer ??= this.#timers.setTimeout(() => this.#due(), this.#limits.publishTimeoutMs);
      this.#events.send(publish.text);
    }
  }

  // The oldest are the first of the map, and due first.
  #due(): void {
    this.#answerTimer = undefined;
    const nowMs = this.#timers.now();
    for (const [id, { reject, dueMs }] of this.#sent) {
      if (dueMs > nowMs) {
        this.#answerTimer = this.#timers.setTimeout(() => this.#due(), dueMs - nowMs);
        break;
      }
      this.#sent.delete(id);
      ++this.refused;
      const { publishTimeoutMs } = this.#limits;
      reject(new RingfenceError('no_answer', `no answer in ${publishTimeoutMs} ms: it may have been taken`));
    }
    this.#pump();
  }

  #fits(publish: Publish): boolean {
    const most = this.#messageBytesMax;
    if (publish.bytes > most) {
      this.#refuse(publish, 'message_too_large', `${publish.bytes} bytes, the server takes ${most}`);
      return false;
    }
    if (this.#jsonDepthMax === Number.POSITIVE_INFINITY) return true;
    const depth = jsonDepth(publish.text);
    if (depth <= this.#jsonDepthMax) return true;
    this.#refuse(publish, 'bad_json', `${depth} levels deep, the server takes ${this.#jsonDepthMax}`);
    return false;
  }

  #refuse({ reject }: Publish, code: string, why: string): void {
    ++this.refused;
    reject(new RingfenceError(code, `not published: ${why}`));
  }

  #clearTimers(): void {
    this.#timers.clearTimeout(this.#answerTimer);
    this.#timers.clearTimeout(this.#holdTimer);
    this.#answerTimer = this.#holdTimer = undefined;
  }
}
