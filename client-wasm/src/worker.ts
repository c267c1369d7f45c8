// ringfence/worker: the socket and the core in a Worker, so that frames never touch the page's own thread; the page gets
// snapshots of what it shows.
//
// Owns     the Worker. Bounds: one message of it on its way, with what is new in the windows shown; the next one comes when the
//          page has had a frame.
import type { RingfenceError } from './errors.js';
import { dispose, warnOfLeak } from './handle.js';
import type { PersistOptions } from './persist.js';
import type {
  ChannelResume,
  ChannelSubscription,
  ClientOptions,
  ClientStats,
  ConnectionSource,
  ConnectionState,
  Handle,
  HandleCounts,
  HistoryOptions,
  HistoryPage,
  HistoryStats,
  LiveHandle,
  PageOptions,
  StoreStats,
  SubscribeOptions,
  WindowSource,
} from './types.js';
import { fromPlain } from './worker/errors.js';
import { Link } from './worker/link.js';
import type { News, ToPage, WorkerLike } from './worker/messages.js';
import { RemoteClient } from './worker/remote_client.js';
import { RemoteHistory } from './worker/remote_history.js';

/** A hidden page gets no frames: this long after a message the next one may come without one. */
const FRAME_WAIT_MS_MAX = 250;

/** What `createWorkerStore()` may be told. */
export interface WorkerStoreOptions {
  /** As `createStore`: the most WASM memory of the worker. */
  readonly budget: number | string;
  /** As `createStore`. */
  readonly batchBytes?: number | string;
  /** The address of the WASM, or a compiled module. Default: the `core.wasm` beside the package's own files. */
  readonly wasm?: string | URL | WebAssembly.Module;
  /**
   * Makes the worker, for a bundler that does not know `new Worker(new URL(...))`, or another place: a module or classic worker of
   * `ringfence/worker_thread.js`. Default: the one beside the package's own files.
   */
  readonly worker?: () => Worker;
  /** Told of what a listener or `decode` threw, and of a worker that failed (`worker_failed`). Default: `reportError`. */
  readonly onError?: (error: unknown) => void;
  /** As `createStore`, of the handles that the page holds. Default: `console.warn` with the stack of where it was made. */
  readonly onLeak?: (leaked: LiveHandle) => void;
}

/** As `HistoryOptions`; the values that a page pushes cannot go into a worker's history, so nothing about them. */
export interface WorkerHistoryOptions<T = unknown> extends Pick<
  HistoryOptions<T>,
  'capacity' | 'bytes' | 'maxAge' | 'decode'
> {
  /**
   * Keeps it in IndexedDB, from the worker, as `persist()` of `ringfence/persist` does; what is kept already is in it when the
   * promise of it resolves. Errors go to the store's `onError`. Default: false.
   */
  readonly persist?: boolean | Omit<PersistOptions, 'indexedDB' | 'onError'>;
}

