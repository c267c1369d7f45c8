import { afterEach, describe, expect, it, vi } from 'vitest';

import { keyed } from '../src/keyed.js';
import { FakeClock, expectNoLeaks } from '../src/testing.js';
import type { Keyed, KeyedLeft } from '../src/types.js';
import { codeOf, makeStore, microtask } from './support.js';

interface Occupant {
  readonly name: string;
}
const occupant = (name: string): Occupant => ({ name });

const rig = () => {
  const timers = new FakeClock();
  return { timers, store: makeStore({ timers }) };
};

afterEach(() => vi.restoreAllMocks());

describe('A keyed map', () => {
  it('gives values back by key, the very same, in the order the keys came', () => {
    const { store } = rig();
    const room = keyed<string, Occupant>(store, 'room', { capacity: 10 });
    const [ann, bob] = [occupant('Ann'), occupant('Bob')];
    room.set('a', ann);
    room.set('b', bob);
    room.set('a', ann);
    expect([room.get('a'), room.peek('b'), room.get('c')]).toEqual([ann, bob, undefined]);
    expect(room.get('a')).toBe(ann);
    expect([room.has('a'), room.has('c'), room.size]).toEqual([true, false, 2]);
    expect([...room]).toEqual([
      ['a', ann],
      ['b', bob],
    ]);
    expect([room.delete('a'), room.delete('a'), room.size]).toEqual([true, false, 1]);
    room.clear();
    expect([...room]).toEqual([]);
    expect(room.stats()).toMatchObject({ hits: 2, misses: 1, deleted: 1, highWaterMark: 2, bytesMax: undefined });
    expect(room.evicted).toEqual({ capacity: 0, bytes: 0, age: 0, cleared: 1 });
    store.end();
  });

  it('takes any key that a Map takes, and values that are undefined', () => {
    const { store } = rig();
    const map = keyed<unknown, number | undefined>(store, 'any', { capacity: 10 });
    const keys = [Number.NaN, 0, '0', null, undefined, {}, Symbol('s')];
    keys.forEach((key, index) => map.set(key, index));
    expect(keys.map((key) => map.get(key))).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(map.get(-0)).toBe(1);
    map.set('u', undefined);
    expect([map.has('u'), map.get('u'), map.size]).toEqual([true, undefined, 8]);
    store.end();
  });

  it('lets the entry go that was not used for the longest time', () => {
    const { store } = rig();
    const map = keyed<string, number>(store, 'lru', { capacity: 2 });
    map.set('a', 1);
    map.set('b', 2);
    map.get('a');
    map.peek('b'); // no use
    map.has('b'); // neither
    map.set('c', 3);
    expect([...map]).toEqual([
      ['a', 1],
      ['c', 3],
    ]);
    expect(map.evicted.capacity).toBe(1);
    map.set('a', 10); // a set is a use
    map.set('d', 4);
    expect([...map]).toEqual([
      ['a', 10],
      ['d', 4],
    ]);
    store.end();
  });

  it('lets go by bytes, and refuses what never fits: its old value goes too', () => {
    const { store } = rig();
    const map = keyed<string, string>(store, 'bytes', { capacity: 10, bytes: 10, sizeOf: (value) => value.length });
    map.set('a', '1234');
    map.set('b', '1234');
    map.set('c', '12345');
    expect([...map].map(([key]) => key)).toEqual(['b', 'c']);
    expect([map.evicted.bytes, map.stats().heldBytes, map.stats().bytesMax]).toEqual([1, 9, 10]);
    expect(codeOf(() => map.set('c', '12345678901'))).toBe('cost_too_large');
    expect(codeOf(() => map.set('z', '12345678901'))).toBe('cost_too_large');
    expect([...map].map(([key]) => key)).toEqual(['b']);
    expect(map.stats()).toMatchObject({ refused: 2, deleted: 1, size: 1 });
    map.set('c', 'again');
    expect(map.get('c')).toBe('again');
    store.end();
  });

  it('tells nothing that has expired, at the very moment, and its snapshot and listeners a tenth of the TTL later', async () => {
    const { store, timers } = rig();
    const map = keyed<string, number>(store, 'ttl', { capacity: 10, ttl: 10_000 });
    const heard = vi.fn();
    map.subscribe(heard);
    map.set('a', 1);
    map.set('b', 2, { ttl: 60_000 });
    timers.advance(9_999);
    expect([map.get('a'), map.has('a'), map.size]).toEqual([1, true, 2]);
    map.set('a', 1); // lives from now on
    timers.advance(9_999);
    expect(map.get('a')).toBe(1);
    await microtask();
    heard.mockClear();
    const before = map.getSnapshot();
    timers.advance(1);
    expect(map.getSnapshot().size).toBe(2); // no look yet
    expect(map.peek('a')).toBe(1);
    timers.advance(1_000);
    await microtask();
    expect(heard).toHaveBeenCalledTimes(1);
    expect(map.getSnapshot().entries).toEqual([['b', 2]]);
    expect(before.size).toBe(2);
    expect(map.evicted).toEqual({ capacity: 0, bytes: 0, age: 1, cleared: 0 });
    timers.advance(60_000);
    expect([map.get('b'), map.size, [...map]]).toEqual([undefined, 0, []]);
    timers.advance(10_000);
    expect(timers.pending).toBe(0); // an empty map sets no timer
    store.end();
  });

  it('lets the expired go before anything that lives', () => {
    const { store, timers } = rig();
    const map = keyed<string, number>(store, 'ttl', { capacity: 2, ttl: 100 });
    map.set('lives', 1, { ttl: 1000 });
    map.set('dies', 2);
    timers.advance(100);
    map.set('new', 3);
    expect([...map].map(([key]) => key)).toEqual(['lives', 'new']);
    expect(map.evicted).toMatchObject({ age: 1, capacity: 0 });
    store.end();
  });

  it('gives one snapshot until something changes, whose entries keep their identity', async () => {
    const { store } = rig();
    const map = keyed<string, Occupant>(store, 'room', { capacity: 3 });
    let calls = 0;
    map.subscribe(() => ++calls);
    const ann = occupant('Ann');
    map.set('a', ann);
    map.set('b', occupant('Bob'));
    const first = map.getSnapshot();
    expect(map.getSnapshot()).toBe(first);
    expect([Object.isFrozen(first), Object.isFrozen(first.entries), Object.isFrozen(first.entries[0])]).toEqual(
      Array(3).fill(true),
    );
    await microtask();
    expect(calls).toBe(1);
    map.set('a', ann); // the same: nothing to show
    map.get('b');
    await microtask();
    expect([map.getSnapshot(), calls]).toEqual([first, 1]);
    map.set('b', occupant('Bert'));
    const second = map.getSnapshot();
    expect(second).not.toBe(first);
    expect(second.version).toBeGreaterThan(first.version);
    expect(second.entries[0]).toBe(first.entries[0]);
    expect(second.entries[1]).not.toBe(first.entries[1]);
    expect(first.entries[1]?.[1].name).toBe('Bob');
    store.end();
    expect(map.getSnapshot()).toBe(second);
  });

  it('tells onTrim once a notification what left and why, before the listeners', async () => {
    const { store, timers } = rig();
    const map = keyed<number, string>(store, 'trim', { capacity: 3, ttl: 1000 });
    const told: [number, readonly KeyedLeft<number, string>[]][] = [];
    const order: string[] = [];
    map.subscribe(() => order.push('subscribe'));
    const trim = map.onTrim((count, left) => {
      told.push([count, left]);
      order.push('trim');
    });
    for (let key = 1; key <= 4; ++key) map.set(key, `v${key}`);
    map.delete(2); // asked for: not told
    await microtask();
    expect(told).toEqual([[1, [{ key: 1, value: 'v1', reason: 'capacity' }]]]);
    expect(order).toEqual(['trim', 'subscribe']);
    timers.advance(1000);
    await microtask();
    expect(told[1]).toEqual([
      2,
      [
        { key: 3, value: 'v3', reason: 'age' },
        { key: 4, value: 'v4', reason: 'age' },
      ],
    ]);
    for (let key = 0; key < 1000; ++key) map.set(key, '');
    map.clear();
    await microtask();
    expect(told[2]?.[0]).toBe(1000);
    expect(told[2]?.[1].map(({ key, reason }) => [key, reason])).toEqual(
      [
        [999, 'cleared'],
        [998, 'cleared'],
        [997, 'cleared'],
      ].reverse(),
    );
    trim.end();
    map.set(1, 'x');
    map.clear();
    await microtask();
    expect(told).toHaveLength(3);
    store.end();
  });

  it('isolates what a listener throws', async () => {
    const errors: unknown[] = [];
    const store = makeStore({ onError: (error) => errors.push(error) });
    const map = keyed<string, number>(store, 'a', { capacity: 1 });
    let calls = 0;
    map.onTrim(() => {
      throw new Error('from onTrim');
    });
    map.subscribe(() => {
      throw new Error('mine');
    });
    map.subscribe(() => ++calls);
    map.set('a', 1);
    map.set('b', 2);
    await microtask();
    expect([calls, errors.map(String)]).toEqual([1, ['Error: from onTrim', 'Error: mine']]);
    expect(store.stats().listenerErrors).toBe(2);
    store.end();
  });

  it('does what an obvious map does, whatever comes', () => {
    const { store, timers } = rig();
    const map = keyed<number, number>(store, 'model', { capacity: 9, ttl: 50 });
    let model: { key: number; value: number; until: number }[] = []; // the one used last at the end
    const places = new Map<number, number>(); // when each key came
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
    for (let step = 0; step < 5000; ++step) {
      if (random(4) === 0) timers.advance(random(20));
      const at = timers.now();
      model = model.filter(({ until }) => until > at);
      const key = random(20);
      const found = model.find((entry) => entry.key === key);
      const rest = model.filter((entry) => entry !== found);
      switch (random(6)) {
        case 0:
          expect(map.get(key)).toBe(found?.value);
          if (found) model = [...rest, found];
          break;
        case 1:
          expect(map.delete(key)).toBe(found !== undefined);
          model = rest;
          break;
        case 2:
          if (random(40) > 0) break;
          map.clear();
          model = [];
          break;
        default: {
          const ttl = random(2) ? 50 : 1 + random(200);
          map.set(key, step, { ttl });
          if (!found) places.set(key, step);
          model = [...rest, { key, value: step, until: at + ttl }].slice(-9);
        }
      }
      expect(map.size).toBe(model.length);
      const inOrder = [...model].sort((a, b) => (places.get(a.key) ?? 0) - (places.get(b.key) ?? 0));
      expect([...map]).toEqual(inOrder.map(({ key: its, value }) => [its, value]));
    }
    store.end();
  });

  it('costs of the budget what it declares, and is refused where that is not there', () => {
    const { store } = rig();
    const { declaredBytes } = store.stats();
    const map = keyed(store, 'a', { capacity: 1000 });
    const perEntry = (store.stats().declaredBytes - declaredBytes) / 1000;
    expect(perEntry).toBeGreaterThan(40);
    expect(perEntry).toBeLessThan(130);
    const limited = keyed(store, 'b', { capacity: 1000, bytes: '64 KiB' });
    map.end();
    limited.end();
    expect(store.stats().declaredBytes).toBe(declaredBytes);
    const { capacityBytes } = store.stats();
    for (const [options, asked] of [
      [{ capacity: 1_000_000 }, '1000000 entries and 0 bytes'],
      [{ capacity: 10, bytes: '1 GiB' }, `10 entries and ${1024 ** 3} bytes`],
    ] as const) {
      expect(() => keyed(store, 'c', options)).toThrow(RangeError);
      expect(() => keyed(store, 'c', options)).toThrow(
        `keyed "c" of ${asked}: the budget leaves at most ${capacityBytes} bytes`,
      );
    }
    const most = store.history('most', { bytes: capacityBytes - declaredBytes - 8192 });
    expect(codeOf(() => keyed(store, 'c', { capacity: 1000 }))).toBe('over_budget');
    most.end();
    expect(store.liveHandles()).toEqual([]);
    // Again and again: what it took is given back.
    for (let round = 0; round < 200; ++round) {
      const again = keyed<number, number>(store, 'c', { capacity: 20_000 });
      for (let key = 0; key < 100; ++key) again.set(key, key);
      again();
    }
    expect(store.stats().memoryBytes).toBeLessThanOrEqual(store.stats().budgetBytes);
    store.end();
  });

  it('refuses bad options with the value and the limit, a name that is taken, and use after its end', () => {
    const { store } = rig();
    for (const capacity of [0, -1, 1.5, Number.NaN, 1_000_001, '5' as unknown as number])
      expect(() => keyed(store, 'a', { capacity })).toThrow(RangeError);
    expect(() => keyed(store, 'a', { capacity: 0 })).toThrow(
      /capacity is 0: it must be a whole number from 1 to 1000000/,
    );
    for (const ttl of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => keyed(store, 'a', { capacity: 1, ttl })).toThrow(/ttl is .*: it must be a whole number from 1 to/);
    for (const bytes of [0, -1, '1 mb', Number.NaN])
      expect(() => keyed(store, 'a', { capacity: 1, bytes })).toThrow(/bytes is .*: it must be from 1 to 2147483648/);
    expect(() => keyed(store, '', { capacity: 1 })).toThrow(/name is ""/);
    const map = keyed<string, number>(store, 'a', { capacity: 2, ttl: 1000, sizeOf: (value) => value });
    expect(codeOf(() => keyed(store, 'a', { capacity: 1 }))).toBe('duplicate_name');
    expect(() => map.set('a', 1.5)).toThrow(/size is 1.5/);
    expect(() => map.set('a', 1, { ttl: 0 })).toThrow(/ttl is 0/);
    expect(() => map.subscribe(1 as never)).toThrow(TypeError);
    expect(map.size).toBe(0);
    map.set('a', 1);
    const listener = map.subscribe(() => undefined);
    const trim = map.onTrim(() => undefined);
    expect(store.handles()).toMatchObject({ keyed: 1, listeners: 2, total: 3 });
    expect(store.liveHandles().map(({ kind, name, owner }) => [kind, name, owner])).toEqual([
      ['keyed', 'a', 'store'],
      ['listener', '', 'keyed "a"'],
      ['listener', '', 'keyed "a"'],
    ]);
    map[Symbol.dispose]();
    map.end();
    map();
    expect([map.active, listener.active, trim.active, map.size]).toEqual([false, false, false, 1]);
    expect(map.getSnapshot().entries).toEqual([['a', 1]]);
    for (const use of [() => map.set('a', 1), () => map.get('a'), () => map.clear(), () => map.stats()])
      expect(use).toThrow('keyed "a" was used after its end');
    keyed(store, 'a', { capacity: 1 });
    store.end();
    expect(store.handles().total).toBe(0);
    expect(() => keyed(store, 'b', { capacity: 1 })).toThrow('store was used after its end');
  });

  it('may be ended by what it calls', async () => {
    const { store, timers } = rig();
    const map: Keyed<string, number> = keyed(store, 'a', {
      capacity: 2,
      ttl: 100,
      sizeOf: (value: number): number => {
        if (value < 0) map.end();
        return 1;
      },
    });
    expect(() => map.set('a', -1)).toThrow('keyed "a" was used after its end');
    const other = keyed<string, number>(store, 'b', { capacity: 1, ttl: 100 });
    const second = vi.fn();
    other.onTrim(() => other.end());
    other.subscribe(second);
    other.set('a', 1);
    other.set('b', 2);
    await microtask();
    expect([second.mock.calls.length, other.active, timers.pending]).toEqual([0, false, 0]);
    expectNoLeaks(store);
    store.end();
  });
});

describe("A store's clock", () => {
  it('is what maxAge, pushed values and rates go by', async () => {
    const { store, timers } = rig();
    const history = store.history<number>('aged', { maxAge: 1000 });
    history.push(1);
    expect(history.last(1)[0]?.time).toBe(timers.now());
    timers.advance(1200);
    await microtask();
    expect([history.size, history.evicted.age]).toEqual([0, 1]);
    store.end();
    expect(timers.pending).toBe(0);
  });
});
