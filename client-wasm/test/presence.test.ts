// ringfence/presence: what the server tells as members and changes, and what is asked of it.
import { describe, expect, it } from 'vitest';

import { type Presence, type PresenceChange, presence } from '../src/presence.js';
import { expectNoLeaks } from '../src/testing.js';
import type { Handle } from '../src/types.js';
import { type FakeSocket, codeOf, codesOf, makeRig, microtask } from './support.js';

const ANN = { user: 'ann', data: { mood: 'fine' } };
const BOB = { user: 'bob' };
const NOBODY = { connection: '17' };

const keysOf = (room: Presence): string[] => room.members.map(({ key }) => key);
const keys = (members: PresenceChange['joined']): string[] => members.map(({ key }) => key);

/** Answers the newest request of this op. */
function answer(socket: FakeSocket, op: string, message: Record<string, unknown> = { op: 'ok' }): void {
  socket.tell({ id: socket.ops(op).at(-1)?.['id'], ...message });
}
const list = (members: readonly object[], more = false) => ({ channel: 'room', count: members.length, more, members });

function watchRig(options: Parameters<typeof presence>[2] = {}) {
  const rig = makeRig();
  const room = presence(rig.client, 'room', options);
  const changes: PresenceChange[] = [];
  const listener: Handle = room.onChange((change) => changes.push(change));
  rig.socket().welcome();
  return { ...rig, room, changes, listener };
}

