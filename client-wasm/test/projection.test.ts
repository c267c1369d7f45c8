import { describe, expect, it } from 'vitest';

import { projection } from '../src/projection.js';
import type { Row } from '../src/types.js';
import { Feed, codeOf, makeStore, microtask } from './support.js';

interface GameState {
  readonly player: string | null;
  readonly ticks: number;
  readonly messages: readonly string[];
}
interface GameEvent {
  readonly event_type: string;
  readonly data?: string;
}
const INITIAL: GameState = { player: null, ticks: 0, messages: [] };
const reduce = (state: GameState, { data: { event_type, data } }: Row<GameEvent>): GameState => {
  switch (event_type) {
    case 'game_state':
      return { ...state, player: data ?? null };
    case 'game_tick':
      return { ...state, ticks: state.ticks + 1 };
    case 'chat_message':
      return { ...state, messages: [...state.messages, data ?? ''].slice(-100) };
    default:
      return state;
  }
};
const event = (event_type: string, data?: string): string => JSON.stringify({ event_type, data });

describe('A projection', () => {
  it('still has the player once its game_state is evicted, through eight idle hours', () => {
    const store = makeStore();
    const history = store.history<GameEvent>('game', { capacity: 100 });
    const feed = new Feed(store, history);
    const game = projection(history, reduce, INITIAL);
    feed.push(1, () => event('game_state', 'Ada'));
    for (let second = 0; second < 28_800; second += 50) {
      feed.push(100, (seq) => event(seq % 2 ? 'game_tick' : 'effects_update'));
      if (second % 1000 === 0) expect(game.state.player).toBe('Ada');
    }
    expect(game.state).toEqual({ player: 'Ada', ticks: 28_800, messages: [] });
    expect(history.size).toBe(100);
    expect(game.stats()).toMatchObject({ folded: 57_601, checkpointed: 57_501, reducerErrors: 0 });
    store.end();
  });

  it('folds batches larger than the history, none of them lost', () => {
    const store = makeStore();
    const history = store.history<{ n: number }>('a', { capacity: 10 });
    const sum = projection(history, (state: number, row) => state + row.data.n, 0);
    const other = projection(history, (state: number) => state + 1, 0);
    const feed = new Feed(store, history);
    feed.push(1000);
    expect(sum.state).toBe(500_500);
    expect(other.state).toBe(1000);
    expect(store.stats().records).toBe(1000);
    sum.end();
    other.end();
    feed.push(1000);
    expect(history.size).toBe(10);
    store.end();
  });

  it('keeps messages cleared after the next event, also when it is rebuilt', () => {
    const store = makeStore();
    const history = store.history<GameEvent>('game', { capacity: 100 });
    const feed = new Feed(store, history);
    const game = projection(history, reduce, INITIAL);
    feed.push(1, () => event('game_state', 'Ada'));
    feed.push(3, () => event('chat_message', 'hi'));
    expect(game.state.messages.length).toBe(3);
    game.reset({ ...game.state, messages: [] });
    feed.push(1, () => event('chat_message', 'next'));
    expect(game.state).toMatchObject({ player: 'Ada', messages: ['next'] });
    game.rebuild();
    expect(game.state).toMatchObject({ player: 'Ada', messages: ['next'] });
    // Clearing the rows leaves the state as it is.
    history.clear();
    feed.push(1, () => event('chat_message', 'more'));
    expect(history.size).toBe(1);
    expect(game.state).toMatchObject({ player: 'Ada', messages: ['next', 'more'] });
    store.end();
  });

  it('is rebuilt by a changed reducer from exactly what is held', () => {
    const store = makeStore();
    const history = store.history<string>('a', { capacity: 3 });
    const text = projection(history, (state: string, row) => state + row.data, '');
    for (const value of ['a', 'b', 'c', 'd', 'e']) history.push(value);
    expect(text.state).toBe('abcde');
    text.rebuild((state, row) => `${state}<${row.data}>`);
    expect(text.state).toBe('ab<c><d><e>');
    history.push('f');
    expect(text.state).toBe('ab<c><d><e><f>');
    expect(text.stats()).toMatchObject({ rebuilds: 1, folded: 6, checkpointed: 3 });
    expect(() => text.rebuild(1 as never)).toThrow(TypeError);
    store.end();
  });

  it('gives the same object while the reducer does, and tells of changes only', async () => {
    const store = makeStore();
    const history = store.history<GameEvent>('game');
    const feed = new Feed(store, history);
    const game = projection(history, reduce, INITIAL);
    let calls = 0;
    game.subscribe(() => ++calls);
    feed.push(1, () => event('unknown'));
    await microtask();
    expect(calls).toBe(0);
    expect(game.getSnapshot()).toBe(INITIAL);
    feed.push(1, () => event('game_tick'));
    await microtask();
    expect(calls).toBe(1);
    const state = game.getSnapshot();
    feed.push(1, () => event('unknown'));
    expect(game.getSnapshot()).toBe(state);
    store.end();
  });

  it('leaves out rows at which the reducer throws or that do not decode: told once, counted', () => {
    const thrown: unknown[] = [];
    const store = makeStore({ onError: (error) => thrown.push(error) });
    const history = store.history<{ n: number }>('a', { capacity: 4 });
    const feed = new Feed(store, history);
    const sum = projection(
      history,
      (state: number, row) => {
        if (row.data.n === 2) throw new Error('mine');
        return state + row.data.n;
      },
      0,
    );
    feed.push(4, (seq) => (seq === 3 ? '{broken' : `{"n":${seq}}`));
    expect(sum.state).toBe(5);
    feed.push(4);
    expect(sum.state).toBe(31);
    expect(thrown).toEqual([new Error('mine')]);
    expect(sum.stats()).toMatchObject({ folded: 8, reducerErrors: 1, undecodable: 1 });
    expect(history.size).toBe(4);
    store.end();
  });

  it('refuses that a reducer changes what it folds', () => {
    const thrown: unknown[] = [];
    const store = makeStore({ onError: (error) => thrown.push(error) });
    const history = store.history<number>('a', { capacity: 2 });
    const sum = projection(
      history,
      (state: number, row) => {
        if (row.data === 2) history.push(9);
        if (row.data === 3) history.clear();
        return state + row.data;
      },
      0,
    );
    history.pushMany([1, 2, 3, 4]);
    expect(sum.state).toBe(5);
    expect(thrown.map((error) => (error as { code: string }).code)).toEqual(['reducing', 'reducing']);
    store.end();
  });

  it('lets a reducer end its history, its projection or the store', () => {
    for (const what of ['history', 'projection', 'store'] as const) {
      const store = makeStore();
      const history = store.history<{ n: number }>('a', { capacity: 5 });
      const ended = projection(
        history,
        (state: number, row) => {
          if (row.data.n === 7) ({ history, store, projection: ended })[what].end();
          return state + 1;
        },
        0,
      );
      new Feed(store, history).push(50);
      expect(ended.state).toBeGreaterThanOrEqual(0);
      store.end();
      expect(store.handles().total).toBe(0);
    }
  });

  it('is a handle: ends once, with its listeners, by itself or with its history', () => {
    const store = makeStore();
    const history = store.history<number>('a');
    const count = projection(history, (state: number) => state + 1, 0);
    count.subscribe(() => undefined);
    history.push(1);
    expect(count.state).toBe(1);
    expect(store.handles()).toMatchObject({ projections: 1, listeners: 1 });
    count();
    count.end();
    history.push(2);
    expect(count.getSnapshot()).toBe(1);
    expect(codeOf(() => count.rebuild())).toBe('ended');
    expect(() => count.reset(0)).toThrow('projection of history "a" was used after its end');
    expect(store.handles()).toMatchObject({ projections: 0, listeners: 0 });
    expect(() => projection(history, 1 as never, 0)).toThrow(TypeError);
    projection(history, (state: number) => state, 0);
    history.end();
    expect(store.handles().total).toBe(0);
    store.end();
  });
});
