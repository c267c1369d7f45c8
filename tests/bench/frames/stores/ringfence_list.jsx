// Socket, core and the list itself in a Worker: the page gets a canvas with the rows on it.
import { HistoryList } from 'ringfence/list';
import { createWorkerStore } from 'ringfence/worker';

import { watch } from '../watch.js';

// As the rows of the other list.
const COLUMNS = [
  { path: 'seq', width: 90 },
  { path: 'data.user', width: 90 },
  { path: 'data.score', width: 90 },
  { path: 'data.text' },
];

export async function open({ url, channel, capacity }) {
  const store = await createWorkerStore({ budget: '16 MiB' });
  const history = await store.history(channel, { capacity, bytes: '8 MiB' });
  const client = await store.connect(url);
  client.subscribe(channel, history, { last: 1 });
  let shown = { lastSeq: 0, size: 0 };
  let first = 0;
  const onShown = (now) => {
    shown = now;
    first ||= now.lastSeq;
    watch.shownAt = now.lastTime;
  };
  return {
    // By the numbers of the channel, which has no holes here.
    taken: () => shown.lastSeq - first,
    size: () => shown.size,
    OwnList: ({ rowHeight }) => (
      <HistoryList history={history} columns={COLUMNS} rowHeight={rowHeight} className="scroller" onShown={onShown} />
    ),
  };
}
