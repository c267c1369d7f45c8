// The middleware around and within those of Zustand, in any usual order.
import { createStore } from 'zustand/vanilla';
import { createJSONStorage, devtools, persist, subscribeWithSelector, type StateStorage } from 'zustand/middleware';
import { immer } from 'zustand/middleware/immer';
import { describe, expect, it } from 'vitest';

import { RingfenceError } from '../src/errors.js';
import { append, capped } from '../src/zustand.js';
import { numbers, range, row, rows, type Message } from './zustand_support.js';

const storage = (initial: Record<string, string> = {}): StateStorage & { kept: Record<string, string> } => {
  const kept = { ...initial };
  return {
    kept,
    getItem: (name) => kept[name] ?? null,
    setItem: (name, value) => void (kept[name] = value),
    removeItem: (name) => void delete kept[name],
  };
};

interface Log {
  messages: readonly Message[];
  add: (message: Message) => void;
}
const tooMany = (): Record<string, string> => ({
  log: JSON.stringify({ state: { messages: rows(1, 20) }, version: 0 }),
});

describe('capped among the middlewares', () => {
  const options = (from: StateStorage) => ({ name: 'log', storage: createJSONStorage<Log>(() => from) });
  it('within persist: caps what was stored, and stores what is capped', () => {
    const kept = storage(tooMany());
    const store = createStore<Log>()(
      persist(
        capped({ messages: { capacity: 5 } }, (set) => ({
          messages: [],
          add: (m) => set((s) => ({ messages: [...s.messages, m] })),
        })),
        options(kept),
      ),
    );
    expect(numbers(store.getState())).toEqual(range(16, 20));
    expect(Object.isFrozen(store.getState().messages)).toBe(true);
    store.getState().add(row(21));
    append(store, 'messages', row(22));
    expect(JSON.parse(kept.kept['log'] ?? '').state.messages.map(({ n }: Message) => n)).toEqual(range(18, 22));
  });

  it('around persist: the same', () => {
    const kept = storage(tooMany());
    const store = createStore<Log>()(
      capped(
        { messages: { capacity: 5 } },
        persist(
          (set) => ({ messages: [] as readonly Message[], add: (m: Message) => append(set, 'messages', m) }),
          options(kept),
        ),
      ),
    );
    expect(numbers(store.getState())).toEqual(range(16, 20));
    store.getState().add(row(21));
    expect(numbers(store.getState())).toEqual(range(17, 21));
    expect(JSON.parse(kept.kept['log'] ?? '').state.messages).toHaveLength(5);
  });

  it('within a persist that is asynchronous: listeners never see more than the cap', async () => {
    const kept = storage(tooMany());
    const later: StateStorage = { ...kept, getItem: async (name) => kept.getItem(name) };
    const store = createStore<Log>()(
      persist(
        capped({ messages: { capacity: 5 } }, () => ({ messages: [], add: () => undefined })),
        options(later),
      ),
    );
    const sizes: number[] = [];
    store.subscribe((state) => sizes.push(state.messages.length));
    await expect.poll(() => store.persist.hasHydrated()).toBe(true);
    expect(numbers(store.getState())).toEqual(range(16, 20));
    expect(Math.max(...sizes)).toBe(5);
  });

  it('within immer: pushes to a draft, also more than the cap, counted', () => {
    const store = createStore<Log & { all: (m: Message[]) => void }>()(
      immer(
        capped({ messages: { capacity: 5 } }, (set) => ({
          messages: [],
          add: (m) => set((draft) => void draft.messages.push(m)),
          all: (ms) => set((draft) => void draft.messages.push(...ms)),
        })),
      ),
    );
    let told = 0;
    store.subscribe(() => ++told);
    for (const message of rows(1, 7)) store.getState().add(message);
    expect(told).toBe(7);
    expect(numbers(store.getState())).toEqual(range(3, 7));
    store.getState().all(rows(8, 20));
    expect(numbers(store.getState())).toEqual(range(16, 20));
    append(store, 'messages', row(21));
    expect(numbers(store.getState())).toEqual(range(17, 21));
    expect(store.capped.stats().messages).toMatchObject({
      appended: 21,
      evicted: { capacity: 16, cleared: 0, replaced: 0 },
    });
  });

  it('within immer: takes what an update returns, and refuses a field that is no array', () => {
    const store = createStore<Log>()(
      immer(capped({ messages: { capacity: 2 } }, () => ({ messages: rows(1, 2), add: () => undefined }))),
    );
    store.setState((s) => ({ messages: [...s.messages, row(3)] }));
    expect(numbers(store.getState())).toEqual([2, 3]);
    expect(Object.isFrozen(store.getState().messages)).toBe(true);
    expect(() => store.setState((s) => void ((s as { messages: unknown }).messages = null))).toThrow(RingfenceError);
    expect(numbers(store.getState())).toEqual([2, 3]);
    expect(store.capped.stats().messages).toMatchObject({ appended: 3, evicted: { capacity: 1 }, refused: 1 });
  });

  it('around immer: the same', () => {
    const store = createStore<Log>()(
      capped(
        { messages: { capacity: 5 } },
        immer((set) => ({
          messages: [] as Message[],
          add: (m: Message) => set((draft) => void draft.messages.push(m)),
        })),
      ),
    );
    for (const message of rows(1, 7)) store.getState().add(message);
    append(store, 'messages', ...rows(8, 9));
    store.getState().add(row(10));
    expect(numbers(store.getState())).toEqual(range(6, 10));
    expect(store.capped.stats().messages).toMatchObject({
      appended: 10,
      evicted: { capacity: 5, cleared: 0, replaced: 0 },
    });
  });

  it.each(['within', 'around'])('%s subscribeWithSelector: a selector is told of its field alone', (where) => {
    const init = (set: (partial: Partial<Log>) => void): Log => ({ messages: [], add: () => set({}) });
    const store =
      where === 'within'
        ? createStore<Log>()(subscribeWithSelector(capped({ messages: { capacity: 2 } }, init)))
        : createStore<Log>()(capped({ messages: { capacity: 2 } }, subscribeWithSelector(init)));
    const told: number[][] = [];
    store.subscribe(
      (state) => state.messages,
      (messages) => told.push(messages.map(({ n }) => n)),
    );
    append(store, 'messages', ...rows(1, 3));
    store.getState().add(row(0));
    expect(told).toEqual([[2, 3]]);
  });

  it.each(['within', 'around'])('%s devtools: sends states, and caps a jump in time', (where) => {
    const sent: { messages: readonly Message[] }[] = [];
    let tell: (message: unknown) => void = () => undefined;
    const connection = {
      init: () => undefined,
      send: (_: unknown, state: { messages: readonly Message[] }) => sent.push(state),
      subscribe: (listener: typeof tell) => {
        tell = listener;
        return () => undefined;
      },
    };
    const page = globalThis as { window?: unknown };
    page.window = { __REDUX_DEVTOOLS_EXTENSION__: { connect: () => connection } };
    try {
      const init = (): Log => ({ messages: [], add: () => undefined });
      const store =
        where === 'within'
          ? createStore<Log>()(devtools(capped({ messages: { capacity: 2 } }, init), { enabled: true }))
          : createStore<Log>()(capped({ messages: { capacity: 2 } }, devtools(init, { enabled: true })));
      append(store, 'messages', ...rows(1, 3));
      expect(sent.at(-1)?.messages).toEqual(rows(2, 3));
      tell({ type: 'DISPATCH', payload: { type: 'JUMP_TO_STATE' }, state: JSON.stringify({ messages: rows(1, 9) }) });
      expect(numbers(store.getState())).toEqual([8, 9]);
    } finally {
      delete page.window;
    }
  });

  it('in the deepest usual order: devtools, subscribeWithSelector, persist, immer', () => {
    const kept = storage();
    const store = createStore<Log>()(
      devtools(
        subscribeWithSelector(
          persist(
            immer(
              capped({ messages: { capacity: 3 } }, (set) => ({
                messages: [],
                add: (m) => set((draft) => void draft.messages.push(m)),
              })),
            ),
            options(kept),
          ),
        ),
      ),
    );
    for (const message of rows(1, 5)) store.getState().add(message);
    append(store, 'messages', row(6));
    expect(numbers(store.getState())).toEqual([4, 5, 6]);
    expect(JSON.parse(kept.kept['log'] ?? '').state.messages).toHaveLength(3);
  });
});
