// A list that a worker draws, under StrictMode.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { HistoryList, type ListShown } from 'ringfence/list';
import { createWorkerStore, type WorkerClient, type WorkerHistory, type WorkerStore } from 'ringfence/worker';

export interface Drawn {
  readonly store: WorkerStore;
  readonly client: WorkerClient;
  readonly history: WorkerHistory;
  readonly failures: unknown[];
  /** The latest that the list has told. */
  shown: ListShown | undefined;
  render(props: { className?: string; watched?: boolean }): void;
  unmount(): void;
}

declare global {
  interface Window {
    drawn?: Drawn;
  }
}

async function start(): Promise<void> {
  const failures: unknown[] = [];
  const store = await createWorkerStore({ budget: '4 MiB', onError: (error) => failures.push(String(error)) });
  const history = await store.history('list', { capacity: 1000, bytes: '1 MiB' });
  const client = await store.connect(`ws://${window.location.host}/v1/ws`);
  client.subscribe('list', history, { last: 1000 });
  const root = createRoot(document.getElementById('root')!);
  const onShown = (shown: ListShown) => void (drawn.shown = shown);
  const drawn: Drawn = {
    store,
    client,
    history,
    failures,
    shown: undefined,
    render: ({ className = 'list', watched = true }) =>
      root.render(
        <StrictMode>
          <HistoryList
            history={history}
            label="Everything"
            rowHeight={20}
            className={className}
            columns={[
              { path: 'seq', width: 80 },
              { path: 'data.number', width: 80, color: { by: 'type', of: { alarm: 'rgb(255, 0, 0)' } } },
              { path: 'data.text' },
            ]}
            {...(watched ? { onShown } : {})}
          />
        </StrictMode>,
      ),
    unmount: () => root.render(<StrictMode />),
  };
  drawn.render({});
  window.drawn = drawn;
}

void start();
