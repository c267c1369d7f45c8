// The middleware with the real Zustand 4 and 5.
import { createStore } from 'zustand/vanilla';
import { createStore as createStore4 } from 'zustand4/vanilla';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { RingfenceError } from '../src/errors.js';
import { append, capped } from '../src/zustand.js';
import { numbers, range, row, rows, type Message } from './zustand_support.js';

interface Chat {
  messages: readonly Message[];
  player: string;
  add: (message: Message) => void;
  addGot: (message: Message) => void;
  addSliced: (message: Message) => void;
  prepend: (message: Message) => void;
  many: (messages: readonly Message[]) => void;
  clear: () => void;
  drop: (n: number) => void;
}
const makeStore = (capacity = 5, create = createStore) =>
  create<Chat>()(
    capped({ messages: { capacity } }, (set, get) => ({
      messages: [],
      player: 'ada',
      add: (m) => set((s) => ({ messages: [...s.messages, m] })),
      addGot: (m) => set({ messages: [...get().messages, m] }),
      addSliced: (m) => set((s) => ({ messages: [...s.messages, m].slice(-capacity) })),
      prepend: (m) => set((s) => ({ messages: [m, ...s.messages] })),
      many: (ms) => append(set, 'messages', ...ms),
      clear: () => set({ messages: [] }),
      drop: (n) => set((s) => ({ messages: s.messages.filter((m) => m.n !== n) })),
    })),
  );

describe.each([
  ['Zustand 5', createStore],
  ['Zustand 4', createStore4 as unknown as typeof createStore],
])('capped with %s', (_, create) => {
  it.each(['add', 'addSliced', 'addGot'] as const)('keeps the cap over spread appends: %s', (how) => {
    const store = makeStore(5, create);
    for (const message of rows(1, 12)) store.getState()[how](message);
    const { messages } = store.getState();
    expect(Array.isArray(messages) && Object.isFrozen(messages)).toBe(true);
    expect(numbers(store.getState())).toEqual(range(8, 12));
    expect(store.capped.stats().messages).toEqual({
      capacity: 5,
      size: 5,
      highWaterMark: 5,
      appended: 12,
      evicted: { capacity: 7, cleared: 0, replaced: 0 },
      refused: 0,
    });
  });

  it.each([5, 1000])('appends one and many at once within a cap of %i, rows keeping their identity', (capacity) => {
    const store = makeStore(capacity, create);
    const all = rows(1, 3 * capacity + 3);
    store.getState().many(all.slice(0, 2));
    const { messages } = store.getState();
    expect(store.getState().messages).toBe(messages);
    for (let at = 2; at < all.length; at += 7) store.getState().many(all.slice(at, at + 7));
    expect(messages).toEqual(all.slice(0, 2));
    const held = store.getState().messages;
    expect(held).toHaveLength(capacity);
    held.forEach((each, at) => expect(each).toBe(all[all.length - capacity + at]));
    expect(Object.isFrozen(held)).toBe(true);
    expect(store.capped.stats().messages.evicted.capacity).toBe(all.length - capacity);
  });

  it('tells listeners once an append, with both states readable in any order', () => {
    const store = makeStore(1000, create);
    const seen: (readonly [number[], number[]])[] = [];
    store.subscribe((state, before) => seen.push([numbers(state), numbers(before)]));
    store.getState().many(rows(1, 2));
    store.getState().many(rows(3, 3));
    expect(seen).toEqual([
      [[1, 2], []],
      [
        [1, 2, 3],
        [1, 2],
      ],
    ]);
  });

  it('stays cleared, and counts what was cleared, filtered and edited apart', () => {
    const store = makeStore(5, create);
    store.getState().many(rows(1, 5));
    store.getState().drop(2);
    expect(numbers(store.getState())).toEqual([1, 3, 4, 5]);
    store.setState((s) => ({ messages: s.messages.map((m) => (m.n === 3 ? row(33) : m)) }));
    store.getState().clear();
    expect(store.getState().messages).toEqual([]);
    store.getState().add(row(9));
    expect(numbers(store.getState())).toEqual([9]);
    expect(store.capped.stats().messages.evicted).toEqual({ capacity: 0, cleared: 4, replaced: 2 });
  });

  it('trims at the end where the newest come first', () => {
    const store = makeStore(3, create);
    for (const message of rows(1, 5)) store.getState().prepend(message);
    expect(numbers(store.getState())).toEqual([5, 4, 3]);
    expect(store.capped.stats().messages.evicted).toEqual({ capacity: 2, cleared: 0, replaced: 0 });
  });
});

