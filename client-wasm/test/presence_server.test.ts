// ringfence/presence against the real server.
import { afterAll, beforeAll, expect, it } from 'vitest';

import { connect } from '../src/index.js';
import { type PresenceChange, presence } from '../src/presence.js';
import type { StoreImpl } from '../src/store.js';
import type { Client } from '../src/types.js';
import { NodeSocket, ServerProcess, until } from './server_process.js';
import { makeStore } from './support.js';

let server: ServerProcess;
const stores: StoreImpl[] = [];

function open(user: string): { client: Client; errors: Error[] } {
  const store = makeStore();
  const backoff = { baseMs: 50, maxMs: 200 };
  const client = connect(`${server.socketUrl}?user=${user}`, { store, backoff, WebSocket: NodeSocket });
  const errors: Error[] = [];
  client.onError((error) => errors.push(error));
  stores.push(store);
  return { client, errors };
}

beforeAll(async () => {
  server = await ServerProcess.start(['--grace-ms', '60000', '--user-attempts', '1000', '--presence-members', '3']);
});
afterAll(async () => {
  for (const store of stores) store.end();
  await server.down();
});

it('users see one another come, say something, lose their connection and go', async () => {
  const ann = open('ann');
  const bob = open('bob');
  const room = presence(ann.client, 'room', { data: { mood: 'fine' } });
  const changes: PresenceChange[] = [];
  const listener = room.onChange((change) => changes.push(change));
  const users = (): unknown[] => room.members.map(({ user }) => user);
  await until(() => expect(users()).toEqual(['ann']));
  const bobs = presence(bob.client, 'room', { join: true });
  await until(() => expect(users()).toEqual(['ann', 'bob']));
  await until(() => expect(bobs.members).toMatchObject([{ user: 'ann', data: { mood: 'fine' } }, { user: 'bob' }]));
  bobs.update({ mood: 'away' });
  await until(() => expect(room.members[1]).toMatchObject({ user: 'bob', data: { mood: 'away' } }));

  // Bob comes back within the grace: nobody is told.
  changes.length = 0;
  bob.client.cut();
  await until(() => expect(bobs.getSnapshot().current).toBe(false));
  await until(() => expect(bobs.getSnapshot()).toMatchObject({ current: true, count: 2 }));
  // And so does everybody after a restart of the server, which has forgotten them.
  const cid = open('cid');
  const cids = presence(cid.client, 'room', { join: true });
  await until(() => expect(users()).toEqual(['ann', 'bob', 'cid']));
  expect(changes.flatMap(({ joined, left }) => [...joined, ...left].map(({ user }) => user))).toEqual(['cid']);
  const dan = open('dan');
  const dans = presence(dan.client, 'room', { join: true });
  await until(() => expect(dan.errors).toMatchObject([{ code: 'too_many_members', channel: 'room' }]));
  await until(() => expect(dans.getSnapshot()).toMatchObject({ current: true, count: 3 })); // it looks on all the same
  cids.end();
  await until(() => expect(users()).toEqual(['ann', 'bob']));

  await server.down();
  await until(() => expect(room.getSnapshot().current).toBe(false));
  dans.end();
  await server.up();
  await until(() => expect(room.getSnapshot()).toMatchObject({ current: true, count: 2 }));
  expect(users().sort()).toEqual(['ann', 'bob']);
  listener.end();
});
