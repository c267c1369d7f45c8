// A page whose history is kept in IndexedDB: what was there before it connected, and how it went on.

import { connect, createStore, type ChannelResume, type Client, type History, type Store } from 'ringfence';
import { persist, type Persistence } from 'ringfence/persist';

export interface Kept {
  readonly store: Store;
  readonly client: Client;
  readonly history: History;
  readonly persistence: Persistence;
  /** Seqs of the rows there were before any connection. */
  readonly atOnce: readonly number[];
  readonly resumes: readonly ChannelResume[];
}

declare global {
  interface Window {
    kept?: Kept;
  }
}

async function start(): Promise<void> {
  const store = await createStore({ budget: '4 MiB' });
  const history = store.history('kept', { capacity: 500, bytes: '1 MiB' });
  const persistence = await persist(history, { flushMs: 50 });
  const atOnce = history.last(500).map(({ seq }) => seq);
  const client = connect(`ws://${window.location.host}/v1/ws`, { store });
  const resumes: ChannelResume[] = [];
  client.onResume((resume) => resumes.push(resume));
  client.subscribe('kept', history, { last: 500 });
  window.kept = { store, client, history, persistence, atOnce, resumes };
}

void start();
