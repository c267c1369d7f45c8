// Two clients on one store: each server numbers its channels from 1, and none writes into the other's history.
import { describe, expect, it } from 'vitest';

import { makeRig, makeStore } from './support.js';

describe('two clients on one store', () => {
  it('keep channels apart that their servers gave the same id', () => {
    const store = makeStore();
    const a = makeRig({}, store);
    const b = makeRig({}, store);
    const historyA = store.history('a');
    const historyB = store.history('b');
    a.client.subscribe('room', historyA);
    b.client.subscribe('room', historyB);
    for (const rig of [a, b]) {
      rig.socket().welcome();
      rig.socket().subscribed('room');
    }
    b.socket().events(1, 0, [1, 2]);
    a.socket().events(1, 0, [1]);
    expect([historyA.size, historyB.size]).toEqual([1, 2]);
    expect([...a.errors, ...b.errors]).toEqual([]);
    expect(store.handles().routes).toBe(2);
    store.end();
  });

  it('refuse a history of another store', () => {
    const { client, store } = makeRig();
    const other = makeStore();
    expect(() => client.subscribe('room', other.history('a'))).toThrow(TypeError);
    store.end();
    other.end();
  });
});

describe('a decode that clears its history', () => {
  it('ends the read instead of waiting for rows that are gone', () => {
    const { client, socket, store } = makeRig();
    const history = store.history<unknown>('a', {
      decode: (value) => {
        history.clear();
        return value;
      },
    });
    client.subscribe('room', history);
    socket().welcome();
    socket().subscribed('room');
    socket().events(1, 0, [1, 2, 3]);
    const { items } = history.window({ last: 10 }).getSnapshot();
    expect(items.length).toBeLessThanOrEqual(3);
    expect(history.size).toBe(0);
    store.end();
  });
});