describe('presence', () => {
  it('shows who is there, and tells who comes, changes and goes, once a notification', async () => {
    const { room, changes, socket, listener, store, client } = watchRig();
    expect(room.state).toBe('pending');
    expect(room.getSnapshot()).toEqual({ members: [], count: 0, current: false });
    expect(socket().ops('presence')).toMatchObject([{ channel: 'room', watch: true }]);
    expect(socket().ops('join')).toEqual([]);
    answer(socket(), 'presence', { op: 'presence', version: 7, watching: true, ...list([ANN, NOBODY]) });
    expect(room.state).toBe('active');
    expect(keysOf(room)).toEqual(['user:ann', 'connection:17']);
    expect(room.members[0]).toEqual({ key: 'user:ann', user: 'ann', connection: undefined, data: { mood: 'fine' } });
    const first = room.getSnapshot();
    expect(first).toMatchObject({ count: 2, current: true });
    socket().tell({ op: 'join', ...list([BOB]), count: 3 });
    socket().tell({ op: 'leave', ...list([NOBODY]), count: 2 });
    expect(room.getSnapshot()).not.toBe(first);
    expect(room.members[0]).toBe(first.members[0]); // who has not changed is the same object
    expect(changes).toEqual([]);
    await microtask();
    expect(changes.map(({ joined, updated, left }) => [keys(joined), keys(updated), keys(left)])).toEqual([
      [['user:ann', 'user:bob'], [], []],
    ]);
    socket().tell({ op: 'join', ...list([{ user: 'ann', data: 1 }]), count: 2 });
    socket().tell({ op: 'join', ...list([BOB]), count: 2 });
    await microtask();
    expect(keys(changes[1]?.updated ?? [])).toEqual(['user:ann']);
    expect(changes).toHaveLength(2);
    listener.end();
    room.end();
    room.end();
    expect(room.state).toBe('ended');
    client.end();
    expectNoLeaks(store);
  });

  it('takes a list that comes in parts, and one that the server gives anew, as a whole', async () => {
    const { room, changes, socket } = watchRig();
    answer(socket(), 'presence', { op: 'presence', ...list([ANN, BOB], true), count: 3 });
    expect(room.getSnapshot()).toMatchObject({ members: [], current: false });
    socket().tell({ op: 'join', ...list([NOBODY]), count: 3 });
    expect(keysOf(room)).toEqual(['user:ann', 'user:bob', 'connection:17']);
    await microtask();
    socket().tell({ op: 'presence', ...list([{ user: 'cid' }], true), count: 2 });
    expect(keysOf(room)).toHaveLength(3);
    socket().tell({ op: 'join', ...list([ANN]), count: 2 });
    expect(keysOf(room)).toEqual(['user:cid', 'user:ann']);
    await microtask();
    expect([keys(changes[1]!.joined), keys(changes[1]!.updated), keys(changes[1]!.left)]).toEqual([
      ['user:cid'],
      [],
      ['user:bob', 'connection:17'],
    ]);
  });

  it('joins for as long as a handle wants it, says the last that was to be said, and leaves', () => {
    const { room, socket, client, timers } = watchRig({ data: { n: 1 } });
    expect(socket().ops('join')).toMatchObject([{ channel: 'room', data: { n: 1 } }]);
    room.update({ n: 2 });
    room.update({ n: 3 }); // one at a time
    expect(socket().ops('join')).toHaveLength(1);
    answer(socket(), 'join');
    expect(socket().ops('join').at(-1)).toMatchObject({ data: { n: 3 } });
    answer(socket(), 'join');
    expect(socket().ops('join')).toHaveLength(2);

    const eye = presence(client, 'room');
    room.end();
    timers.advance(1);
    expect(socket().ops('leave')).toHaveLength(1); // and it is watched on
    expect(socket().ops('presence')).toHaveLength(1);
    answer(socket(), 'leave');
    eye.end();
    timers.advance(1);
    expect(socket().ops('presence').at(-1)).toMatchObject({ watch: false });
    expect(socket().ops('leave')).toHaveLength(1);
    // Ended and made anew at once, as StrictMode does: nobody leaves.
    const again = presence(client, 'room', { join: true });
    const asked = socket().sent.length;
    again.end();
    const last = presence(client, 'room', { join: true });
    timers.advance(1);
    expect(socket().sent).toHaveLength(asked);
    expect(last.active).toBe(true);
  });

  it('watches and joins again after a reconnect, and tells the difference', async () => {
    const { room, changes, socket, timers } = watchRig({ join: true });
    answer(socket(), 'presence', { op: 'presence', ...list([ANN, BOB]) });
    answer(socket(), 'join');
    await microtask();
    const held = room.members[0];
    socket().lose();
    expect(room.getSnapshot()).toMatchObject({ current: false, count: 2 });
    expect(room.state).toBe('pending');
    timers.advance(1000);
    socket().welcome();
    expect(socket().ops('join')).toHaveLength(1);
    socket().tell({ op: 'leave', ...list([ANN]), count: 0 }); // before the answer: of nobody's interest
    answer(socket(), 'presence', { op: 'presence', ...list([ANN, NOBODY]) });
    await microtask();
    expect(room.members[0]).toBe(held);
    const change = changes.at(-1)!;
    expect([keys(change.joined), keys(change.left)]).toEqual([['connection:17'], ['user:bob']]);
  });

  it('tells refusals, waits where the server asks for it, and is ended by a right that is gone', () => {
    const { room, socket, errors, timers } = watchRig({ join: true });
    answer(socket(), 'presence', { op: 'error', code: 'rate_limited', message: 'slow', retry_after_ms: 500 });
    answer(socket(), 'join', { op: 'error', code: 'too_many_members', message: 'full' });
    expect(room.state).toBe('pending');
    timers.advance(499);
    expect(socket().ops('presence')).toHaveLength(1);
    timers.advance(1);
    expect(socket().ops('presence')).toHaveLength(2);
    expect(socket().ops('join')).toHaveLength(1); // full is full
    answer(socket(), 'presence', { op: 'presence', ...list([ANN]) });
    room.update(1);
    expect(socket().ops('join')).toHaveLength(2);
    answer(socket(), 'join');
    socket().tell({ op: 'presence', channel: 'room', watching: false, reason: 'forbidden' });
    expect(room.state).toBe('refused');
    expect(room.getSnapshot()).toEqual({ members: [], count: 0, current: false });
    expect(codesOf(errors)).toEqual(['rate_limited', 'too_many_members', 'forbidden']);
  });

  it('refuses what the protocol does not allow, and holds what it had', () => {
    const { room, socket, errors, client } = watchRig();
    answer(socket(), 'presence', { op: 'presence', ...list([ANN]) });
    for (const wrong of [{ members: [{}] }, { members: 1 }, { count: -1 }, { count: '1' }, { more: 0 }])
      socket().tell({ op: 'join', ...list([BOB]), ...wrong });
    socket().tell({ op: 'presence', id: 999, ...list([BOB]) });
    expect(keysOf(room)).toEqual(['user:ann']);
    expect(codesOf(errors)).toEqual(Array.from({ length: 6 }, () => 'bad_message'));
    expect(client.stats().refusedMessages).toBe(6);
  });

  it('has bounds: channels, members held; and its handles end with the client', () => {
    const { room, socket, client, store } = watchRig();
    const many = Array.from({ length: 10_001 }, (_, index) => ({ user: `u${index}` }));
    answer(socket(), 'presence', { op: 'presence', ...list(many) });
    expect(room.getSnapshot()).toMatchObject({ count: 10_001, current: true });
    expect(room.members).toHaveLength(10_000);
    const handles = Array.from({ length: 999 }, (_, index) => presence(client, `r${index}`));
    expect(codeOf(() => presence(client, 'one-more'))).toBe('too_many_subscriptions');
    expect(presence(client, 'r1').active).toBe(true);
    expect(() => presence(client, 'no name')).toThrow(RangeError);
    expect(() => presence(client, 'r1', { data: () => 1 })).toThrow(TypeError);
    expect(() => presence({} as never, 'r1')).toThrow(TypeError);
    expect(store.handles().presences).toBe(1 + 1 + 999 + 1);
    client.end();
    expect(handles.every((handle) => !handle.active)).toBe(true);
    expect(store.handles().total).toBe(0);
    expect(codeOf(() => presence(client, 'r1'))).toBe('ended');
  });
});
