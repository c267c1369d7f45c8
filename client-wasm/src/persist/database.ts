// The IndexedDB database of kept histories: one row for each history, and its segments.
//
// Schema   version 1. `histories`: by name. `segments`: by [name, seq of the first record].
// Bounds   load() stops at what it is told to read. A save is one transaction: all of it, or nothing.
// Errors   persist_newer (the schema is of a later version: left as it is), persist_unavailable, persist_quota, persist_failed.
import { RingfenceError } from '../errors.js';
import { type Segment, readSegment } from './segment.js';

const SCHEMA = 1;
/** Of what a row of `histories` says. */
export const FORMAT = 1;

/** A row of `histories`. */
export interface Kept {
  readonly format: number;
  readonly channel: string;
  readonly epoch: string;
  /** How far the history was in its channel. */
  readonly lastSeq: number;
  /** Another one with each save: who has not this one has not written last. */
  readonly stamp: string;
}

export interface Loaded {
  readonly kept: Kept | undefined;
  /** Oldest first. */
  readonly segments: readonly Segment[];
  /** What is there is not of this package, or is damaged: why. */
  readonly refused: 'persist_foreign' | 'persist_corrupt' | undefined;
}

export interface Save {
  readonly kept: Kept;
  /** The stamp that must be there; undefined: whatever there is. */
  readonly expected: string | undefined;
  /** Segments that begin below this are removed first; Infinity: all of them. */
  readonly below: number;
  /** And this one. */
  readonly replaced: number | undefined;
  readonly segments: readonly Segment[];
}

/** Of one history. */
const segmentsOf = (name: string): IDBKeyRange => IDBKeyRange.bound([name], [name, []]);

export function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const { format, channel, epoch, lastSeq, stamp } = value as Partial<Kept>;
  return (
    format === FORMAT &&
    typeof channel === 'string' &&
    typeof epoch === 'string' &&
    /^[a-z0-9]{1,16}$/.test(epoch) &&
    Number.isSafeInteger(lastSeq) &&
    (lastSeq as number) >= 0 &&
    typeof stamp === 'string'
  );
}

function toError(cause: unknown, what: string): RingfenceError {
  const name = (cause as { name?: string } | null)?.name;
  let code = 'persist_failed';
  if (name === 'QuotaExceededError') code = 'persist_quota';
  else if (name === 'VersionError') code = 'persist_newer';
  return new RingfenceError(code, `${what}: ${String(cause)}`, { cause });
}

export class Database {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /** @param closed called if the browser closes it, or another page wants a later version */
  static open(factory: IDBFactory, name: string, timeoutMs: number, closed: () => void): Promise<Database> {
    return new Promise((resolve, reject) => {
      const request = factory.open(name, SCHEMA);
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        reject(new RingfenceError('persist_unavailable', `database ${name} was not opened in ${timeoutMs} ms`));
      }, timeoutMs);
      request.onupgradeneeded = () => {
        request.result.createObjectStore('histories');
        request.result.createObjectStore('segments');
      };
      request.onerror = () => {
        clearTimeout(timer);
        reject(toError(request.error, `database ${name} was not opened`));
      };
      request.onsuccess = () => {
        clearTimeout(timer);
        const database = request.result;
        if (late) return database.close();
        database.onclose = closed;
        database.onversionchange = () => {
          database.close();
          closed();
        };
        resolve(new Database(database));
      };
    });
  }

  /** What is kept of a history, the newest `recordsMax` and `bytesMax` of it or a segment more. Nothing is changed. */
  load(name: string, recordsMax: number, bytesMax: number): Promise<Loaded> {
    const segments: Segment[] = [];
    let kept: Kept | undefined;
    let refused: Loaded['refused'];
    let records = 0;
    let bytes = 0;
    return this.#run('readonly', `history ${name} was not read`, (histories, stored) => {
      const found = histories.get(name);
      found.onsuccess = () => {
        if (found.result === undefined) return;
        if (!isKept(found.result)) return void (refused = 'persist_foreign');
        kept = found.result;
        const walk = stored.openCursor(segmentsOf(name), 'prev');
        let above = kept.lastSeq + 1;
        walk.onsuccess = () => {
          const cursor = walk.result;
          if (!cursor || records >= recordsMax || bytes >= bytesMax) return;
          const segment = readSegment(cursor.value);
          if (!segment || segment.last >= above || (cursor.key as unknown[])[1] !== segment.first)
            return void (refused = 'persist_corrupt');
          segments.unshift(segment);
          above = segment.first;
          records += segment.count;
          bytes += segment.bytes.length;
          cursor.continue();
        };
      };
    }).then(() => (refused ? { kept: undefined, segments: [], refused } : { kept, segments, refused }));
  }

  /** False, with nothing changed, if the stamp is another one: somebody else has written. */
  async save(name: string, { kept, expected, below, replaced, segments }: Save): Promise<boolean> {
    let taken = false;
    try {
      await this.#run('readwrite', `history ${name} was not kept`, (histories, stored, transaction) => {
        const found = histories.get(name);
        found.onsuccess = () => {
          const stamp = (found.result as Partial<Kept> | undefined)?.stamp;
          if (expected !== undefined && stamp !== expected) {
            taken = true;
            return transaction.abort();
          }
          if (below === Number.POSITIVE_INFINITY) stored.delete(segmentsOf(name));
          else if (below > 0) stored.delete(IDBKeyRange.bound([name], [name, below], false, true));
          if (replaced !== undefined) stored.delete([name, replaced]);
          for (const segment of segments) stored.put(segment, [name, segment.first]);
          histories.put(kept, name);
        };
      });
    } catch (error) {
      if (!taken) throw error;
    }
    return !taken;
  }

  erase(name: string): Promise<void> {
    return this.#run('readwrite', `history ${name} was not erased`, (histories, stored) => {
      histories.delete(name);
      stored.delete(segmentsOf(name));
    });
  }

  /** What is under way still ends. */
  close(): void {
    this.#database.onclose = this.#database.onversionchange = null;
    this.#database.close();
  }

  #run(
    mode: IDBTransactionMode,
    what: string,
    body: (histories: IDBObjectStore, segments: IDBObjectStore, transaction: IDBTransaction) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      try {
        const transaction = this.#database.transaction(['histories', 'segments'], mode, { durability: 'relaxed' });
        transaction.oncomplete = () => resolve();
        transaction.onabort = () => reject(toError(transaction.error, what));
        body(transaction.objectStore('histories'), transaction.objectStore('segments'), transaction);
      } catch (cause) {
        reject(toError(cause, what)); // it was closed
      }
    });
  }
}
