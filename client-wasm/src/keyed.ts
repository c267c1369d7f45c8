// ringfence/keyed: a bounded map of values by key, in JavaScript's memory. Which entries stay is decided in WASM, by numbers that this gives
// them (key_table.h); what left is taken out of the map right after the call that made it leave.
//
// Bounds   `capacity` entries, `bytes` of what sizeOf says, LISTENERS_MAX listeners. What onTrim tells: the newest
//          `capacity` entries that left since the last notification, and how many there were.
// Cost     get, set, has, delete: O(1) amortised. A snapshot: O(size), once after a change.
import { checkBytes, checkInteger } from './check.js';
import { EndedError, RingfenceError } from './errors.js';
import type { Registration } from './handle.js';
import { KeyTable, LEFT_PER_READ_MAX, NO_ENTRY, REASONS } from './keyed/key_table.js';
import type { StoreImpl } from './store.js';
import type {
  Handle,
  Keyed,
  KeyedEntry,
  KeyedLeft,
  KeyedOptions,
  KeyedSetOptions,
  KeyedSnapshot,
  KeyedStats,
  Store,
} from './types.js';

export type * from './keyed_types.js';

const CAPACITY_MAX = 1_000_000;
const LISTENERS_MAX = 4096;
const NAME_CHARS_MAX = 256;
const TTL_MS_MAX = 100 * 365 * 24 * 3600 * 1000;
const BYTES_MAX = 2 ** 31;
/** What an entry is charged where nobody says what it takes: as a value pushed into a history. */
const ENTRY_BYTES = 256;
const EXPIRE_EVERY_MS_MIN = 50;
const EXPIRE_EVERY_MS_MAX = 10_000;
interface Slot<K, V> {
  readonly number: number;
  entry: KeyedEntry<K, V>;
}

/**
 * A bounded map of values by key, such as the occupants of a room. What its bookkeeping takes of the store's budget, some
 * 100 bytes an entry, and its `bytes` are set aside at once: one that does not fit is refused here, not later.
 *
 * ```ts
 * const occupants = keyed<string, Occupant>(store, 'occupants', { capacity: 500, ttl: 300_000 });
 * occupants.set(player.id, player);
 * const { entries } = useKeyed(occupants);
 * ```
 * @throws RangeError for an option out of its bounds, or above what the whole budget could hold
 * @throws RingfenceError `over_budget`, `duplicate_name`, `memory_full`
 * @throws EndedError for a store that has ended
 */