/** A history in the worker, for `useHistory` and `useCount`. Made by `WorkerStore.history()`. */
export interface WorkerHistory<T = unknown> extends WindowSource<T> {
  /** Ends it, as `end()`. */
  (): void;
  /** As declared. */
  readonly name: string;
  /** Records that were kept, and put into it at the start. */
  readonly restored: number;
  /**
   * As `History.stats()`; `undecodable` of the page.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  stats(): Promise<HistoryStats>;
  /**
   * Evicts all records; the place in the channel stays.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  clear(): Promise<void>;
  /** Ends it, here and in the worker. Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
}

/** A connection in the worker, for `useConnection` and `useSubscription`. What is not said here is as of `Client`. */
export interface WorkerClient extends ConnectionSource {
  /** Ends it, as `end()`. */
  (): void;
  /** The address, absolute. */
  readonly url: string;
  /**
   * What `connect()` or `Client.subscribe()` would throw is told to `onError`; the subscription is then `refused`.
   * @throws EndedError after the end of either; RingfenceError `too_many_handles` where 65,536 are live in the page
   */
  subscribe(channel: string, history: WorkerHistory, options?: SubscribeOptions): ChannelSubscription;
  /**
   * As `Client.publish()`.
   * @throws (rejects) TypeError for data that no message can carry
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }>;
  /**
   * As `Client.history()`.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  history(channel: string, options?: PageOptions): Promise<HistoryPage>;
  /** As `Client.onError()`. @throws EndedError after its end */
  onError(listener: (error: Error) => void): Handle;
  /** As `Client.onResume()`. @throws EndedError after its end */
  onResume(listener: (resume: ChannelResume) => void): Handle;
  /**
   * As `Client.stats()`.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  stats(): Promise<ClientStats>;
  /** As `Client.cut()`. @throws EndedError after its end */
  cut(): void;
  /** As `Client.check()`. @throws EndedError after its end */
  check(): void;
  /** As `Client.disconnect()`. @throws EndedError after its end */
  disconnect(): void;
  /** As `Client.reconnect()`. @throws EndedError after its end */
  reconnect(): void;
  /** Ends it with its subscriptions and listeners, here and in the worker. Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
  /** Ends it, and waits until its socket has closed, 2 s at most. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What is live on the page's side of a worker. All zero but for what is in use. */
export interface WorkerHandleCounts {
  /** Histories that have not ended. */
  readonly histories: number;
  /** Selectors that somebody listens to: windows in the worker. */
  readonly windows: number;
  /** Lists that the worker draws. */
  readonly drawings: number;
  /** Listeners of windows. */
  readonly listeners: number;
  /** Connections that have not ended. */
  readonly clients: number;
  /** `client.subscribe()` handles. */
  readonly subscriptions: number;
  /** Listeners of clients. */
  readonly clientListeners: number;
  /** The sum of all of these. */
  readonly total: number;
}

/** A store in a worker of its own. Made by `createWorkerStore()`. */
export interface WorkerStore {
  /** @throws (rejects) as `Store.history()` throws */
  history<T = unknown>(name: string, options?: WorkerHistoryOptions<T>): Promise<WorkerHistory<T>>;
  /** As `connect()`, without what no message can carry; `token` as a function is called on the page. @throws (rejects) as `connect()` throws */
  connect(
    url: string | URL,
    options?: Omit<ClientOptions, 'store' | 'WebSocket' | 'random' | 'timers'>,
  ): Promise<WorkerClient>;
  /** Of the page's side. */
  handles(): WorkerHandleCounts;
  /** Each of them, as of `Store`; also of kind `window` (named by its selector) and `drawing`. */
  liveHandles(): readonly LiveHandle[];
  /**
   * Of the store in the worker; its windows and subscriptions listen there. `listenerErrors` are those of the page too, and
   * `collectedHandles` those alone.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  stats(): Promise<StoreStats>;
  /**
   * Of the store in the worker.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  workerHandles(): Promise<HandleCounts>;
  /**
   * Once what the kept histories (`persist`) have by now is written. A page that ends the store and leaves at once would not wait for it.
   * @throws (rejects) RingfenceError `too_many_requests` above 1,024 calls without an answer; EndedError after its end
   */
  flush(): Promise<void>;
  /** Ends every history and client, and terminates the worker, which has 3 s for it (what is kept is written). Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
}

/** Relative to the page, not to the worker's script. What is no address is the worker's to refuse. */
function absolute(address: string): string {
  try {
    return new URL(address, globalThis.location?.href).href;
  } catch {
    return address;
  }
}

function report(error: unknown): void {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
  else console.error(error);
}

/** When the page has had a frame; a hidden one, a while later. Returns what forgets it. */
function afterFrame(run: () => void): () => void {
  let frame: number | undefined;
  const forget = (): void => {
    clearTimeout(timer);
    if (frame !== undefined) globalThis.cancelAnimationFrame(frame);
  };
  const once = (): void => {
    forget();
    run();
  };
  const timer = setTimeout(once, FRAME_WAIT_MS_MAX);
  if (typeof globalThis.requestAnimationFrame === 'function') frame = globalThis.requestAnimationFrame(once);
  return forget;
}

class WorkerStoreImpl implements WorkerStore {
  readonly #link: Link;
  readonly #histories = new Map<number, RemoteHistory<unknown>>();
  readonly #windows = new Map<number, RemoteHistory<unknown>>(); // by window or drawing
  readonly #clients = new Map<number, RemoteClient>();
  readonly #onError: (error: unknown) => void;
  #forgetFrame: (() => void) | undefined;

