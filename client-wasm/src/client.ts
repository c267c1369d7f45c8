import { checkBytes, checkChannel, checkInteger, checkType } from './check.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { EndedError, RingfenceError, ServerError } from './errors.js';
import { Callable, type Registration, asyncDispose, dispose } from './handle.js';
import { HistoryImpl } from './history.js';
import { StoreImpl, type StoreClient } from './store.js';
import { watchPage } from './page.js';
import { Pages } from './pages.js';
import { type PublishLimits, Publishes } from './publishes.js';
import { Subscriptions } from './subscriptions.js';
import { TokenRefresh } from './token.js';
import type {
  ChannelResume,
  ChannelSubscription,
  Client,
  ClientOptions,
  ClientStats,
  ConnectionState,
  Handle,
  History,
  HistoryPage,
  PageOptions,
  SocketConstructor,
  SubscribeOptions,
  Timers,
} from './types.js';
import { type ServerMessage, type Welcome, publishMessage } from './wire.js';

const LISTENERS_MAX = 4096;
const MS_MAX = 24 * 3600 * 1000;

/** What a client lends to a part of it that pages load apart, such as ringfence/presence. */
export interface ClientHost {
  readonly store: StoreImpl;
  /** As errors and `liveHandles()` name the client. */
  readonly owner: string;
  readonly timers: Timers;
  nextId(): number;
  send(text: string): void;
  isOpen(): boolean;
  error(error: Error): void;
  /** A message of the server was not what the protocol says. */
  refuse(reason: string): void;
}

export interface ClientPart {
  /** The connection is open. */
  opened(): void;
  lost(): void;
  /** True if the message was for this part. */
  message(message: ServerMessage): boolean;
  end(): void;
}

export class ClientImpl extends Callable implements Client, StoreClient {
  readonly url: string;
  readonly #store: StoreImpl;
  readonly #source: number;
  readonly #connection: Connection;
  readonly #subscriptions: Subscriptions;
  readonly #pages: Pages;
  readonly #host: ClientHost;
  readonly #parts = new Map<unknown, ClientPart>(); // by what makes them
  readonly #publishes: Publishes;
  readonly #token: TokenRefresh;
  readonly #registration: Registration;
  readonly #stateListeners = new Map<Registration, (state: ConnectionState) => void>();
  readonly #errorListeners = new Map<Registration, (error: Error) => void>();
  readonly #resumeListeners = new Map<Registration, (resume: ChannelResume) => void>();
  readonly #unwatch: () => void;
  #nextId = 1;
  #refusedMessages = 0;
  #refusedBatches = 0;
  #errors = 0;
  #listenerErrors = 0;

