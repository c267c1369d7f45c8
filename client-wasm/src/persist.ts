// ringfence/persist: keeps what a channel brought into a history in IndexedDB, so that a page that is loaded again shows it
// at once and goes on where it was.
//
// Owns     one database connection, one listener on the history, one on the document, one timer, one lock.
// Bounds   kept: what the history holds, and less than a segment (32 KiB) more. Written at most once in `flushMs`, 256 KiB at a
//          time, in idle time. What cannot be written waits in the history, which is bounded.
// Errors   told to `onError`, counted in `stats()`, never thrown into the page: see PersistOptions.
import { checkInteger } from './check_integer.js';
import { EndedError, RingfenceError } from './errors.js';
import type { Registration } from './handle.js';
import type { HistoryImpl } from './history.js';
import { Database } from './persist/database.js';
import { restore } from './persist/restore.js';
import { type Change, Saver } from './persist/saver.js';
import type { History } from './types.js';

const SEGMENTS_A_SAVE = 8;
const IDLE_MS_MAX = 1000;
const BACKOFF_MS_MAX = 60_000;

/** What `persist` may be told. */
export interface PersistOptions {
  /** The name of the IndexedDB database, 1 to 256 characters. Histories of other names may share it. Default `'ringfence'`. */
  readonly database?: string;
  /** How long after a change it is written, in milliseconds, 10 to 60,000. Default 1,000. */
  readonly flushMs?: number;
  /** How long `end()` may take to write the rest, in milliseconds, 0 to 60,000. Default 2,000. */
  readonly endTimeoutMs?: number;
  /** How long the database may take to open, in milliseconds, 1 to 60,000. Default 5,000. */
  readonly openTimeoutMs?: number;
  /** Default: `globalThis.indexedDB`. */
  readonly indexedDB?: IDBFactory;
  /**
   * Told of what went wrong; the history works on without being kept. Codes: `persist_unavailable` (no IndexedDB, or it does not
   * open), `persist_newer` (kept by a later version; left as it is), `persist_corrupt`, `persist_foreign` or `batch_...` (what
   * was kept is damaged, or not of this package; dropped), `persist_quota` (there is no room; what was kept before stays, and
   * it is tried again ever more slowly), `persist_taken` (another page writes the same history; only where there are no Web
   * Locks), `persist_failed`, `persist_timeout` (`end()` took too long). Default: `console.warn`.
   */
  readonly onError?: (error: RingfenceError) => void;
}

/**
 * `writing`: kept by this page. `waiting`: another page of the site keeps it; this one takes over when that has gone. `off`: it
 * cannot be kept, `onError` was told why. `ended`.
 */
export type PersistState = 'writing' | 'waiting' | 'off' | 'ended';

/** The counters of a `Persistence`: since it was made, never reset, but for what is so now. */
export interface PersistStats {
  /** As of the `Persistence`. */
  readonly state: PersistState;
  /** Records that were put into the history at the start. */
  readonly restored: number;
  /** Kept now. */
  readonly records: number;
  /** Segments kept now: up to 256 records each, and 32 KiB unless one record is larger. */
  readonly segments: number;
  /** Bytes kept now. */
  readonly bytes: number;
  /** Transactions that have written. */
  readonly saves: number;
  /** Bytes that they wrote. */
  readonly savedBytes: number;
  /** Saves that failed, those for want of room among them. */
  readonly failedSaves: number;
  /** Saves for which there was no room. */
  readonly quotaErrors: number;
  /** Whether what was kept was refused and dropped at the start. */
  readonly refused: number;
  /** The code of the last error; undefined while there was none. */
  readonly lastError: string | undefined;
}

