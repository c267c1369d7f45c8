// A filter over a history that the core keeps current, and its windows.
//
// Owns     a View in the core; listeners are the history's.
// Bounds   `capacity` matches of 8 B, set aside in the store's budget with about 18 KiB for its rates.
import { checkInteger, checkType } from './check.js';
import type { ViewNumbers } from './core.js';
import { EndedError } from './errors.js';
import type { Registration } from './handle.js';
import type { HistoryImpl } from './history.js';
import type {
  History,
  Readable,
  Row,
  TypeRate,
  View,
  ViewFilter,
  ViewOptions,
  ViewSelector,
  ViewSnapshot,
  ViewStats,
} from './types.js';
import { WINDOW_ROWS_MAX } from './window.js';

const NAMES_MAX = 64;
const TEXT_CHARS_MAX = 128;
const CAPACITY_MAX = 1_000_000;
const RATE_BUCKETS = 60;

const EMPTY: ViewSnapshot<never> = Object.freeze({
  items: Object.freeze([]) as readonly never[],
  offset: 0,
  count: 0,
  total: 0,
  unread: 0,
  version: 0,
});
const NO_NUMBERS: ViewNumbers = Object.freeze({
  total: 0,
  count: 0,
  unread: 0,
  scanned: 0,
  unseen: 0,
  evictedByCapacity: 0,
  evictedWithHistory: 0,
  highWaterMark: 0,
});

function checkNames(name: string, names: readonly string[] | undefined, check: (value: unknown) => string): string[] {
  if (names === undefined) return [];
  if (!Array.isArray(names) || names.length < 1 || names.length > NAMES_MAX)
    throw new RangeError(`${name} has ${names?.length} entries: it must have 1 to ${NAMES_MAX}`);
  return names.map(check);
}

function checkChannelPattern(pattern: unknown): string {
  if (typeof pattern !== 'string' || !/^(?:[A-Za-z0-9_:.-]{0,127}\*|[A-Za-z0-9_:.-]{1,128})$/.test(pattern))
    throw new RangeError(`channel is ${JSON.stringify(pattern)}: it must match [A-Za-z0-9_:.-]{1,128}, or end with *`);
  return pattern;
}

class ViewImpl<T> {
  readonly history: HistoryImpl<T>;
  readonly id: number;
  readonly capacity: number;
  readonly bucketMs: number;
  readonly listeners = new Set<Registration>();
  registration: Registration | undefined;
  #numbers = NO_NUMBERS;
  #tick = -1;

  constructor(history: HistoryImpl<T>, filter: ViewFilter, options: ViewOptions) {
    const types = checkNames('types', filter.types, checkType);
    const channels = checkNames('channels', filter.channels, checkChannelPattern);
    const { text } = filter;
    if (text !== undefined && (typeof text !== 'string' || text === '' || text.length > TEXT_CHARS_MAX))
      throw new RangeError(`text is ${JSON.stringify(text)}: it must have 1 to ${TEXT_CHARS_MAX} characters`);
    this.capacity = checkInteger('capacity', options.capacity ?? 1000, 1, CAPACITY_MAX);
    this.bucketMs = checkInteger('rateBucketMs', options.rateBucketMs ?? 1000, 10, 3_600_000);
    this.history = history;
    history.place(); // throws if it has ended
    this.id = history.store.core.addView(history.id, types, channels, text ?? '', this.capacity, this.bucketMs);
  }

  get label(): string {
    return `view of ${this.history.label}`;
  }

  get active(): boolean {
    return this.registration?.active ?? false;
  }

  get numbers(): ViewNumbers {
    const { history } = this;
    if (this.active && this.#tick !== history.tick) {
      this.#numbers = history.store.core.viewNumbers(this.id);
      this.#tick = history.tick;
    }
    return this.#numbers;
  }

  rows(match: number, count: number): readonly Row<T>[] {
    return this.history.rowsAt(this.history.store.core.viewPositions(this.id, match, count));
  }