  constructor(store: StoreImpl, options: ConnectionOptions, limits: PublishLimits) {
    super();
    store.table.checkRoom();
    this.url = options.url;
    this.#store = store;
    this.#source = store.nextSource();
    this.#connection = new Connection(options, {
      stateChanged: () => this.#tell(this.#stateListeners, this.#connection.state),
      greeted: (welcome) => this.#greeted(welcome),
      message: (message) => this.#message(message),
      batch: (bytes) => this.#batch(bytes),
      refusedMessage: () => ++this.#refusedMessages,
      lost: () => this.#lost(),
      error: (error) => this.#error(error),
    });
    const owner = `client ${JSON.stringify(options.url)}`;
    const host = (this.#host = {
      store,
      owner,
      timers: options.timers,
      nextId: () => this.#nextId++,
      send: (text: string) => this.#connection.send(text),
      isOpen: () => this.#connection.isOpen,
      error: (error: Error) => this.#error(error),
      refuse: (reason: string) => this.#refuse(reason),
    });
    this.#subscriptions = new Subscriptions(store, this.#source, owner, options.timers, {
      ...host,
      cut: (reason) => this.#connection.cut(reason),
      resumed: (lastResume) => this.#connection.update({ lastResume }),
      channelResumed: (resume) => this.#tell(this.#resumeListeners, resume),
    });
    this.#pages = new Pages(options.timers, limits.publishTimeoutMs, host);
    this.#publishes = new Publishes(options.timers, limits, host);
    this.#token = new TokenRefresh(options, host);
    store.addClient(this);
    this.#unwatch = watchPage(() => this.#connection.check());
    this.#registration = store.table.open('client', this.url, 'store', () => this.#end());
    this.#connection.start();
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  get handleCounts(): { readonly subscriptions: number; readonly listeners: number } {
    const listeners = this.#stateListeners.size + this.#errorListeners.size + this.#resumeListeners.size;
    return { subscriptions: this.#subscriptions.handles, listeners };
  }

  subscribe(channel: string, history: History<unknown>, options: SubscribeOptions = {}): ChannelSubscription {
    this.#check();
    this.#store.table.checkRoom();
    checkChannel(channel);
    if (!(history instanceof HistoryImpl) || !this.#store.holds(history))
      throw new TypeError("history was not made by this client's store");
    if (options.last !== undefined) checkInteger('last', options.last, 0, 2 ** 32 - 1);
    return this.#subscriptions.subscribe(channel, history, options.last);
  }

  publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }> {
    return new Promise((resolve) => {
      this.#check();
      checkChannel(channel);
      checkType(type);
      const id = this.#nextId++;
      resolve(this.#publishes.add(id, channel, publishMessage(id, channel, type, data)));
    });
  }

  history(channel: string, options: PageOptions = {}): Promise<HistoryPage> {
    return new Promise((resolve) => {
      this.#check();
      checkChannel(channel);
      const after = checkInteger('after', options.after ?? 0, 0, Number.MAX_SAFE_INTEGER);
      const limit = checkInteger('limit', options.limit ?? 100, 1, 1000);
      resolve(this.#pages.request(channel, { after, limit, epoch: options.epoch }));
    });
  }

  /** The part that `make` makes; made at the first call. */
  part<Part extends ClientPart>(make: (host: ClientHost) => Part): Part {
    this.#check();
    const part = this.#parts.get(make) ?? make(this.#host);
    this.#parts.set(make, part);
    return part as Part;
  }

  onState(listener: (state: ConnectionState) => void): Handle {
    return this.#listen(this.#stateListeners, listener);
  }

  onError(listener: (error: Error) => void): Handle {
    return this.#listen(this.#errorListeners, listener);
  }

  onResume(listener: (resume: ChannelResume) => void): Handle {
    return this.#listen(this.#resumeListeners, listener);
  }

  stats(): ClientStats {
    const connection = this.#connection;
    return {
      connects: connection.connects,
      messages: connection.messages,
      binaryMessages: connection.binaryMessages,
      receivedBytes: connection.receivedBytes,
      sentMessages: connection.sentMessages,
      refusedMessages: this.#refusedMessages,
      refusedBatches: this.#refusedBatches,
      errors: this.#errors,
      listenerErrors: this.#listenerErrors,
      gaps: this.#subscriptions.gaps,
      unacknowledged: this.#publishes.unacknowledged,
      waitingPublishes: this.#publishes.waiting,
      delayedPublishes: this.#publishes.delayed,
      refusedPublishes: this.#publishes.refused,
      delayedSubscribes: this.#subscriptions.delayed,
      tokenRefreshes: this.#token.refreshes,
      channels: this.#subscriptions.channels,
    };
  }

  cut(): void {
    this.#check();
    this.#connection.cut('cut()');
  }

  check(): void {
    this.#check();
    this.#connection.check();
  }

  disconnect(): void {
    this.#check();
    this.#connection.stop('stopped');
  }

  reconnect(): void {
    this.#check();
    this.#connection.start();
  }

  end(): void {
    this.#registration.end();
  }

  [dispose](): void {
    this.end();
  }

  [asyncDispose](): Promise<void> {
    this.end();
    return this.#connection.closed();
  }

  historyEnded(history: HistoryImpl<unknown>): void {
    this.#subscriptions.historyEnded(history);
  }

  #end(): void {
    this.#unwatch();
    this.#connection.stop('closed');
    this.#publishes.end(`client ${JSON.stringify(this.url)}`);
    this.#token.lost();
    this.#subscriptions.end();
    for (const part of this.#parts.values()) part.end();
    for (const listeners of [this.#stateListeners, this.#errorListeners, this.#resumeListeners])
      for (const registration of [...listeners.keys()]) registration.end();
    this.#store.removeClient(this);
  }

  #greeted(welcome: Welcome): void {
    if (welcome.frameBytes > this.#store.batchBytes) {
      const sizes = `the server sends batches of up to ${welcome.frameBytes} bytes, the store takes ${this.#store.batchBytes}`;
      this.#error(new RingfenceError('batch_too_large', `${sizes}: raise batchBytes in createStore()`));
    }
    this.#token.opened(this.#connection.token);
    this.#subscriptions.opened();
    for (const part of this.#parts.values()) part.opened();
    this.#publishes.opened(welcome.messageBytes, welcome.jsonDepth);
  }

  #lost(): void {
    this.#subscriptions.lost();
    this.#pages.lost();
    this.#token.lost();
    for (const part of this.#parts.values()) part.lost();
    this.#publishes.lost();
  }

  #message(message: ServerMessage): void {
    if (message.op === 'ok' && message.id !== undefined) {
      if (this.#publishes.taken(message.id, message.seq) || this.#token.taken(message.id)) return;
    } else if (message.op === 'error' && (this.#publishes.failed(message) || this.#token.failed(message))) {
      return;
    }
    if (this.#pages.message(message) || this.#subscriptions.message(message)) return;
    for (const part of this.#parts.values()) if (part.message(message)) return;
    if (message.op === 'error')
      return this.#error(new ServerError(message.code, message.message, undefined, message.retryAfterMs));
    this.#refuse(`nobody asked for this ${message.op}`);
  }

  #refuse(reason: string): void {
    ++this.#refusedMessages;
    this.#error(new RingfenceError('bad_message', `a message of the server was refused: ${reason}`));
  }

  #batch(bytes: Uint8Array): void {
    const refused = this.#store.ingest(bytes, this.#source);
    if (refused === undefined) return this.#subscriptions.arrived();
    ++this.#refusedBatches;
    this.#error(refused);
  }

  #error(error: Error): void {
    ++this.#errors;
    this.#tell(this.#errorListeners, error);
  }

  #listen<Value>(listeners: Map<Registration, (value: Value) => void>, listener: (value: Value) => void): Handle {
    this.#check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    if (listeners.size >= LISTENERS_MAX)
      throw new RingfenceError('too_many_subscriptions', `there are ${LISTENERS_MAX} listeners already`);
    const { table } = this.#store;
    const owner = `client ${JSON.stringify(this.url)}`;
    const registration = table.open('clientListener', '', owner, () => listeners.delete(registration));
    listeners.set(registration, listener);
    return table.handle(registration);
  }

  #tell<Value>(listeners: Map<Registration, (value: Value) => void>, value: Value): void {
    for (const [registration, listener] of [...listeners]) {
      if (!registration.active) continue;
      this.#store.guard(() => {
        try {
          listener(value);
        } catch (error) {
          ++this.#listenerErrors;
          throw error;
        }
      });
    }
  }

  #check(): void {
    if (this.state.status === 'closed') throw new EndedError(`client ${JSON.stringify(this.url)}`);
  }
}

