import { checkBytes } from './check.js';
import { BUDGET_BYTES_MAX, BUDGET_BYTES_MIN, Core } from './core.js';
import { EndedError, RingfenceError } from './errors.js';
import { HandleTable, type Registration, dispose, warnOfLeak } from './handle.js';
import { HistoryImpl } from './history.js';
import { Notifier, type NotifyMode } from './notifier.js';
import { makeQueue } from './queue.js';
import { SYSTEM_TIMERS } from './timers.js';
import type {
  HandleCounts,
  History,
  HistoryOptions,
  LiveHandle,
  Queue,
  QueueOptions,
  Store,
  StoreOptions,
  StoreStats,
  Timers,
} from './types.js';

const BATCH_BYTES_MIN = 4096;
const BATCH_BYTES_MAX = 16 * 1024 * 1024;
const BATCH_BYTES_DEFAULT = 1024 * 1024;
const EXPIRE_EVERY_MS_MIN = 50;
const EXPIRE_EVERY_MS_MAX = 10_000;

/** What a client is to its store. */
export interface StoreClient {
  readonly handleCounts: { readonly subscriptions: number; readonly listeners: number };
  end(): void;
  historyEnded(history: HistoryImpl<unknown>): void;
}

export interface Budget {
  readonly budgetBytes: number;
  readonly batchBytes: number;
}

/** @throws RangeError */
export function checkBudget(options: StoreOptions): Budget {
  const budgetBytes = checkBytes('budget', options.budget, BUDGET_BYTES_MIN, BUDGET_BYTES_MAX);
  const most = Math.min(BATCH_BYTES_MAX, Math.floor(budgetBytes / 4));
  const batchBytes = checkBytes(
    'batchBytes',
    options.batchBytes ?? Math.min(BATCH_BYTES_DEFAULT, Math.floor(budgetBytes / 8)),
    BATCH_BYTES_MIN,
    most,
  );
  if (options.notify !== undefined && options.notify !== 'frame' && options.notify !== 'microtask')
    throw new RangeError(`notify is ${JSON.stringify(options.notify)}: it must be 'frame' or 'microtask'`);
  return { budgetBytes, batchBytes };
}

/** Where an error goes that has nobody to take it. */
function report(error: unknown): void {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
  else console.error(error);
}

export class StoreImpl implements Store {
  readonly batchBytes: number;
  /** What is live, for `liveHandles()`. */
  readonly table: HandleTable;
  /** Rises whenever any history may have changed. */
  tick = 0;
  /** A reducer is being called: nothing may be changed meanwhile. */
  reducing = false;
  readonly queueNames = new Set<string>();
  readonly keyedNames = new Set<string>();
  readonly timers: Timers;
  /** What ends with the store, beside histories and clients. */
  readonly children = new Set<Registration>();
  readonly #core: Core;
  readonly #onError: (error: unknown) => void;
  readonly #notifier: Notifier;
  readonly #histories = new Set<HistoryImpl<unknown>>();
  readonly #dirty = new Set<() => void>();
  readonly #withValues = new Set<HistoryImpl<unknown>>();
  readonly #clients = new Set<StoreClient>();
  readonly #refusedByCode: Record<string, number> = {};
  #ended = false;
  #notifying = false;
  #sources = 0;
  #listenerErrors = 0;
  #notifications = 0;
  #pushes = 0;
  #expireTimer: unknown;

  constructor(module: WebAssembly.Module, options: StoreOptions) {
    const { budgetBytes, batchBytes } = checkBudget(options);
    this.batchBytes = batchBytes;
    this.timers = options.timers ?? SYSTEM_TIMERS;
    this.#core = new Core(module, budgetBytes, batchBytes);
    this.#onError = options.onError ?? report;
    const onLeak = options.onLeak ?? warnOfLeak;
    this.table = new HandleTable((leaked) => this.guard(() => onLeak(leaked)));
    const frames = typeof globalThis.requestAnimationFrame === 'function';
    const mode: NotifyMode = options.notify ?? (frames ? 'frame' : 'microtask');
    this.#notifier = new Notifier(mode, () => this.#notify());
  }