  constructor(worker: WorkerLike, onError: (error: unknown) => void, onLeak: (leaked: LiveHandle) => void) {
    this.#onError = onError;
    const failed = (error: RingfenceError): void => {
      for (const client of this.#clients.values()) client.failed(error);
      this.#drop(error.message);
      onError(error);
    };
    globalThis.document?.addEventListener?.('visibilitychange', this.#seen);
    this.#link = new Link(worker, (message) => this.#receive(message), onError, failed, onLeak);
  }

  start({ budget, batchBytes }: WorkerStoreOptions, wasm: string | WebAssembly.Module): Promise<void> {
    return this.#link.call({ of: 'start', wasm, budget, batchBytes });
  }

  async history<T = unknown>(name: string, options: WorkerHistoryOptions<T> = {}): Promise<WorkerHistory<T>> {
    const { decode, persist = false, ...plain } = options;
    const id = this.#link.next();
    const kept = persist === true ? {} : persist || undefined;
    const call = { of: 'history', history: id, name, options: plain, persist: kept } as const;
    const { restored } = await this.#link.call<{ restored: number }>(call);
    const history = new RemoteHistory<T>(this.#link, id, name, decode, this.#windows, restored, () =>
      this.#histories.delete(id),
    );
    this.#histories.set(id, history as unknown as RemoteHistory<unknown>);
    return history;
  }

  async connect(
    url: string | URL,
    { token, ...options }: Omit<ClientOptions, 'store' | 'WebSocket' | 'random' | 'timers'> = {},
  ): Promise<WorkerClient> {
    const id = this.#link.next();
    const address = absolute(String(url));
    const client = new RemoteClient(this.#link, id, address, token, () => this.#clients.delete(id));
    this.#clients.set(id, client); // its token may be asked for at once
    const bring = typeof token === 'function' ? true : (token ?? false);
    try {
      await this.#link.call({ of: 'connect', client: id, url: address, token: bring, options });
    } catch (error) {
      client.end();
      throw error;
    }
    return client as unknown as WorkerClient;
  }

  handles(): WorkerHandleCounts {
    const { table } = this.#link;
    return {
      histories: table.count('history'),
      windows: table.count('window'),
      drawings: table.count('drawing'),
      listeners: table.count('listener'),
      clients: table.count('client'),
      subscriptions: table.count('subscription'),
      clientListeners: table.count('clientListener'),
      total: table.list().length,
    };
  }

  liveHandles(): readonly LiveHandle[] {
    return this.#link.table.list();
  }

  async stats(): Promise<StoreStats> {
    const stats = await this.#link.call<StoreStats>({ of: 'store', method: 'stats' });
    const { listenerErrors, table } = this.#link;
    return { ...stats, listenerErrors: stats.listenerErrors + listenerErrors, collectedHandles: table.collected };
  }

  flush(): Promise<void> {
    return this.#link.call({ of: 'store', method: 'flush' });
  }

  workerHandles(): Promise<HandleCounts> {
    return this.#link.call({ of: 'store', method: 'handles' });
  }

  end(): void {
    if (this.#link.ended) return;
    this.#link.end();
    this.#drop('end()');
  }

  [dispose](): void {
    this.end();
  }

  // A worker has no document: the page says when it is hidden, and when it is seen again.
  readonly #seen = (): void => {
    if (globalThis.document.visibilityState !== 'visible') return this.#link.send({ op: 'hidden' });
    for (const client of this.#clients.values()) client.check();
  };

  #drop(reason: string): void {
    globalThis.document?.removeEventListener?.('visibilitychange', this.#seen);
    this.#forgetFrame?.();
    for (const client of [...this.#clients.values()]) client.end(reason);
    for (const history of [...this.#histories.values()]) history.end();
  }

  #receive(message: ToPage): void {
    if (message.op === 'askToken') void this.#clients.get(message.client)?.answerToken(message.id);
    else if (message.op === 'news') this.#take(message);
    else if (message.op === 'failed') this.#onError(fromPlain(message.error));
  }

  // All of it first, then everybody is told: what a listener reads is of one moment.
  #take({ windows, drawings, states, subscriptions, resumes, errors }: News): void {
    this.#forgetFrame = afterFrame(() => this.#link.send({ op: 'shown' }));
    const tell: (() => void)[] = [];
    for (const news of windows) {
      const told = this.#windows.get(news.window)?.take(news);
      if (told) tell.push(told);
    }
    for (const news of drawings) {
      const history = this.#windows.get(news.drawing);
      if (history) tell.push(() => history.drawn(news));
    }
    for (const [id, state] of subscriptions)
      for (const client of this.#clients.values()) client.subscription(id, state);
    for (const [id, state] of states) this.#clients.get(id)?.changed(state as ConnectionState);
    for (const told of tell) told();
    for (const [id, resume] of resumes) this.#clients.get(id)?.resumed(resume);
    for (const [id, error] of errors) this.#clients.get(id)?.failed(fromPlain(error));
  }
}

/**
 * Starts a worker with a store in it: sockets, histories and their memory live there, and the page's thread decodes the rows
 * that it shows, once a frame. For pages that are busy with other things; without a worker frames cost the page little already.
 *
 * ```tsx
 * const store = await createWorkerStore({ budget: '16 MiB' });
 * const chat = await store.history<Chat>('chat', { capacity: 1000 });
 * const client = await store.connect('wss://host/v1/ws');
 * client.subscribe('room:1', chat, { last: 50 });
 * const { items } = useHistory(chat, { last: 50 }); // in a component
 * ```
 * Needs `worker-src` for the package's own files and `'wasm-unsafe-eval'` under a Content-Security-Policy. Vite, webpack and Next
 * bundle the worker by themselves.
 * @throws (rejects) RangeError for a budget out of its bounds
 * @throws (rejects) WasmLoadError's codes and messages as RingfenceError: `wasm_load`; `worker_failed` if the worker's script does not load
 */
export async function createWorkerStore(options: WorkerStoreOptions): Promise<WorkerStore> {
  const { wasm = new URL('./core.wasm', import.meta.url), onError = report, onLeak = warnOfLeak } = options;
  const worker = options.worker?.() ?? new Worker(new URL('./worker_thread.js', import.meta.url), { type: 'module' });
  const source = wasm instanceof WebAssembly.Module ? wasm : absolute(String(wasm));
  const store = new WorkerStoreImpl(worker as WorkerLike, onError, onLeak);
  try {
    await store.start(options, source);
  } catch (error) {
    store.end();
    throw error;
  }
  return store;
}
