// Keeps a connection's token fresh: asks for another one before it expires, and gives it to the server with `refresh`.
//
// Owns     one timer. Bounds: a wait of TIMER_MS_MAX at a time; failed refreshes are repeated with full jitter.
// Errors   told by `error`; the connection stays as it is: the server ends it when its token has expired, and the token
//          function is asked again before the next attempt.
import { RingfenceError, ServerError } from './errors.js';
import type { Timers } from './types.js';
import type { Failure } from './wire.js';

/** What setTimeout can wait. */
const TIMER_MS_MAX = 2 ** 31 - 1;
const LEAD_MS_MAX = 60_000;
/** Between two refreshes, at least: a clock that is wrong does not make a storm. */
const EVERY_MS_MIN = 5000;
const ANSWER_MS = 30_000;

export const tokenFailed = (cause: unknown): RingfenceError =>
  new RingfenceError('token_failed', `token() failed: ${String(cause)}`, { cause });

/** `exp` of a JWT in milliseconds, without looking at its signature; undefined where there is none. */
export function tokenExpiryMs(token: string): number | undefined {
  try {
    const part = token.split('.')[1] ?? '';
    const claims = JSON.parse(atob(part.replace(/-/g, '+').replace(/_/g, '/'))) as { exp?: unknown } | null;
    const exp = claims?.exp;
    return typeof exp === 'number' && Number.isFinite(exp) && exp > 0 ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

export interface TokenOptions {
  readonly token: string | (() => string | Promise<string>) | undefined;
  readonly timers: Timers;
  readonly random: () => number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
}

export interface TokenEvents {
  nextId(): number;
  send(text: string): void;
  error(error: Error): void;
}

export class TokenRefresh {
  readonly #options: TokenOptions;
  readonly #events: TokenEvents;
  #timer: unknown;
  #serial = 0; // of the connection, and of the asking under way
  #requestId: number | undefined;
  #asked: string | undefined;
  #failures = 0;
  refreshes = 0;

  constructor(options: TokenOptions, events: TokenEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** The server has greeted the one who came with this token. */
  opened(token: string | undefined): void {
    this.lost();
    this.#failures = 0;
    this.#schedule(token);
  }

  lost(): void {
    ++this.#serial;
    this.#requestId = undefined;
    this.#options.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  taken(id: number): boolean {
    if (id !== this.#requestId) return false;
    const token = this.#asked;
    this.lost();
    this.#failures = 0;
    ++this.refreshes;
    this.#schedule(token);
    return true;
  }

  failed({ id, code, message, retryAfterMs }: Failure): boolean {
    if (id === undefined || id !== this.#requestId) return false;
    this.#again(
      new ServerError(code, `the token was not refreshed: ${message}`, undefined, retryAfterMs),
      retryAfterMs,
    );
    return true;
  }

  #schedule(token: string | undefined): void {
    if (typeof this.#options.token !== 'function' || token === undefined) return;
    const expiryMs = tokenExpiryMs(token);
    if (expiryMs === undefined) return;
    const leftMs = expiryMs - this.#options.timers.now();
    this.#wait(Math.max(leftMs - Math.min(LEAD_MS_MAX, leftMs / 5), EVERY_MS_MIN));
  }

  #wait(ms: number): void {
    const { timers } = this.#options;
    const now = Math.min(ms, TIMER_MS_MAX);
    this.#timer = timers.setTimeout(() => (now < ms ? this.#wait(ms - now) : this.#ask()), now);
  }

  #ask(): void {
    const { token, timers } = this.#options;
    const serial = ++this.#serial;
    this.#timer = timers.setTimeout(
      () => this.#again(new RingfenceError('no_answer', `the token was not refreshed in ${ANSWER_MS} ms`)),
      ANSWER_MS,
    );
    Promise.resolve()
      .then(token as () => string | Promise<string>)
      .then(
        (value) => {
          if (serial !== this.#serial) return;
          this.#asked = value;
          this.#requestId = this.#events.nextId();
          this.#events.send(JSON.stringify({ op: 'refresh', id: this.#requestId, token: value }));
        },
        (cause: unknown) => {
          if (serial !== this.#serial) return;
          this.#again(tokenFailed(cause));
        },
      );
  }

  #again(error: Error, retryAfterMs?: number): void {
    const { backoffBaseMs, backoffMaxMs, random } = this.#options;
    const ceilingMs = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(this.#failures++, 30));
    this.lost();
    this.#wait(Math.max(retryAfterMs ?? random() * ceilingMs, 1));
    this.#events.error(error);
  }
}