describe('capped', () => {
  it('is the model under random operations', () => {
    let seed = Number(process.env['RINGFENCE_TEST_SEED'] ?? 20260115);
    console.log(`RINGFENCE_TEST_SEED=${seed}`);
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % below;
    };
    for (const capacity of [1, 2, 7, 300]) {
      const store = makeStore(capacity);
      let model: Message[] = [];
      const came: Message[] = [];
      for (let step = 0; step < 1500; ++step) {
        const next = rows(step * 1000, step * 1000 + random(random(20) === 0 ? 2 * capacity + 2 : 3));
        const [one] = next as [Message];
        const { messages } = store.getState();
        switch (random(6)) {
          case 0:
            store.getState()[(['add', 'addSliced', 'addGot'] as const)[random(3)] ?? 'add'](one);
            model.push(one);
            came.push(one);
            break;
          case 1:
          case 2:
            store.getState().many(next);
            model.push(...next);
            came.push(...next);
            break;
          case 3:
            store.setState({ player: String(step) });
            if (random(2)) expect(store.getState().messages).toBe(messages);
            break;
          case 4:
            if (random(10) === 0) {
              store.getState().clear();
              model = [];
            }
            break;
          case 5: {
            const gone = model[random(model.length + 1)];
            if (gone) {
              store.getState().drop(gone.n);
              model = model.filter((each) => each !== gone);
            }
          }
        }
        model = model.slice(-capacity);
        if (random(3) === 0) expect(store.getState().messages).toEqual(model);
        expect(store.getState().player).toBeDefined();
      }
      const { appended, evicted, size } = store.capped.stats().messages;
      expect(appended).toBe(came.length);
      expect(evicted.capacity + evicted.cleared + evicted.replaced).toBe(appended - size);
    }
  });

  it.each([5, 1000])(
    'freezes every array that is read, and an update cannot change one in place: cap %i',
    (capacity) => {
      const read: (readonly unknown[])[] = [];
      const store = createStore<Chat & { get: () => Chat }>()(
        capped({ messages: { capacity } }, (set, get) => ({
          ...makeStore().getState(),
          messages: [row(0)],
          add: (m) => set((s) => (read.push(s.messages), { messages: [...s.messages, m].slice(-capacity) })),
          get,
        })),
      );
      store.subscribe((state, before) => read.push(state.messages, before.messages, store.getState().messages));
      for (const message of rows(1, 12)) {
        store.getState().add(message);
        read.push(store.getState().get().messages);
      }
      expect(read).toHaveLength(60);
      expect(read.every((each) => Array.isArray(each) && Object.isFrozen(each))).toBe(true);
      const { messages } = store.getState();
      const push = (s: Chat) => {
        (s.messages as Message[]).push(row(13));
        return { messages: s.messages };
      };
      expect(() => store.setState(push)).toThrow(TypeError);
      expect(store.getState().messages).toBe(messages);
      expect(store.capped.stats().messages.appended).toBe(13);
    },
  );

  it('makes one array a notification: what a selector reads is what was set', () => {
    const store = makeStore(2);
    const seen = new Set<unknown>();
    let told = 0;
    store.subscribe((state) => {
      ++told;
      seen.add(state.messages).add(store.getState().messages);
    });
    for (const message of rows(1, 4)) store.getState().addSliced(message);
    expect([told, seen.size]).toEqual([4, 4]);
    const { messages } = store.getState();
    store.setState((s) => s);
    store.setState((s) => ({ messages: s.messages, player: 'bob' }));
    expect(store.getState().messages).toBe(messages);
    expect(store.capped.stats().messages.appended).toBe(4);
  });

  it.each([5, 1000])('keeps what an append sets besides, and what its update sets itself: cap %i', (capacity) => {
    const mark = Symbol('mark');
    const store = makeStore(capacity);
    for (const message of rows(1, 3)) store.getState().add(message);
    const set = store.setState as (update: (state: Chat) => object) => void;
    set((s) => {
      store.setState({ player: 'bob' });
      return { messages: [...s.messages, row(4)], [mark]: 1, more: 2 };
    });
    expect(numbers(store.getState())).toEqual([1, 2, 3, 4]);
    expect(store.getState()).toMatchObject({ player: 'bob', [mark]: 1, more: 2 });
  });

  it('counts no append where equal rows stay', () => {
    const store = createStore<{ list: readonly number[]; n: number }>()(
      capped({ list: { capacity: 3 } }, () => ({ list: [7, 7, 7], n: 0 })),
    );
    store.setState((s) => ({ ...s, n: 1 }));
    store.setState({ list: store.getState().list });
    expect(store.capped.stats().list).toMatchObject({ appended: 3, size: 3, evicted: { capacity: 0 } });
    store.setState((s) => ({ list: [...s.list, 8] }));
    expect(store.getState()).toEqual({ list: [7, 7, 8], n: 1 });
  });

  it('takes fields of one set together: all of them, or none', () => {
    const store = createStore<{ a: readonly number[]; b: readonly number[]; n: number }>()(
      capped({ a: { capacity: 3 }, b: { capacity: 300 } }, () => ({ a: [1, 2], b: [1, 2], n: 0 })),
    );
    store.setState((s) => ({ a: [...s.a, 3, 4], b: [...s.b, 3] }));
    expect(() => store.setState((s) => ({ a: [...s.a, 5], b: null as unknown as number[] }))).toThrow(RingfenceError);
    store.setState((s) => ({ a: [...s.a, 6], n: 1 }));
    expect(store.getState()).toEqual({ a: [3, 4, 6], b: [1, 2, 3], n: 1 });
    expect(store.capped.stats()).toMatchObject({
      a: { appended: 5, evicted: { capacity: 2, replaced: 0 }, highWaterMark: 3 },
      b: { appended: 3, size: 3, refused: 1 },
    });
  });

  it('may set a part before its store is there', () => {
    const store = createStore<Chat>()(
      capped({ messages: { capacity: 2 } }, (set) => {
        set({ player: 'eve' });
        set(() => ({ messages: rows(1, 3) }));
        return makeStore().getState();
      }),
    );
    expect(numbers(store.getState())).toEqual([]);
  });

  it('shows a lazy field to spreads, JSON and keys, in its place', () => {
    const store = makeStore(1000);
    store.getState().many(rows(1, 2));
    const state = store.getState();
    expect(Object.keys(state).slice(0, 2)).toEqual(['messages', 'player']);
    expect(JSON.parse(JSON.stringify(state))).toEqual({ messages: [{ n: 1 }, { n: 2 }], player: 'ada' });
    expect({ ...state }.messages).toBe(state.messages);
    expect(Object.getPrototypeOf(state)).toBe(Object.prototype);
  });

  it.each([0, -1, NaN, 1.5, Infinity, 2 ** 28 + 1, '5'])('refuses the capacity %s', (capacity) => {
    expect(() => makeStore(capacity as number)).toThrow(RangeError);
    expect(() => makeStore(capacity as number)).toThrow(/capacity of "messages" is .*from 1 to 268435456/);
  });

  it('refuses a field that is no array, at creation and later, and keeps what it had', () => {
    const make = () =>
      createStore<Chat>()(capped({ messages: { capacity: 5 } }, () => ({ messages: 'no' }) as unknown as Chat));
    expect(make).toThrow(RingfenceError);
    const store = makeStore();
    store.getState().add(row(1));
    expect(() => store.setState({ messages: null as unknown as Message[] })).toThrow(
      /"messages" must be an array, and is null/,
    );
    expect(numbers(store.getState())).toEqual([1]);
    expect(store.capped.stats().messages.refused).toBe(1);
  });

  it('refuses an append to a field or a store that is not capped', () => {
    const plain = createStore<{ list: number[] }>()(() => ({ list: [] }));
    expect(() => append(plain, 'list', 1)).toThrow(/not a capped/);
    // @ts-expect-error no array
    expect(() => append(makeStore(), 'player', 'x')).toThrow(/"player" is not a capped field of this store/);
    const early = () =>
      createStore<Chat>()(
        capped({ messages: { capacity: 2 } }, (set) => {
          append(set, 'messages', row(1));
          return makeStore().getState();
        }),
      );
    expect(early).toThrow(/not a capped field of this store \(yet\)/);
  });

  it('is typed: no any, and only arrays can be capped', () => {
    const store = makeStore();
    expectTypeOf(store.getState().messages).toEqualTypeOf<readonly Message[]>();
    expectTypeOf(store.capped.stats()).toHaveProperty('messages');
    expectTypeOf(store.capped.stats).not.toBeAny();
    // @ts-expect-error another row
    void (() => append(store, 'messages', { text: 'x' }));
    // @ts-expect-error player is no array
    void (() => createStore<Chat>()(capped({ player: { capacity: 5 } }, () => store.getState())));
  });
});

it('lists its capped fields by kind and owner, as a store lists its handles', () => {
  const store = createStore<{ a: number[]; b: number[]; c: number[] }>()(
    capped({ a: { capacity: 1 }, b: { capacity: 2 } }, () => ({ a: [], b: [], c: [] })),
  );
  const live = store.capped.liveHandles();
  expect(live).toEqual([
    { kind: 'capped', name: 'a', owner: 'zustand store', stack: undefined },
    { kind: 'capped', name: 'b', owner: 'zustand store', stack: undefined },
  ]);
  expect(store.capped.liveHandles()).toBe(live);
  expect(Object.isFrozen(live) && live.every((each) => Object.isFrozen(each))).toBe(true);
});
