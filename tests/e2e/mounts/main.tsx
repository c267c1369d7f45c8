// A component that subscribes, mounted and unmounted as often as the test asks, under StrictMode of React's
// development build: each mount runs its effects twice.

import { StrictMode, useEffect } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { connect, createStore, type Client, type History, type Store } from 'ringfence';
import { useConnection, useHistory, useSubscription } from 'ringfence/react';

export interface Mounts {
  readonly store: Store;
  readonly client: Client;
  readonly history: History;
  /** Mounts and unmounts so often. How often an effect ran and was undone, and the most rows that were shown. */
  cycle(times: number): Promise<{ effects: number; undone: number; rowsMax: number }>;
}

declare global {
  interface Window {
    mounts?: Mounts;
  }
}

const counts = { effects: 0, undone: 0, rowsMax: 0 };

function Panel({ client, history }: { readonly client: Client; readonly history: History }) {
  const { items } = useHistory(history, { last: 20 });
  const { status } = useConnection(client);
  useSubscription(client, 'mounts', history, { last: 20 });
  useEffect(() => {
    ++counts.effects;
    return () => {
      ++counts.undone;
    };
  }, []);
  counts.rowsMax = Math.max(counts.rowsMax, items.length);
  return (
    <ul aria-label={status}>
      {items.map((row) => (
        <li key={row.seq}>{JSON.stringify(row.data)}</li>
      ))}
    </ul>
  );
}

async function start(): Promise<void> {
  const store = await createStore({ budget: '4 MiB' });
  const client = connect(`ws://${window.location.host}/v1/ws`, { store });
  const history = store.history('mounts', { capacity: 500, bytes: '256 KiB' });
  const root = createRoot(document.getElementById('root')!);
  const nextTask = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  window.mounts = {
    store,
    client,
    history,
    cycle: async (times) => {
      Object.assign(counts, { effects: 0, undone: 0, rowsMax: 0 });
      for (let time = 0; time < times; ++time) {
        flushSync(() =>
          root.render(
            <StrictMode>
              <Panel key={time} client={client} history={history} />
            </StrictMode>,
          ),
        );
        await nextTask();
        flushSync(() => root.render(<StrictMode />));
        // Now and then long enough for the server's answers and events to come in between.
        if (time % 10 === 0) await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      await nextTask();
      return { ...counts };
    },
  };
}

void start();
