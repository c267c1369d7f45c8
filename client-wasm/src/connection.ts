// A WebSocket that comes back: opening, greeting, heartbeat, backoff. Knows nothing of channels.
//
// Owns     at most one socket and two timers: one for its state (attempt, retry) and one for the heartbeat.
// Bounds   delays: backoff.maxMs, or what the server asked for, at most RETRY_AFTER_MS_MAX; OFFLINE_RETRY_MS without a network.
//          However often check() is called: an attempt in HURRY_MS, a ping in PROBE_MS.
import { RingfenceError, ServerError } from './errors.js';
import type { HandshakeCheck } from './handshake.js';
import { isOffline } from './page.js';
import { tokenFailed } from './token.js';
import type { ConnectionState, SocketConstructor, SocketLike, Timers } from './types.js';
import { PING_MESSAGE, SUBPROTOCOL, type ServerMessage, type Welcome, parseServerMessage } from './wire.js';

const RETRY_AFTER_MS_MAX = 10 * 60 * 1000;
/** A connection that held this long starts the backoff anew. */
const STABLE_MS = 5000;
/** How often `retryInMs` is told anew. */
const COUNTDOWN_MS = 1000;
/** Silence, in intervals of the server's own pings, after which the connection counts as dead. */
const SILENCE_INTERVALS = 2.4;
const SILENCE_MS_MIN = 1000;
/** Between two attempts, at least, where the page hurries the second one. */
const HURRY_MS = 1000;
/** How long a connection that is looked at may take for its answer. */
const PROBE_MS = 5000;
/** A browser may be wrong about its network: so often it is tried all the same. */
const OFFLINE_RETRY_MS = 5 * 60 * 1000;
/** How long closed() waits for the other side. */
const CLOSE_MS_MAX = 2000;
/** Needs no network. */
const LOOPBACK = /^wss?:\/\/(localhost|127\.[\d.]+|\[::1\])[:/]/;

export interface ConnectionOptions {
  readonly url: string;
  readonly token: string | (() => string | Promise<string>) | undefined;
  readonly WebSocket: SocketConstructor;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly silenceMs: number | undefined;
  readonly connectTimeoutMs: number;
  /** Ask the server by HTTP why it refused a handshake. */
  readonly askWhy: boolean;
  readonly random: () => number;
  readonly timers: Timers;
}

export interface ConnectionEvents {
  stateChanged(): void;
  greeted(welcome: Welcome): void;
  /** All but `welcome`, `pong` and `closing`. */
  message(message: ServerMessage): void;
  batch(bytes: Uint8Array): void;
  refusedMessage(): void;
  /** After `greeted`, once. */
  lost(reason: string): void;
  error(error: Error): void;
}