export function keyed<K = string, V = unknown>(owner: Store, name: string, options: KeyedOptions<K, V>): Keyed<K, V> {
  const store = owner as StoreImpl;
  if (typeof name !== 'string' || name === '' || name.length > NAME_CHARS_MAX)
    throw new RangeError(`name is ${JSON.stringify(name)}: it must have 1 to ${NAME_CHARS_MAX} characters`);
  const checkTtl = (value: unknown): number => checkInteger('ttl', value, 1, TTL_MS_MAX);
  const capacity = checkInteger('capacity', options.capacity, 1, CAPACITY_MAX);
  const ttl = options.ttl === undefined ? 0 : checkTtl(options.ttl);
  const bytesMax = options.bytes === undefined ? undefined : checkBytes('bytes', options.bytes, 1, BYTES_MAX);
  const { sizeOf } = options;
  const label = `keyed ${JSON.stringify(name)}`;
  const { core, keyedNames, timers } = store;
  if (keyedNames.has(name)) throw new RingfenceError('duplicate_name', `${label} is there already`);
  const table = new KeyTable(core, label, capacity, bytesMax ?? 0);

  const slots = new Map<K, Slot<K, V>>();
  const byNumber: (Slot<K, V> | undefined)[] = [];
  const free: number[] = [];
  const listeners = new Map<Registration, () => void>();
  const trimListeners = new Map<Registration, (count: number, left: readonly KeyedLeft<K, V>[]) => void>();
  let snapshot: KeyedSnapshot<K, V> = Object.freeze({ entries: Object.freeze([]), size: 0, evicted: 0, version: 0 });
  let stale = false;
  let evicted = 0;
  let left: KeyedLeft<K, V>[] = [];
  let leftCount = 0;
  let nextNumber = 0;
  let shortestTtl = Number.POSITIVE_INFINITY;
  let timer: unknown;

  const registration = store.table.open('keyed', name, 'store', () => {
    getSnapshot(); // the last one stays
    timers.clearTimeout(timer);
    store.children.delete(registration);
    keyedNames.delete(name);
    for (const listener of [...listeners.keys(), ...trimListeners.keys()]) listener.end();
    table.delete();
    left = [];
  });
  store.children.add(registration);
  keyedNames.add(name);

  const check = (): void => {
    if (!registration.active) throw new EndedError(label);
  };
  const notify = (): void => {
    const [count, gone] = [leftCount, Object.freeze(left.slice(-capacity))];
    leftCount = 0;
    left = [];
    for (const [listener, call] of count > 0 ? [...trimListeners] : [])
      if (listener.active) store.guard(() => call(count, gone));
    for (const [listener, call] of [...listeners]) if (listener.active) store.guard(call);
  };
  const changed = (): void => {
    stale = true;
    store.mark(notify);
  };
  /** Takes out what the last call of the core made leave. */
  const settle = (): void => {
    for (let from = 0, taken = LEFT_PER_READ_MAX; taken === LEFT_PER_READ_MAX; from += taken) {
      const numbers = table.left(from);
      taken = numbers.length;
      for (const packed of numbers) {
        const number = packed >>> 3;
        const { entry } = byNumber[number] as Slot<K, V>;
        const reason = REASONS[packed & 7];
        byNumber[number] = undefined;
        free.push(number);
        slots.delete(entry[0]);
        if (!reason) continue;
        ++evicted;
        if (trimListeners.size === 0) continue;
        ++leftCount;
        left.push(Object.freeze({ key: entry[0], value: entry[1], reason }));
        if (left.length >= 2 * capacity) left.splice(0, capacity);
      }
      if (taken > 0) changed();
    }
  };
  /** The time, once what had to leave by it has left. */
  const now = (): number => {
    check();
    const at = timers.now();
    if (shortestTtl < Number.POSITIVE_INFINITY && slots.size > 0) {
      table.expire(at);
      settle();
    }
    return at;
  };
  /** The same for what may be read after the end. */
  const look = (): void => void (registration.active && now());
  const watch = (): void => {
    if (timer !== undefined || shortestTtl === Number.POSITIVE_INFINITY || slots.size === 0) return;
    const everyMs = Math.min(Math.max(shortestTtl / 10, EXPIRE_EVERY_MS_MIN), EXPIRE_EVERY_MS_MAX);
    timer = timers.setTimeout(() => {
      timer = undefined;
      now();
      watch();
    }, everyMs);
    (timer as { unref?: () => void }).unref?.(); // Node: nothing to wait for
  };

  const set = (key: K, value: V, own: KeyedSetOptions = {}): void => {
    const itsTtl = own.ttl === undefined ? ttl : checkTtl(own.ttl);
    const bytes = sizeOf ? checkInteger('size', sizeOf(value, key), 0, BYTES_MAX) : ENTRY_BYTES;
    const at = now();
    const slot = slots.get(key);
    const number = slot?.number ?? free.pop() ?? nextNumber++;
    const code = table.set(number, at, itsTtl, bytes);
    settle();
    if (code !== undefined) {
      if (!slot) free.push(number);
      throw new RingfenceError(
        code,
        `an entry of ${bytes} bytes was refused by ${label}: ${code}, bytes is ${bytesMax}`,
      );
    }
    if (itsTtl > 0) shortestTtl = Math.min(shortestTtl, itsTtl);
    watch();
    if (slot && Object.is(slot.entry[1], value)) return; // as new as it was, and in its place
    const entry = Object.freeze([key, value] as const);
    if (slot) slot.entry = entry;
    else slots.set(key, (byNumber[number] = { number, entry }));
    changed();
  };
  const get = (key: K): V | undefined => {
    const at = now();
    const slot = slots.get(key);
    table.touch(slot?.number ?? NO_ENTRY, at);
    return slot?.entry[1];
  };
  const remove = (key: K): boolean => {
    const at = now();
    const slot = slots.get(key);
    if (!slot) return false;
    table.erase(slot.number, at);
    settle();
    return true;
  };
  const clear = (): void => {
    table.clear(now());
    settle();
  };
  const getSnapshot = (): KeyedSnapshot<K, V> => {
    if (!stale) return snapshot;
    stale = false;
    const entries = Object.freeze(Array.from(slots.values(), ({ entry }) => entry));
    return (snapshot = Object.freeze({ entries, size: entries.length, evicted, version: snapshot.version + 1 }));
  };
  const listen = <F>(to: Map<Registration, F>, listener: F): Handle => {
    check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    if (listeners.size + trimListeners.size >= LISTENERS_MAX)
      throw new RingfenceError('too_many_subscriptions', `${label} has ${LISTENERS_MAX} listeners`);
    const listening = store.table.open('listener', '', label, () => to.delete(listening));
    to.set(listening, listener);
    return store.table.handle(listening);
  };
  const stats = (): KeyedStats => {
    const { removed, age, bytes, capacity: full, cleared, ...numbers } = table.counts(now());
    const counts = { ...numbers, deleted: removed, evicted: { capacity: full, bytes, age, cleared } };
    const all = listeners.size + trimListeners.size;
    return { name, size: slots.size, capacity, bytesMax, ...counts, listeners: all };
  };

  return store.table.handle(registration, {
    name: { value: name, enumerable: true },
    capacity: { value: capacity, enumerable: true },
    size: { get: () => (look(), slots.size) },
    evicted: { get: () => stats().evicted },
    get: { value: get },
    peek: { value: (key: K) => slots.get(key)?.entry[1] },
    has: { value: (key: K) => (now(), slots.has(key)) },
    set: { value: set },
    delete: { value: remove },
    clear: { value: clear },
    stats: { value: stats },
    onTrim: { value: (listener: () => void) => listen(trimListeners, listener) },
    subscribe: { value: (listener: () => void) => listen(listeners, listener) },
    getSnapshot: { value: getSnapshot },
    [Symbol.iterator]: { value: () => (look(), getSnapshot().entries[Symbol.iterator]()) },
  }) as Keyed<K, V>;
}
