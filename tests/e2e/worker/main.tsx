// A page whose socket and core live in a worker, and the usual hooks on what it shows, under StrictMode.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { useConnection, useCount, useHistory, useSubscription } from 'ringfence/react';
import { createWorkerStore, type WorkerClient, type WorkerHistory, type WorkerStore } from 'ringfence/worker';

export interface Remote {
  readonly store: WorkerStore;
  readonly client: WorkerClient;
  readonly history: WorkerHistory<{ number: number }>;
  readonly failures: unknown[];
  unmount(): void;
}

declare global {
  interface Window {
    remote?: Remote;
    socketUrl?: string;
  }
}

function Rows({ client, history }: Pick<Remote, 'client' | 'history'>) {
  useSubscription(client, 'worker', history, { last: 50 });
  const { items, evicted } = useHistory(history, { last: 5 });
  const newest = useHistory(history, { last: 1, select: (snapshot) => snapshot.items[0]?.data.number ?? -1 });
  const count = useCount(history);
  const { status } = useConnection(client);
  return (
    <>
      <p data-testid="status">{status}</p>
      <p data-testid="count">{count}</p>
      <p data-testid="evicted">{evicted}</p>
      <p data-testid="newest">{newest}</p>
      <ol data-testid="rows">
        {items.map((row) => (
          <li key={row.seq}>{row.seq}</li>
        ))}
      </ol>
    </>
  );
}

async function start(): Promise<void> {
  const failures: unknown[] = [];
  const onError = (error: unknown) => void failures.push(String(error));
  const store = await createWorkerStore({ budget: '4 MiB', onError });
  const history = await store.history<{ number: number }>('worker', {
    capacity: 1000,
    bytes: '1 MiB',
    persist: { flushMs: 50 },
  });
  const client = await store.connect(window.socketUrl ?? `ws://${window.location.host}/v1/ws`);
  const root = createRoot(document.getElementById('root')!);
  root.render(
    <StrictMode>
      <Rows client={client} history={history} />
    </StrictMode>,
  );
  window.remote = { store, client, history, failures, unmount: () => root.unmount() };
}

void start();
