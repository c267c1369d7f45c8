// Older records of a channel in front of what a history holds, for display.
//
// Owns     the rows that were loaded, and those that have left the history since the first were: nothing in WASM.
// Bounds   rows: `max`; the oldest leave, counted. A load holds at most two pages more until it is whole, and has one request on
//          its way: each brings rows of it, or doubles or halves the range of seqs that is asked for.
import type { Client, Handle, History, Row, Snapshot, Window } from './types.js';

/** Immutable; another object after each change. */
export interface BackfillSnapshot<T = unknown> {
  /** Loaded rows and those of the history, by seq, each once. Frozen. */
  readonly items: readonly Row<T>[];
  /** A page is on its way. */
  readonly loading: boolean;
  /** Nothing older is to be had: the server holds none, or `max` rows are shown. */
  readonly done: boolean;
  /** Rows in `items` from before what the history holds. */
  readonly older: number;
  /** Rows that were shown and left because of `max`. */
  readonly dropped: number;
  /** Why the last load failed; undefined again once one does not. */
  readonly error: Error | undefined;
}

export interface BackfillSource<T> {
  readonly client: Client;
  readonly channel: string;
  readonly history: History<T>;
  /** Rows shown before anything is loaded. */
  readonly last: number;
  readonly page: number;
  readonly max: number;
  readonly decode: ((value: unknown, type: string) => T) | undefined;
}

export const EMPTY_BACKFILL: BackfillSnapshot<never> = Object.freeze({
  items: Object.freeze([]) as readonly never[],
  loading: false,
  done: false,
  older: 0,
  dropped: 0,
  error: undefined,
});

export class Backfill<T> {
  readonly #source: BackfillSource<T>;
  readonly #listeners = new Set<() => void>();
  #window: Window<T>;
  #kept: Row<T>[] = []; // below what the history shows; by seq
  #live: Snapshot<T> | undefined;
  #snapshot: BackfillSnapshot<T> = EMPTY_BACKFILL;
  #epoch: string | undefined;
  #loading = false;
  #exhausted = false;
  #dropped = 0;
  #error: Error | undefined;
  #changed = true;

  constructor(source: BackfillSource<T>) {
    this.#source = source;
    this.#window = source.history.window({ last: source.last });
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    const own = (): void => listener();
    this.#listeners.add(own);
    const handle: Handle = this.#source.history.subscribe(own);
    return () => {
      this.#listeners.delete(own);
      handle.end();
    };
  };

