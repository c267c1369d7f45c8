import { expect, it } from 'vitest';

import { decodeEnvelope } from '../../docs/examples/envelope.js';
import { Feed, makeStore } from './support.js';

const GOOD = {
  event_type: 'chat_message',
  timestamp: '2026-01-15T12:00:00Z',
  sequence_number: 0,
  data: { text: 'hi' },
  room_id: 'r1',
};

it('decodeEnvelope opens the envelope, and what is none becomes the error of its row', () => {
  const store = makeStore();
  const log = store.history('log', { decode: decodeEnvelope });
  const sent = [GOOD, { ...GOOD, event_type: '' }, { ...GOOD, timestamp: 'soon' }, [GOOD], { ...GOOD, player_id: 7 }];
  new Feed(store, log).push(sent.length, (seq) => JSON.stringify(sent[seq - 1]));
  const { items } = log.window({ last: 10 }).getSnapshot();
  const time = Date.UTC(2026, 0, 15, 12);
  const opened = { type: 'chat_message', time, data: { text: 'hi' }, roomId: 'r1', playerId: undefined };
  expect(items[0]?.data).toEqual(opened);
  expect(items.map(({ error }) => error?.message)).toEqual([
    undefined,
    'event_type is not a name',
    'timestamp is not a date',
    'not an envelope',
    'player_id is not a string',
  ]);
  expect(log.stats().undecodable).toBe(4);
  store.end();
});