/** Keeps one history. Ends with it. */
export interface Persistence {
  /** Of its history. */
  readonly name: string;
  /** How it is now. */
  readonly state: PersistState;
  /** Records that were put into the history at the start. */
  readonly restored: number;
  /** Writes what has changed, now. Resolves when it is written, or could not be (`onError`). */
  flush(): Promise<void>;
  /** Its counters; the last ones, once it has ended. Does not throw. */
  stats(): PersistStats;
  /** Writes the rest, for `endTimeoutMs` at the most, and lets go of the database. What is kept stays. Again: the same promise. */
  end(): Promise<void>;
  /** As `end()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const kept = new WeakSet<HistoryImpl<unknown>>();

// As in handle.ts. No class of the main entry is imported here: a second file for what both use would make that larger.
const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

function idle(run: () => void): void {
  if (typeof globalThis.requestIdleCallback === 'function')
    globalThis.requestIdleCallback(run, { timeout: IDLE_MS_MAX });
  else run();
}

class PersistenceImpl implements Persistence {
  readonly name: string;
  restored = 0;
  state: PersistState = 'off';
  readonly #history: HistoryImpl<unknown>;
  readonly #options: Required<Omit<PersistOptions, 'indexedDB' | 'onError'>>;
  readonly #onError: (error: RingfenceError) => void;
  readonly #registration: Registration;
  readonly #listener: Registration;
  readonly #saver: Saver;
  readonly #waiting = new AbortController();
  #database: Database | undefined;
  #release: (() => void) | undefined; // gives the lock back
  #anew = false; // another page has written since: all of it goes once more
  #timer: ReturnType<typeof setTimeout> | undefined;
  #saving: Promise<boolean> | undefined;
  #ended: Promise<void> | undefined;
  #failuresInRow = 0;
  #saves = 0;
  #savedBytes = 0;
  #failedSaves = 0;
  #quotaErrors = 0;
  #refused = 0;
  #lastError: string | undefined;

  constructor(
    history: HistoryImpl<unknown>,
    options: Required<Omit<PersistOptions, 'indexedDB' | 'onError'>>,
    onError: (error: RingfenceError) => void,
  ) {
    this.name = history.name;
    this.#history = history;
    this.#options = options;
    this.#onError = onError;
    this.#saver = new Saver(history);
    const owner = `persist ${JSON.stringify(history.name)}`;
    this.#registration = history.store.table.open('persist', history.name, history.label, () => this.#end());
    this.#listener = history.listen(() => this.#changed(), owner);
    history.children.add(this.#registration);
  }

  /** Reads what is kept into the history. @throws RingfenceError `not_empty`, EndedError */
  async start(factory: IDBFactory | undefined): Promise<void> {
    const { database, openTimeoutMs } = this.#options;
    try {
      if (!factory) throw new RingfenceError('persist_unavailable', 'there is no IndexedDB here');
      this.#database = await Database.open(factory, database, openTimeoutMs, () => {
        this.#off();
        this.#tell(new RingfenceError('persist_unavailable', `database ${database} was closed by the browser`));
      });
      const free = await this.#lock();
      if (this.#history.ended) throw new EndedError(this.#history.label);
      const { capacity, bytesMax } = this.#history;
      const loaded = await this.#database.load(this.name, capacity, bytesMax);
      if (this.#history.ended) throw new EndedError(this.#history.label);
      if (!isEmpty(this.#history))
        throw new RingfenceError(
          'not_empty',
          `${this.#history.label} got records while it was read: subscribe it afterwards`,
        );
      let refused = loaded.refused as string | undefined;
      if (loaded.kept) {
        try {
          restore(this.#history, loaded.kept, loaded.segments);
          this.#saver.loaded(loaded.kept, loaded.segments);
          this.restored = this.#history.size;
        } catch (error) {
          refused = (error as RingfenceError).code;
        }
      }
      if (refused !== undefined) {
        ++this.#refused;
        if (free) await this.#database.erase(this.name);
        this.#tell(new RingfenceError(refused, `what was kept of ${this.#history.label} was refused, and dropped`));
      }
      if (this.#registration.active) this.state = free ? 'writing' : 'waiting';
      this.#watchPage(globalThis.document, 'addEventListener');
    } catch (error) {
      const { code } = error as RingfenceError;
      if (code === 'not_empty' || code === 'ended') {
        this.#registration.end();
        this.#letGo();
        throw error;
      }
      this.#off();
      this.#tell(error as RingfenceError);
    }
  }

  async flush(): Promise<void> {
    while (await this.#step());
  }

  stats(): PersistStats {
    const { state, restored } = this;
    const { records, segments, bytes } = this.#saver;
    return {
      state,
      restored,
      records,
      segments,
      bytes,
      saves: this.#saves,
      savedBytes: this.#savedBytes,
      failedSaves: this.#failedSaves,
      quotaErrors: this.#quotaErrors,
      refused: this.#refused,
      lastError: this.#lastError,
    };
  }

  end(): Promise<void> {
    this.#registration.end();
    return this.#ended ?? Promise.resolve();
  }

  [asyncDispose](): Promise<void> {
    return this.end();
  }

  readonly #hidden = (): void => {
    if (globalThis.document?.visibilityState !== 'visible') void this.flush();
  };

  #watchPage(page: Document | undefined, how: 'addEventListener' | 'removeEventListener'): void {
    page?.[how]?.('visibilitychange', this.#hidden);
  }

  // One page of a site writes a history. True if it is this one; else it will be when the others have gone.
  #lock(): Promise<boolean> {
    const locks = globalThis.navigator?.locks;
    if (!locks) return Promise.resolve(true);
    const name = `ringfence persist ${this.#options.database} ${this.name}`;
    const hold = (): Promise<void> => new Promise((release) => (this.#release = release));
    return new Promise((resolve) => {
      locks
        .request(name, { ifAvailable: true }, (lock) => {
          resolve(lock !== null);
          return lock ? hold() : undefined;
        })
        .catch(() => resolve(true)); // a page that may not lock
    }).then((free) => {
      if (free) return true;
      locks
        .request(name, { signal: this.#waiting.signal }, () => {
          this.#anew = true;
          this.state = 'writing';
          this.#changed();
          return hold();
        })
        .catch(() => undefined); // it has ended
      return false;
    });
  }

  #changed(): void {
    if (this.state !== 'writing' || this.#timer !== undefined) return;
    const { flushMs } = this.#options;
    const waitMs = Math.min(flushMs * 2 ** this.#failuresInRow, Math.max(flushMs, BACKOFF_MS_MAX));
    this.#wait(waitMs);
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(
      () =>
        idle(() => {
          if (this.#timer === undefined) return; // it has ended
          this.#timer = undefined;
          void this.#step().then((more) => {
            if (this.state !== 'writing' || this.#timer !== undefined) return;
            if (more) this.#wait(0);
            else if (this.#failuresInRow > 0) this.#changed();
          });
        }),
      ms,
    );
    (this.#timer as { unref?: () => void }).unref?.(); // Node: nothing to wait for
  }

  // One save after the other. True if there is more to be written.
  async #step(): Promise<boolean> {
    while (this.#saving) await this.#saving;
    if (this.state !== 'writing') return false;
    const change = this.#saver.collect(SEGMENTS_A_SAVE, this.#anew);
    if (!change) return false;
    this.#saving = this.#save(change);
    const saved = await this.#saving;
    this.#saving = undefined;
    return saved && change.more;
  }

  async #save(change: Change): Promise<boolean> {
    const database = this.#database as Database;
    try {
      if (!(await database.save(this.name, change.save))) {
        this.#off();
        this.#tell(new RingfenceError('persist_taken', `${this.#history.label} is kept by another page`));
        return false;
      }
      this.#saver.saved(change);
      this.#anew = false;
      this.#failuresInRow = 0;
      ++this.#saves;
      for (const { bytes } of change.save.segments) this.#savedBytes += bytes.length;
      return true;
    } catch (error) {
      ++this.#failuresInRow;
      ++this.#failedSaves;
      if ((error as RingfenceError).code === 'persist_quota') ++this.#quotaErrors;
      this.#tell(error as RingfenceError);
      return false;
    }
  }

  #tell(error: RingfenceError): void {
    this.#lastError = error.code;
    this.#history.store.guard(() => this.#onError(error));
  }

  // It can not be kept any more.
  #off(): void {
    if (this.state !== 'ended') this.state = 'off';
    this.#letGo();
  }

  #letGo(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#listener.end();
    this.#watchPage(globalThis.document, 'removeEventListener');
    this.#waiting.abort();
    this.#release?.();
    this.#database?.close();
  }

  #end(): void {
    this.#history.children.delete(this.#registration);
    this.#listener.end();
    // Now, as the history may be about to go. A save under way may yet fail: then all of it goes once more.
    const writing = this.state === 'writing';
    const change = writing ? this.#saver.collect(Number.POSITIVE_INFINITY, this.#anew || !!this.#saving) : undefined;
    this.state = 'ended';
    this.#ended = this.#finish(change);
  }

  async #finish(change: Change | undefined): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.#options.endTimeoutMs);
    });
    const save = async (): Promise<void> => {
      await this.#saving;
      if (change) await this.#save(change);
    };
    const outcome = await Promise.race([save(), late]);
    clearTimeout(timer);
    this.#letGo();
    if (outcome !== 'late') return;
    const { endTimeoutMs } = this.#options;
    this.#tell(new RingfenceError('persist_timeout', `${this.#history.label} was not kept in ${endTimeoutMs} ms`));
  }
}