  history<T = unknown>(name: string, options: HistoryOptions<T> = {}): History<T> {
    const history = new HistoryImpl<T>(this, name, options);
    this.#histories.add(history as HistoryImpl<unknown>);
    this.#scheduleExpiry();
    return history;
  }

  histories(): readonly History[] {
    return [...this.#histories];
  }

  queue<T = unknown>(name: string, options: QueueOptions): Queue<T> {
    return makeQueue<T>(this, name, options);
  }

  handles(): HandleCounts {
    let subscriptions = 0;
    let clientListeners = 0;
    for (const client of this.#clients) {
      subscriptions += client.handleCounts.subscriptions;
      clientListeners += client.handleCounts.listeners;
    }
    const clients = this.#clients.size;
    const { histories, routes, ...core } = this.#ended
      ? { histories: 0, listeners: 0, routes: 0 }
      : this.#core.storeNumbers();
    const listeners = core.listeners + this.table.count('listener', /^(queue|keyed) /); // those are JavaScript's alone
    const views = this.table.count('view');
    const projections = this.table.count('projection');
    const queues = this.table.count('queue');
    const keyed = this.table.count('keyed');
    const counts = { histories, listeners, routes, clients, subscriptions, clientListeners, views, projections };
    const presences = this.table.count('presence');
    const total = Object.values(counts).reduce((sum, count) => sum + count, queues + keyed + presences);
    return { ...counts, queues, keyed, presences, total };
  }

  liveHandles(): readonly LiveHandle[] {
    return this.table.list();
  }

  stats(): StoreStats {
    const { core } = this;
    const numbers = core.storeNumbers();
    const refusedBatchesByCode = core.refusedByCode();
    let refusedBatches = numbers.refusedBatches;
    for (const [code, count] of Object.entries(this.#refusedByCode)) {
      refusedBatchesByCode[code] = (refusedBatchesByCode[code] ?? 0) + count;
      refusedBatches += count;
    }
    return {
      budgetBytes: core.budgetBytes,
      memoryBytes: core.memoryBytes,
      usedBytes: numbers.usedBytes,
      highWaterMarkBytes: numbers.highWaterMarkBytes,
      capacityBytes: numbers.capacityBytes,
      declaredBytes: numbers.declaredBytes,
      batches: numbers.batches,
      records: numbers.records + this.#pushes,
      batchBytes: numbers.batchBytes,
      duplicates: numbers.duplicates,
      refusedRecords: numbers.refusedRecords,
      unrouted: numbers.unrouted,
      holes: numbers.holes,
      refusedBatches,
      refusedBatchesByCode,
      listenerErrors: this.#listenerErrors,
      notifications: this.#notifications,
      handles: this.handles(),
      collectedHandles: this.table.collected,
    };
  }

  end(): void {
    if (this.#ended) return;
    for (const client of [...this.#clients]) client.end();
    for (const history of [...this.#histories]) history.end();
    for (const child of [...this.children]) child.end();
    if (this.#ended) return; // by who was told that a client has ended
    this.#ended = true;
    this.#notifier.end();
    this.timers.clearTimeout(this.#expireTimer);
    // Called by a listener, the core is still at work on its stack: it goes once it has returned.
    if (!this.#notifying) this.#core.delete();
  }

  [dispose](): void {
    this.end();
  }

  // What histories and clients ask.

  get core(): Core {
    if (this.#ended) throw new EndedError('store');
    return this.#core;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Takes a batch whole or not at all: undefined, or its error. */
  ingest(bytes: Uint8Array, source = 0): RingfenceError | undefined {
    if (this.reducing) return new RingfenceError('reducing', 'a batch came from within a reducer');
    const code = this.core.ingest(bytes, source);
    if (code === undefined) {
      // A history with projections stops before it evicts what they have not folded.
      while (!this.#ended && this.#core.blocked !== 0) {
        ++this.tick;
        this.#byId(this.#core.blocked)?.makeWay();
        if (!this.#ended) this.#core.resume();
      }
      if (this.#ended) return undefined;
      this.changed();
      return undefined;
    }
    // These two never reach the core's own counters.
    if (code === 'batch_too_large' || code === 'memory_full')
      this.#refusedByCode[code] = (this.#refusedByCode[code] ?? 0) + 1;
    const why = code === 'batch_too_large' ? `batchBytes is ${this.batchBytes}` : code;
    return new RingfenceError(code, `a batch of ${bytes.length} bytes was refused: ${why}`);
  }

  /** Something in a history may have changed. */
  changed(): void {
    ++this.tick;
    for (const history of this.#withValues) history.trimValues();
    if (this.#core.hasChanges) this.#notifier.schedule();
  }

  /** `notify` is called in the next notification, once. */
  mark(notify: () => void): void {
    this.#dirty.add(notify);
    this.#notifier.schedule();
  }

  /** A value was pushed. */
  pushed(history: HistoryImpl<unknown>): void {
    ++this.tick;
    ++this.#pushes;
    this.#withValues.add(history);
    this.#notifier.schedule();
  }

  #byId(id: number): HistoryImpl<unknown> | undefined {
    for (const history of this.#histories) if (history.id === id) return history;
    return undefined;
  }

  /** Calls a listener; what it throws is counted and told, and stops nothing. */
  guard(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.tell(error);
    }
  }

  /** Counts and tells what something of the user threw. */
  tell(error: unknown): void {
    ++this.#listenerErrors;
    try {
      this.#onError(error);
    } catch (second) {
      report(second);
    }
  }

  /** A number for a connection's channel ids: those of two servers are not the same channels. */
  nextSource(): number {
    return ++this.#sources;
  }

  holds(history: HistoryImpl<unknown>): boolean {
    return this.#histories.has(history) || history.ended;
  }

  addClient(client: StoreClient): void {
    this.#clients.add(client);
  }

  removeClient(client: StoreClient): void {
    this.#clients.delete(client);
  }

  remove(history: HistoryImpl<never> | HistoryImpl<unknown>): void {
    const gone = history as HistoryImpl<unknown>;
    for (const client of [...this.#clients]) client.historyEnded(gone);
    this.#histories.delete(gone);
    this.#withValues.delete(gone);
    this.core.removeHistory(gone.id);
    ++this.tick;
  }

  #notify(): void {
    if (this.#ended) return;
    ++this.#notifications;
    this.#notifying = true;
    this.#core.notify();
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (const notify of dirty) if (!this.#ended) notify();
    this.#notifying = false;
    if (this.#ended) this.#core.delete();
    else if (this.#core.hasChanges || this.#dirty.size > 0) this.#notifier.schedule();
  }

  // One timer for all histories with an age limit, a tenth of the shortest limit.
  #scheduleExpiry(): void {
    this.timers.clearTimeout(this.#expireTimer);
    let shortestMs = Number.POSITIVE_INFINITY;
    for (const { maxAge } of this.#histories) if (maxAge !== undefined) shortestMs = Math.min(shortestMs, maxAge);
    if (shortestMs === Number.POSITIVE_INFINITY) return;
    const everyMs = Math.min(Math.max(shortestMs / 10, EXPIRE_EVERY_MS_MIN), EXPIRE_EVERY_MS_MAX);
    this.#expireTimer = this.timers.setTimeout(() => {
      let expired = 0;
      for (const history of this.#histories)
        if (history.maxAge !== undefined) expired += history.expire(this.timers.now());
      if (expired > 0) this.changed();
      this.#scheduleExpiry();
    }, everyMs);
    // Node: nothing to wait for.
    (this.#expireTimer as { unref?: () => void }).unref?.();
  }
}
