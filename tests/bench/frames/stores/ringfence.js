import { connect, createStore } from 'ringfence';
import { useHistory } from 'ringfence/react';

const TAIL_ROWS = 32; // as many as the list can show at once

export async function open({ url, channel, capacity }) {
  const store = await createStore({ budget: '16 MiB' });
  const history = store.history(channel, { capacity, bytes: '8 MiB' });
  connect(url, { store }).subscribe(channel, history, { last: 1 });
  return {
    taken: () => store.stats().records,
    size: () => history.size,
    useTail() {
      const { items, size } = useHistory(history, { last: TAIL_ROWS });
      const first = size - items.length;
      return { size, rowAt: (index) => items[index - first] };
    },
  };
}