function isEmpty({ store, id, fed }: HistoryImpl<unknown>): boolean {
  const { end, lastSeq } = store.core.place(id);
  return !fed && end === 0 && lastSeq === 0;
}

/**
 * Puts what an earlier page kept into the history, and keeps it from now on. Subscribe the history when this has resolved: it
 * then goes on where it was, and `client.onResume` tells what came meanwhile. Values that the page has pushed are not kept.
 *
 * ```ts
 * const chat = store.history<Chat>('chat', { capacity: 1000 });
 * const kept = await persist(chat); // its rows are there
 * client.subscribe('room:1', chat, { last: 50 }); // "replayed 12"
 * ```
 * It never rejects for the storage's sake: then nothing is restored, `onError` says why, and the history works as ever.
 * @throws (rejects) RangeError for an option out of its bounds
 * @throws (rejects) RingfenceError `not_empty`: the history has records, or a channel, already; `already_persisted`
 */
export async function persist<T>(history: History<T>, options: PersistOptions = {}): Promise<Persistence> {
  const impl = history as unknown as HistoryImpl<unknown>;
  if (!impl.store?.holds?.(impl)) throw new TypeError('history was not made by a store');
  const { database = 'ringfence' } = options;
  if (typeof database !== 'string' || database === '' || database.length > 256)
    throw new RangeError(`database is ${JSON.stringify(database)}: it must have 1 to 256 characters`);
  const limits = {
    database,
    flushMs: checkInteger('flushMs', options.flushMs ?? 1000, 10, 60_000),
    endTimeoutMs: checkInteger('endTimeoutMs', options.endTimeoutMs ?? 2000, 0, 60_000),
    openTimeoutMs: checkInteger('openTimeoutMs', options.openTimeoutMs ?? 5000, 1, 60_000),
  };
  if (impl.ended) throw new EndedError(impl.label);
  if (kept.has(impl)) throw new RingfenceError('already_persisted', `${impl.label} is kept already`);
  if (!isEmpty(impl))
    throw new RingfenceError('not_empty', `${impl.label} has records or a channel: persist() goes before subscribe()`);
  kept.add(impl);
  const warn = (error: RingfenceError): void => console.warn(`ringfence: ${error.message} (${error.code})`);
  const persistence = new PersistenceImpl(impl, limits, options.onError ?? warn);
  await persistence.start(options.indexedDB ?? globalThis.indexedDB);
  return persistence;
}
