// Socket and core in a Worker: the page is sent what it shows, once a frame.
import { useHistory } from 'ringfence/react';
import { createWorkerStore } from 'ringfence/worker';

const TAIL_ROWS = 32; // as many as the list can show at once

export async function open({ url, channel, capacity }) {
  const store = await createWorkerStore({ budget: '16 MiB' });
  const history = await store.history(channel, { capacity, bytes: '8 MiB' });
  const client = await store.connect(url);
  client.subscribe(channel, history, { last: 1 });
  const newest = history.window({ last: 1 });
  newest.subscribe(() => undefined);
  let first = 0;
  return {
    // By the numbers of the channel, which has no holes here.
    taken() {
      const { lastSeq } = newest.getSnapshot();
      first ||= lastSeq;
      return lastSeq - first;
    },
    size: () => newest.getSnapshot().size,
    useTail() {
      const { items, size } = useHistory(history, { last: TAIL_ROWS });
      const from = size - items.length;
      return { size, rowAt: (index) => items[index - from] };
    },
  };
}
