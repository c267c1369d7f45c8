// A Perspective table with a `limit`, in its own Worker: one update a frame, and the last rows read back as JSON.
import perspective from 'perspective';
import { useSyncExternalStore } from 'react';

import { oncePerFrame, openFeed } from './feed.js';

const TAIL_ROWS = 32;
const SCHEMA = {
  seq: 'integer',
  id: 'integer',
  user: 'string',
  room: 'string',
  edited: 'boolean',
  score: 'integer',
  at: 'float',
  text: 'string',
};

export async function open({ url, channel, capacity }) {
  const worker = await perspective.worker();
  const table = await worker.table(SCHEMA, { limit: capacity });
  const view = await table.view();
  const listeners = new Set();
  let snapshot = { size: 0, rows: [] };
  let reading = false;
  let wanted = false;

  // A table with a limit writes its rows round and round, so the newest is not the last: the place is counted here.
  let written = 0;
  async function read() {
    if (reading) return void (wanted = true);
    reading = true;
    do {
      wanted = false;
      const size = Math.min(written, capacity);
      const end = written % capacity || size;
      const start = Math.max(0, end - TAIL_ROWS);
      const flat = await view.to_json({ start_row: start, end_row: end });
      snapshot = { size, rows: flat.map((data) => ({ seq: data.seq, data })) };
      for (const listener of listeners) listener();
    } while (wanted);
    reading = false;
  }
  await view.on_update(read);
  const { taken } = openFeed(
    { url, channel },
    oncePerFrame((batch) => {
      written += batch.length;
      table.update(batch.map(({ seq, data }) => ({ seq, ...data })));
    }),
  );
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const getSnapshot = () => snapshot;
  return {
    taken,
    size: () => snapshot.size,
    useTail() {
      const { size, rows } = useSyncExternalStore(subscribe, getSnapshot);
      const first = size - rows.length;
      return { size, rowAt: (index) => rows[index - first] };
    },
  };
}