  readonly getSnapshot = (): BackfillSnapshot<T> => {
    const live = this.#window.getSnapshot();
    if (live === this.#live && !this.#changed) return this.#snapshot;
    this.#follow(live);
    this.#changed = false;
    const { items } = live;
    const full = this.#kept.length + items.length >= this.#source.max;
    this.#snapshot = Object.freeze({
      items: this.#kept.length === 0 ? items : Object.freeze([...this.#kept, ...items]),
      loading: this.#loading,
      done: this.#exhausted || full,
      older: this.#kept.length,
      dropped: this.#dropped,
      error: this.#error,
    });
    return this.#snapshot;
  };

  /** Loads a page of what lies before the oldest row shown. Does nothing while one is loading, or once `done`. */
  readonly loadOlder = async (): Promise<void> => {
    const { items, done } = this.getSnapshot();
    if (this.#loading || done || !items[0]) return;
    this.#loading = true;
    this.#tell();
    try {
      await this.#load(items, Math.min(this.#source.page, this.#source.max - items.length));
      this.#error = undefined;
    } catch (error) {
      this.#error = error as Error;
    }
    this.#loading = false;
    this.#tell();
  };

  /** Lets go of what was loaded. */
  readonly reset = (): void => {
    this.#forget();
    this.#tell();
  };

  #forget(): void {
    this.#kept = [];
    this.#exhausted = false;
    this.#epoch = undefined;
    this.#window = this.#source.history.window({ last: this.#source.last });
  }

  // The seqs of a channel may have holes, so a range that should hold `limit` rows is a guess. All of it is read before any of it
  // is shown: an answer holds as many rows as fit into a frame.
  async #load(items: readonly Row<T>[], limit: number): Promise<void> {
    const { client, channel } = this.#source;
    const window = this.#window;
    const [oldest, newest] = [items[0]?.seq ?? 0, items.at(-1)?.seq ?? 0];
    let end = Math.ceil(oldest); // nothing is from here to the oldest row shown
    let low: number | undefined; // a record is right behind: the newer half of what follows is looked at
    let span = Math.ceil(limit * Math.max(1, (newest - oldest + 1) / items.length));
    let after = Math.max(0, end - 1 - span);
    let rows: Row[] = [];
    for (;;) {
      const answer = await client.history(channel, { after, limit, ...(this.#epoch ? { epoch: this.#epoch } : {}) });
      if (this.#window !== window) return; // reset meanwhile
      this.#epoch ??= answer.epoch;
      // Another life of the channel: the numbers of the rows loaded mean nothing there.
      if (answer.epoch !== this.#epoch) return this.#forget();
      const came = answer.events.filter(({ seq }) => seq > after && seq < end);
      rows = [...rows, ...came];
      const last = came.at(-1)?.seq ?? end;
      if (came.length === answer.events.length && answer.more && last < end - 1) {
        after = last;
        if (rows.length < limit) continue;
        low = last - 1;
        rows = [];
      } else if (rows.length > 0 || after < answer.first) {
        rows = rows.slice(-limit);
        this.#exhausted = answer.first >= (rows[0]?.seq ?? 0);
        return this.#take(rows, items);
      } else {
        end = after + 1;
      }
      after = low === undefined ? Math.max(answer.first, after - (span *= 2)) - 1 : Math.floor((low + end - 1) / 2);
    }
  }

  #take(events: readonly Row[], shown: readonly Row<T>[]): void {
    if (events.length === 0) return;
    const rows = events.map((event) => this.#decoded(event));
    // From now on the list grows at its end as well: all that the history holds behind the rows loaded is shown.
    if (this.#kept.length === 0) {
      const from = Math.floor(shown[0]?.seq ?? 0);
      this.#window = this.#source.history.window({ from, to: Number.MAX_SAFE_INTEGER });
      rows.push(...shown); // those that it holds no more stay
    }
    this.#kept = [...rows, ...this.#kept];
  }

  #decoded(event: Row): Row<T> {
    const { decode } = this.#source;
    if (!decode) return event as Row<T>;
    try {
      return Object.freeze({ ...event, data: decode(event.data, event.type) });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      return Object.freeze({ ...event, data: undefined as T, error });
    }
  }

  // What has left the history since the last look stays shown, up to `max` rows in all.
  #follow(live: Snapshot<T>): void {
    const before = this.#live?.items ?? [];
    this.#live = live;
    if (this.#kept.length === 0) return;
    // Another epoch has numbers that begin again. Rows of the page's own have a fraction behind that of a record.
    const newest = Math.floor(before.at(-1)?.seq ?? this.#kept.at(-1)?.seq ?? 0);
    if (live.items.length > 0 && live.lastSeq < newest) return this.#forget();
    const first = live.items[0]?.seq ?? Number.POSITIVE_INFINITY;
    const floor = this.#kept.at(-1)?.seq ?? 0;
    this.#kept = [
      ...this.#kept.filter(({ seq }) => seq < first),
      ...before.filter(({ seq }) => seq < first && seq > floor),
    ];
    const over = Math.min(this.#kept.length, this.#kept.length + live.items.length - this.#source.max);
    if (over <= 0) return;
    this.#kept = this.#kept.slice(over);
    this.#dropped += over;
  }

  #tell(): void {
    this.#changed = true;
    for (const listener of [...this.#listeners]) if (this.#listeners.has(listener)) listener();
  }
}