function checkUrl(url: string | URL): string {
  const base = typeof globalThis.location === 'object' ? globalThis.location.href : undefined;
  let parsed: URL;
  try {
    parsed = new URL(String(url), base);
  } catch {
    throw new RangeError(`url is ${JSON.stringify(String(url))}: it must be an address like wss://host/v1/ws`);
  }
  if (parsed.protocol === 'http:') parsed.protocol = 'ws:';
  if (parsed.protocol === 'https:') parsed.protocol = 'wss:';
  if (parsed.protocol !== 'ws:' && parsed.protocol !== 'wss:')
    throw new RangeError(`url is ${JSON.stringify(String(url))}: its scheme must be ws, wss, http or https`);
  parsed.hash = '';
  return parsed.href;
}

/**
 * Connects to a ringfence-server, and connects again whenever the connection is lost. Each channel goes on where its
 * history is; `client.state.lastResume` says whether anything was missed.
 *
 * ```ts
 * const client = connect('wss://host/v1/ws', { store });
 * const subscription = client.subscribe('room:1', chat, { last: 50 });
 * await client.publish('room:1', 'chat_message', { text: 'hello' });
 * ```
 * @param url absolute, or in a page relative to it; http and https stand for ws and wss
 * @throws RangeError for an address or an option out of bounds
 * @throws TypeError if there is no WebSocket (Node below 22: pass one)
 */
export function connect(url: string | URL, options: ClientOptions): Client {
  const { store } = options;
  if (!(store instanceof StoreImpl)) throw new TypeError('store was not made by createStore()');
  if (store.ended) throw new EndedError('store');
  const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: unknown }).WebSocket;
  if (typeof WebSocket !== 'function') throw new TypeError('there is no WebSocket here: pass one as option WebSocket');
  const { silenceMs } = options;
  const connection: ConnectionOptions = {
    url: checkUrl(url),
    token: options.token,
    WebSocket: WebSocket as SocketConstructor,
    backoffBaseMs: checkInteger('backoff.baseMs', options.backoff?.baseMs ?? 1000, 1, MS_MAX),
    backoffMaxMs: checkInteger('backoff.maxMs', options.backoff?.maxMs ?? 30_000, 1, MS_MAX),
    silenceMs: silenceMs === undefined ? undefined : checkInteger('silenceMs', silenceMs, 1000, MS_MAX),
    connectTimeoutMs: checkInteger('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1, MS_MAX),
    askWhy: options.askWhy ?? options.WebSocket === undefined,
    random: options.random ?? Math.random,
    timers: options.timers ?? store.timers,
  };
  const limits: PublishLimits = {
    publishesMax: checkInteger('publishesMax', options.publishesMax ?? 256, 1, 65_536),
    publishTimeoutMs: checkInteger('publishTimeoutMs', options.publishTimeoutMs ?? 30_000, 1, MS_MAX),
    offlineMax: checkInteger('offlineMax', options.offlineMax ?? 0, 0, 65_536),
    offlineBytes: checkBytes('offlineBytes', options.offlineBytes ?? '256 KiB', 1, 2 ** 30),
  };
  return new ClientImpl(store, connection, limits);
}