const INITIAL_STATE: ConnectionState = Object.freeze({
  status: 'connecting',
  retryInMs: 0,
  attempt: 0,
  lastResume: undefined,
  connection: undefined,
  lastClose: undefined,
});

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  #state: ConnectionState = INITIAL_STATE;
  #gone: Promise<void> | undefined;
  #socket: SocketLike | undefined;
  /** That of the last attempt. */
  token: string | undefined;
  #serial = 0; // of the attempt under way: what belongs to an earlier one is ignored
  #greeted = false;
  #greetedAtMs = 0;
  #startedAtMs = Number.NEGATIVE_INFINITY;
  #retryAfterMs: number | undefined;
  #askedUntilMs = 0; // by the server: no attempt before
  #dueMs = 0;
  #silenceMs = 0;
  #probing = false;
  #handshake: HandshakeCheck | undefined;
  #timer: unknown;
  #heartbeat: unknown;
  #heardAtMs = 0;
  #pingedAtMs: number | undefined;
  messages = 0;
  binaryMessages = 0;
  receivedBytes = 0;
  sentMessages = 0;
  connects = 0;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#greeted;
  }

  /** Opens a socket now, unless one is open or opening. */
  start(): void {
    const { status } = this.#state;
    if (status === 'closed' || this.#socket !== undefined) return;
    this.#clearTimer();
    const serial = ++this.#serial;
    this.#startedAtMs = this.#options.timers.now();
    this.update({ status: 'connecting', retryInMs: 0 });
    if (serial !== this.#serial) return; // who was told has stopped it, or begun another
    this.#timer = this.#options.timers.setTimeout(
      () => this.#failed('no greeting in time'),
      this.#options.connectTimeoutMs,
    );
    const { token } = this.#options;
    if (typeof token !== 'function') {
      this.#open(token);
      return;
    }
    // A promise of a token may come late: then another attempt is under way.
    Promise.resolve()
      .then(token)
      .then(
        (value) => {
          if (serial === this.#serial) this.#open(value);
        },
        (cause: unknown) => {
          if (serial !== this.#serial) return;
          this.#events.error(tokenFailed(cause));
          this.#failed('no token');
        },
      );
  }

  send(text: string): void {
    if (!this.#greeted || !this.#socket) return;
    ++this.sentMessages;
    this.#socket.send(text);
  }

  /** The connection is of no use any more: the usual way back. */
  cut(reason: string): void {
    if (this.#socket !== undefined || this.#state.status === 'connecting') this.#failed(reason);
  }

  /** Looks at once whether the connection lives; where there is none, tries now (not before the server allows it). */
  check(): void {
    const { status } = this.#state;
    if (status === 'open') return this.#probe();
    if (status !== 'waiting' && status !== 'offline') return;
    const dueMs = Math.max(this.#askedUntilMs, this.#startedAtMs + HURRY_MS);
    if (dueMs > this.#options.timers.now() || this.#offline) this.#wait(dueMs);
    else this.start();
  }

  stop(status: 'stopped' | 'closed', reason = status === 'stopped' ? 'disconnect()' : 'end()'): void {
    if (this.#state.status === 'closed') return;
    const wasGreeted = this.#drop();
    this.update({ status, retryInMs: 0, attempt: 0, connection: undefined, lastClose: reason });
    if (wasGreeted) this.#events.lost(reason);
  }

  /** Once the socket that was let go of last is closed, CLOSE_MS_MAX later at the latest. */
  async closed(): Promise<void> {
    const { timers } = this.#options;
    let timer: unknown;
    await Promise.race([
      this.#gone,
      new Promise((resolve) => (timer = timers.setTimeout(() => resolve(0), CLOSE_MS_MAX))),
    ]);
    timers.clearTimeout(timer);
  }

  update(change: Partial<ConnectionState>): void {
    const next = Object.freeze({ ...this.#state, ...change });
    const keys = Object.keys(change) as (keyof ConnectionState)[];
    if (keys.every((key) => next[key] === this.#state[key])) return;
    this.#state = next;
    this.#events.stateChanged();
  }

  #open(token: string | undefined): void {
    this.token = token;
    const protocols = token === undefined ? [SUBPROTOCOL] : [SUBPROTOCOL, `bearer.${token}`];
    let socket: SocketLike;
    try {
      socket = new this.#options.WebSocket(this.#options.url, protocols);
    } catch (cause) {
      this.#events.error(
        new RingfenceError('socket_failed', `the WebSocket was not made: ${String(cause)}`, { cause }),
      );
      this.#failed('no socket');
      return;
    }
    this.#socket = socket;
    let refused = true;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      refused = false;
      if (socket.protocol === SUBPROTOCOL) return;
      this.#events.error(
        new RingfenceError('bad_protocol', `the server chose sub-protocol ${JSON.stringify(socket.protocol)}`),
      );
      this.#failed('sub-protocol');
    };
    socket.onmessage = (event: { readonly data: unknown }) => this.#receive(event.data);
    socket.onerror = () => undefined; // a close follows, which says more
    socket.onclose = (event: { readonly code?: number; readonly reason?: string }) => {
      this.#failed(`closed ${event.code ?? ''} ${event.reason ?? ''}`.trim());
      if (refused && this.#options.askWhy) void this.#askWhy(token);
    };
  }

  async #askWhy(token: string | undefined): Promise<void> {
    // Of no use to a page whose handshakes succeed: loaded when one does not. Without a network that fails too.
    const loaded = await import('./handshake.js').catch(() => undefined);
    if (loaded) this.#handshake ??= new loaded.HandshakeCheck();
    const error = await this.#handshake?.why(this.#options.url, token);
    if (!error || this.#state.status === 'closed') return;
    if (this.#state.status !== 'open') this.update({ lastClose: error.code });
    this.#events.error(error);
  }

  #receive(data: unknown): void {
    this.#heardAtMs = this.#options.timers.now();
    ++this.messages;
    if (typeof data !== 'string') {
      if (!(data instanceof ArrayBuffer)) return this.#refuse('a message that is neither text nor an ArrayBuffer');
      ++this.binaryMessages;
      this.receivedBytes += data.byteLength;
      this.#events.batch(new Uint8Array(data));
      return;
    }
    this.receivedBytes += data.length;
    const message = parseServerMessage(data);
    if (typeof message === 'string') return this.#refuse(message);
    switch (message.op) {
      case 'welcome':
        return this.#greet(message);
      case 'pong':
        return;
      case 'closing':
        // Another session of the user has taken its place, or a back end wants it gone: coming back would undo that.
        if (!message.reconnect) return this.stop('stopped', message.reason);
        this.#retryAfterMs = message.retryAfterMs;
        return;
      case 'error':
        if (!this.#greeted) {
          this.#retryAfterMs = message.retryAfterMs; // it is about connecting; later ones are about an op
          this.#events.error(new ServerError(message.code, message.message, undefined, message.retryAfterMs));
          return;
        }
        break;
    }
    this.#events.message(message);
  }

  #refuse(reason: string): void {
    this.#events.refusedMessage();
    this.#events.error(new RingfenceError('bad_message', `a message of the server was refused: ${reason}`));
  }

  #greet(welcome: Welcome): void {
    if (this.#greeted) return this.#refuse('a second welcome');
    this.#clearTimer();
    this.#greeted = true;
    this.#greetedAtMs = this.#options.timers.now();
    this.#retryAfterMs = undefined;
    this.#handshake?.passed();
    ++this.connects;
    const silenceMs = this.#options.silenceMs ?? welcome.pingIntervalMs * SILENCE_INTERVALS;
    this.#silenceMs = Math.max(silenceMs, SILENCE_MS_MIN);
    this.#beat();
    this.update({ status: 'open', retryInMs: 0, connection: welcome.connection });
    if (this.#greeted) this.#events.greeted(welcome);
  }

  // A ping goes out after half of the silence allowed, and its answer has the other half. A timer that runs late (a
  // page in the background) does not count as silence: what counts is that a ping had no answer.
  #beat(): void {
    const { timers } = this.#options;
    const half = this.#silenceMs / 2;
    this.#heartbeat = timers.setTimeout(() => {
      const nowMs = timers.now();
      if (this.#pingedAtMs !== undefined && this.#heardAtMs >= this.#pingedAtMs) this.#pingedAtMs = undefined;
      if (this.#pingedAtMs !== undefined && nowMs - this.#pingedAtMs >= half) return this.#failed('silent');
      if (this.#pingedAtMs === undefined && nowMs - this.#heardAtMs >= half) this.#ping(nowMs);
      this.#beat();
    }, half / 2);
  }

  #ping(nowMs: number): void {
    this.#pingedAtMs = nowMs;
    this.send(PING_MESSAGE);
  }

  // In place of the beat: a ping now, and little time for its answer.
  #probe(): void {
    if (this.#probing) return;
    const { timers } = this.#options;
    this.#probing = true;
    this.#heardAtMs = Number.NEGATIVE_INFINITY;
    timers.clearTimeout(this.#heartbeat);
    this.#ping(timers.now());
    this.#heartbeat = timers.setTimeout(() => {
      if (this.#heardAtMs < (this.#pingedAtMs as number)) return this.#failed('silent');
      this.#probing = false;
      this.#pingedAtMs = undefined;
      this.#beat();
    }, PROBE_MS);
  }

  #failed(reason: string): void {
    const { backoffBaseMs, backoffMaxMs, random, timers } = this.#options;
    const nowMs = timers.now();
    const stable = this.#greeted && nowMs - this.#greetedAtMs >= STABLE_MS;
    const attempt = stable ? 0 : this.#state.attempt;
    const asked = this.#retryAfterMs;
    this.#retryAfterMs = undefined;
    const wasGreeted = this.#drop();
    const ceilingMs = Math.min(backoffMaxMs, backoffBaseMs * 2 ** Math.min(attempt, 30));
    const delayMs = asked === undefined ? random() * ceilingMs : Math.min(asked, RETRY_AFTER_MS_MAX);
    this.#askedUntilMs = asked === undefined ? 0 : nowMs + delayMs;
    this.#wait(nowMs + delayMs, {
      attempt: attempt + (this.#offline ? 0 : 1),
      connection: undefined,
      lastClose: reason,
    });
    if (wasGreeted) this.#events.lost(reason);
  }

  get #offline(): boolean {
    return isOffline() && !LOOPBACK.test(this.#options.url);
  }

  // Until `dueMs`; without a network until there is one: no attempt is spent on that.
  #wait(dueMs: number, change: Partial<ConnectionState> = {}): void {
    this.#clearTimer();
    const offline = this.#offline;
    const nowMs = this.#options.timers.now();
    this.#dueMs = offline ? nowMs + OFFLINE_RETRY_MS : dueMs;
    const retryInMs = offline ? 0 : Math.max(0, Math.ceil(dueMs - nowMs));
    const status = offline ? 'offline' : 'waiting';
    this.update({ ...change, status, retryInMs });
    // Else who was told has stopped it, or begun another attempt or wait.
    if (this.#state.status === status && this.#timer === undefined) this.#countDown();
  }

  #countDown(): void {
    const { timers } = this.#options;
    const leftMs = this.#dueMs - timers.now();
    const stepMs = this.#state.status === 'waiting' ? COUNTDOWN_MS : leftMs;
    this.#timer = timers.setTimeout(
      () => (this.#dueMs <= timers.now() ? this.start() : this.#wait(this.#dueMs)),
      Math.max(0, Math.min(leftMs, stepMs)),
    );
  }

  // Lets go of the socket and the timers. Tells nobody: a listener may call anything. True if the server had greeted.
  #drop(): boolean {
    ++this.#serial;
    this.#clearTimer();
    this.#options.timers.clearTimeout(this.#heartbeat);
    this.#heartbeat = undefined;
    this.#pingedAtMs = undefined;
    this.#probing = false;
    const socket = this.#socket;
    this.#socket = undefined;
    const wasGreeted = this.#greeted;
    this.#greeted = false;
    if (socket) {
      socket.onopen = socket.onmessage = null;
      this.#gone = new Promise((resolve) => (socket.onclose = () => resolve()));
      socket.onerror = () => undefined; // closing while connecting reports an error
      socket.close();
    }
    return wasGreeted;
  }

  #clearTimer(): void {
    this.#options.timers.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
