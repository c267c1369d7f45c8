import { type PayloadAction, combineReducers, configureStore, createSlice } from '@reduxjs/toolkit';
import { describe, expect, it } from 'vitest';

import { RingfenceError } from '../src/errors.js';
import { capped } from '../src/redux.js';

interface Message {
  readonly id: number;
  readonly text: string;
}
const message = (id: number): Message => ({ id, text: `m${id}` });

const makeSlice = () =>
  createSlice({
    name: 'chat',
    initialState: { messages: [] as Message[], newestFirst: [] as number[], draft: '' },
    reducers: {
      pushed: (state, { payload }: PayloadAction<Message>) => void state.messages.push(payload),
      spread: (state, { payload }: PayloadAction<Message>) => ({ ...state, messages: [...state.messages, payload] }),
      unshifted: (state, { payload }: PayloadAction<number>) => void state.newestFirst.unshift(payload),
      dropped: (state, { payload }: PayloadAction<number>) => {
        state.messages = state.messages.filter(({ id }) => id !== payload);
      },
      cleared: (state) => void (state.messages = []),
      typed: (state, { payload }: PayloadAction<string>) => void (state.draft = payload),
      broken: (state) => void ((state as { messages: unknown }).messages = 'none'),
    },
  });

const rig = (capacity = 3) => {
  const { actions, reducer } = makeSlice();
  const chat = capped('chat', { messages: { capacity }, newestFirst: { capacity: 2 } }, reducer);
  // With the checks of RTK for mutation and serializability, which fail a test by an exception or a line on the console.
  const store = configureStore({ reducer: { chat } });
  const ids = () => store.getState().chat.messages.map(({ id }) => id);
  return { actions, chat, store, ids };
};