  window(selector: ViewSelector): Readable<ViewSnapshot<T>> {
    this.check();
    const chosen =
      'last' in selector
        ? { last: checkInteger('last', selector.last, 1, WINDOW_ROWS_MAX) }
        : {
            offset: checkInteger('offset', selector.offset, 0, Number.MAX_SAFE_INTEGER),
            limit: checkInteger('limit', selector.limit, 0, WINDOW_ROWS_MAX),
          };
    const { table } = this.history.store;
    let snapshot: ViewSnapshot<T> = EMPTY;
    let numbers = NO_NUMBERS;
    let range: readonly [number, number] = [0, 0];
    const getSnapshot = (): ViewSnapshot<T> => {
      const now = this.numbers;
      if (now === numbers) return snapshot;
      numbers = now;
      const first = now.total - now.count;
      const within = (match: number): number => Math.min(Math.max(match, first), now.total);
      const [from, to] =
        'last' in chosen
          ? [within(now.total - chosen.last), now.total]
          : [within(chosen.offset), within(chosen.offset + chosen.limit)];
      // A match has its number for good, so the same numbers are the same rows.
      const same = from === range[0] && to === range[1];
      if (same && snapshot.count === now.count && snapshot.total === now.total && snapshot.unread === now.unread)
        return snapshot;
      const items = same ? snapshot.items : Object.freeze(this.rows(from, to - from));
      range = [from, to];
      const { count, total, unread } = now;
      snapshot = Object.freeze({ items, offset: from, count, total, unread, version: snapshot.version + 1 });
      return snapshot;
    };
    return Object.freeze({ subscribe: (listener: () => void) => table.handle(this.subscribe(listener)), getSnapshot });
  }

  subscribe(listener: () => void): Registration {
    this.check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    let seen = this.numbers;
    const registration = this.history.listen(() => {
      const now = this.numbers;
      const same = now.total === seen.total && now.count === seen.count && now.unread === seen.unread;
      seen = now;
      if (!same) listener();
    }, this.label);
    this.listeners.add(registration);
    return registration;
  }

  markRead(seq: number = Number.MAX_SAFE_INTEGER): void {
    this.check();
    if (typeof seq !== 'number' || !(seq >= 0 && seq <= Number.MAX_SAFE_INTEGER))
      throw new RangeError(`seq is ${seq}: it must be from 0 to ${Number.MAX_SAFE_INTEGER}`);
    const { store, id } = this.history;
    if (!store.core.markRead(this.id, id, seq)) return;
    store.core.markChanged(id);
    store.changed();
  }

  rates(): readonly TypeRate[] {
    this.check();
    const seconds = (RATE_BUCKETS * this.bucketMs) / 1000;
    return this.history.store.core
      .viewRates(this.id, this.history.store.timers.now())
      .map(([type, count]) => Object.freeze({ type, count, perSecond: count / seconds }));
  }

  stats(): ViewStats {
    this.check();
    let listeners = 0;
    for (const { active } of this.listeners) if (active) ++listeners;
    return { history: this.history.name, capacity: this.capacity, ...this.numbers, listeners };
  }

  check(): void {
    if (!this.active) throw new EndedError(this.label);
  }
}

/**
 * The records of a history that match a filter. What is there already is searched at once, what comes later as it comes.
 *
 * ```ts
 * const whispers = view(chat, { types: ['whisper'], text: 'dragon' });
 * const { items, unread } = useView(whispers, { last: 50 });
 * ```
 * @throws RangeError for a filter or option out of its bounds, or above what the whole budget could hold
 * @throws RingfenceError `over_budget` beside what else is set aside
 * @throws EndedError for a history that has ended
 */
export function view<T = unknown>(history: History<T>, filter: ViewFilter = {}, options: ViewOptions = {}): View<T> {
  const source = history as HistoryImpl<T>;
  const impl = new ViewImpl(source, filter, options);
  const { table } = source.store;
  const registration = table.open('view', '', source.label, () => {
    source.children.delete(registration);
    for (const listener of impl.listeners) listener.end();
    source.store.core.removeView(impl.id);
  });
  impl.registration = registration;
  source.children.add(registration);
  return table.handle(registration, {
    history: { value: history, enumerable: true },
    count: { get: () => impl.numbers.count },
    unread: { get: () => impl.numbers.unread },
    window: { value: (selector: ViewSelector) => impl.window(selector) },
    subscribe: { value: (listener: () => void) => table.handle(impl.subscribe(listener)) },
    markRead: { value: (seq?: number) => impl.markRead(seq) },
    rates: { value: () => impl.rates() },
    stats: { value: () => impl.stats() },
  }) as View<T>;
}
