// A bounded first-in first-out queue of values, in JavaScript's memory.
//
// Bounds   `capacity` values, LISTENERS_MAX listeners.
// Cost     push, shift: O(1). A snapshot: O(size), once after a change.
import { checkInteger } from './check.js';
import { EndedError, RingfenceError } from './errors.js';
import type { Registration } from './handle.js';
import type { StoreImpl } from './store.js';
import type { Handle, Queue, QueueOptions, QueueStats } from './types.js';

const CAPACITY_MAX = 1_000_000;
const LISTENERS_MAX = 4096;
const NAME_CHARS_MAX = 256;

export function makeQueue<T>(store: StoreImpl, name: string, options: QueueOptions): Queue<T> {
  if (typeof name !== 'string' || name === '' || name.length > NAME_CHARS_MAX)
    throw new RangeError(`name is ${JSON.stringify(name)}: it must have 1 to ${NAME_CHARS_MAX} characters`);
  const capacity = checkInteger('capacity', options.capacity, 1, CAPACITY_MAX);
  const full = options.full ?? 'refuse';
  if (full !== 'refuse' && full !== 'evict')
    throw new RangeError(`full is ${JSON.stringify(full)}: it must be 'refuse' or 'evict'`);
  void store.core; // throws if it has ended
  store.table.checkRoom();
  if (store.queueNames.has(name)) throw new RingfenceError('duplicate_name', `queue "${name}" is there already`);

  const label = `queue ${JSON.stringify(name)}`;
  const values: (T | undefined)[] = []; // a ring once it has grown to the capacity
  const listeners = new Map<Registration, () => void>();
  const counts = { highWaterMark: 0, pushed: 0, refused: 0, evicted: 0 };
  let first = 0;
  let size = 0;
  let snapshot: readonly T[] | undefined;

  const registration = store.table.open('queue', name, 'store', () => {
    getSnapshot(); // the last one stays
    store.children.delete(registration);
    store.queueNames.delete(name);
    for (const listener of [...listeners.keys()]) listener.end();
    values.length = 0;
  });
  store.children.add(registration);
  store.queueNames.add(name);

  const check = (): void => {
    if (!registration.active) throw new EndedError(label);
  };
  const at = (index: number): T => values[(first + index) % capacity] as T;
  const notify = (): void => {
    for (const [listener, call] of [...listeners]) if (listener.active) store.guard(call);
  };
  const changed = (): void => {
    snapshot = undefined;
    store.mark(notify);
  };
  const shift = (): T | undefined => {
    check();
    if (size === 0) return undefined;
    const value = at(0);
    values[first] = undefined;
    first = (first + 1) % capacity;
    --size;
    changed();
    return value;
  };
  const push = (value: T): boolean => {
    check();
    if (size === capacity) {
      if (full === 'refuse') {
        ++counts.refused;
        return false;
      }
      shift();
      ++counts.evicted;
    }
    values[(first + size) % capacity] = value;
    ++size;
    ++counts.pushed;
    counts.highWaterMark = Math.max(counts.highWaterMark, size);
    changed();
    return true;
  };
  const getSnapshot = (): readonly T[] =>
    (snapshot ??= Object.freeze(Array.from({ length: size }, (_, index) => at(index))));
  const subscribe = (listener: () => void): Handle => {
    check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    if (listeners.size >= LISTENERS_MAX)
      throw new RingfenceError('too_many_subscriptions', `${label} has ${LISTENERS_MAX} listeners`);
    const listening = store.table.open('listener', '', label, () => listeners.delete(listening));
    listeners.set(listening, listener);
    return store.table.handle(listening);
  };
  const clear = (): void => {
    check();
    if (size === 0) return;
    values.length = 0;
    first = 0;
    size = 0;
    changed();
  };
  const stats = (): QueueStats => {
    check();
    return { name, size, capacity, ...counts, listeners: listeners.size };
  };

  return store.table.handle(registration, {
    name: { value: name, enumerable: true },
    capacity: { value: capacity, enumerable: true },
    size: { get: () => size },
    push: { value: push },
    shift: { value: shift },
    peek: { value: () => (check(), size === 0 ? undefined : at(0)) },
    clear: { value: clear },
    stats: { value: stats },
    subscribe: { value: subscribe },
    getSnapshot: { value: getSnapshot },
    [Symbol.iterator]: { value: () => getSnapshot()[Symbol.iterator]() },
  }) as Queue<T>;
}