describe('capped, around a slice of Redux Toolkit', () => {
  it('keeps the newest rows of a push and of a spread, which keep their identity', () => {
    const { actions, store, ids } = rig();
    const first = message(1);
    store.dispatch(actions.pushed(first));
    expect(store.getState().chat.messages[0]).toBe(first);
    for (const id of [2, 3]) store.dispatch(actions.pushed(message(id)));
    const third = store.getState().chat.messages[2];
    for (const id of [4, 5]) store.dispatch(actions.spread(message(id)));
    expect(ids()).toEqual([3, 4, 5]);
    expect(store.getState().chat.messages[0]).toBe(third);
    expect(Array.isArray(store.getState().chat.messages) && Object.isFrozen(store.getState().chat.messages)).toBe(true);
  });

  it('takes from the end where the new rows come first', () => {
    const { actions, store, chat } = rig();
    for (const n of [1, 2, 3]) store.dispatch(actions.unshifted(n));
    expect(store.getState().chat.newestFirst).toEqual([3, 2]);
    expect(chat.stats().newestFirst.evicted.capacity).toBe(1);
  });

  it('leaves filters, clears and everything else alone, and counts by reason', () => {
    const { actions, store, chat, ids } = rig();
    for (const id of [1, 2, 3, 4]) store.dispatch(actions.pushed(message(id)));
    store.dispatch(actions.dropped(3));
    expect(ids()).toEqual([2, 4]);
    const { messages } = store.getState().chat;
    store.dispatch(actions.typed('hello'));
    expect(store.getState().chat.messages).toBe(messages);
    const before = store.getState();
    store.dispatch({ type: 'unknown' });
    expect(store.getState()).toBe(before);
    store.dispatch(actions.cleared());
    expect(ids()).toEqual([]);
    expect(chat.stats().messages).toEqual({
      capacity: 3,
      size: 0,
      highWaterMark: 3,
      appended: 4,
      evicted: { capacity: 1, replaced: 1, cleared: 2 },
      refused: 0,
    });
  });

  it('appends without the slice, several rows in one action', () => {
    const { chat, store, ids, actions } = rig();
    const rows = [1, 2, 3, 4].map(message);
    store.dispatch(chat.append('messages', ...rows));
    expect(ids()).toEqual([2, 3, 4]);
    expect(store.getState().chat.messages[0]).toBe(rows[1]);
    const before = store.getState();
    store.dispatch(chat.append('messages'));
    expect(store.getState()).toBe(before);
    store.dispatch(chat.append('messages', message(5)));
    store.dispatch(actions.pushed(message(6))); // Immer goes on from it
    expect(ids()).toEqual([4, 5, 6]);
    expect(chat.append('messages', rows[0] as Message)).toEqual({ type: 'chat/messages/appended', payload: [rows[0]] });
    expect(chat.stats().messages).toMatchObject({ appended: 6, evicted: { capacity: 3, cleared: 0, replaced: 0 } });
  });

  it('gives the same state for the same state and action, whatever came in between', () => {
    const { chat, actions } = rig();
    const init = chat(undefined, { type: '@@INIT' });
    const states = [init];
    const given = [1, 2, 3, 4, 5].map((id) =>
      id % 2 ? actions.pushed(message(id)) : chat.append('messages', message(id)),
    );
    for (const action of given) states.push(chat(states.at(-1), action));
    for (let round = 0; round < 3; ++round)
      given.forEach((action, index) => expect(chat(states[index], action)).toEqual(states[index + 1]));
    expect(init.messages).toEqual([]);
  });

  it('is one among others, and caps what a store begins with', () => {
    const one = capped('one', { messages: { capacity: 2 } }, makeSlice().reducer);
    const other = capped('other', { messages: { capacity: 5 } }, makeSlice().reducer);
    const store = configureStore({ reducer: combineReducers({ one, other }) });
    store.dispatch(one.append('messages', message(1)));
    expect([store.getState().one.messages.length, store.getState().other.messages.length]).toEqual([1, 0]);
    const { reducer } = createSlice({ name: 'long', initialState: { rows: [1, 2, 3] }, reducers: {} });
    expect(capped('long', { rows: { capacity: 2 } }, reducer)(undefined, { type: 'a' }).rows).toEqual([2, 3]);
  });

  it('refuses bad capacities, fields that are none, and values that are no arrays: those before stay', () => {
    const { reducer } = makeSlice();
    for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 28 + 1])
      expect(() => capped('chat', { messages: { capacity } }, reducer)).toThrow(
        /capacity of "messages" is .*: it must be a whole number from 1 to 268435456/,
      );
    expect(() => capped('', { messages: { capacity: 1 } }, reducer)).toThrow(RangeError);
    const { actions, chat, store } = rig();
    expect(() => chat.append('draft' as 'messages')).toThrow(RingfenceError);
    store.dispatch(actions.pushed(message(1)));
    expect(() => store.dispatch(actions.broken())).toThrow(
      /the capped field "messages" must be an array, and is string/,
    );
    expect(store.getState().chat.messages).toHaveLength(1);
    expect(chat.stats().messages.refused).toBe(1);
    // @ts-expect-error `draft` is no array
    const refused = () => capped('chat', { draft: { capacity: 1 } }, reducer);
    expect(refused).not.toThrow(); // it is the reducer that would
    // @ts-expect-error no message
    chat.append('messages', 5);
  });

  it('is a model of slice(-n) under random appends', () => {
    const { chat, store, actions } = rig(7);
    let model: number[] = [];
    let seed = 3;
    for (let step = 0; step < 600; ++step) {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      const count = seed % 12;
      if (seed % 5 === 0) store.dispatch(actions.pushed(message(step)));
      else store.dispatch(chat.append('messages', ...Array.from({ length: count }, () => message(step))));
      model = [...model, ...Array<number>(seed % 5 === 0 ? 1 : count).fill(step)].slice(-7);
      expect(store.getState().chat.messages.map(({ id }) => id)).toEqual(model);
    }
  });
});
