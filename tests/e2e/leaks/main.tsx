// What fuite does over and over: a component with every hook is mounted, shows what comes, and is unmounted; a client
// connects, subscribes, and ends. With ?leak each also keeps something on purpose, which must be found.

import { StrictMode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { connect, createStore, type Client, type History } from 'ringfence';
import { useBackfill, useConnection, useCount, useHistory, useSubscription } from 'ringfence/react';

interface Note {
  readonly n: number;
}

declare global {
  interface Window {
    /** Once warmed up: what is made once has been made, and the history is full. */
    leaks?: { mount(): Promise<void>; connect(): Promise<void> };
  }
}

const kCapacity = 50;
const kEvents = 30;
const kWarmUps = 12;
const url = `ws://${window.location.host}/v1/ws`;
const leak = window.location.search === '?leak';
const kept: unknown[] = [];

class KeptOnPurpose {
  readonly what: unknown;
  constructor(what: unknown) {
    this.what = what;
  }
}

let published = 0;
async function publish(client: Client): Promise<number> {
  for (let event = 0; event < kEvents; ++event) await client.publish('leaks', 'note', { n: ++published });
  return published;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function newest(history: History<Note>): number {
  return history.last(1)[0]?.data.n ?? 0;
}

function Room({ client, history }: { readonly client: Client; readonly history: History<Note> }) {
  useSubscription(client, 'leaks', history, { last: 5 });
  const { items } = useHistory(history, { last: 20 });
  const { items: older } = useBackfill(client, 'leaks', history);
  const { status } = useConnection(client);
  const size = useCount(history);
  return (
    <ol title={`${status}, ${size}, ${older.length}`}>
      {items.map((row) => (
        <li key={row.seq}>{row.data.n}</li>
      ))}
    </ol>
  );
}

async function start(): Promise<void> {
  const store = await createStore({ budget: '4 MiB' });
  const history = store.history<Note>('leaks', { capacity: kCapacity });
  const client = connect(url, { store });
  const root = createRoot(document.getElementById('root')!);
  const render = (mounted: boolean) =>
    flushSync(() => root.render(<StrictMode>{mounted && <Room client={client} history={history} />}</StrictMode>));

  async function mount(): Promise<void> {
    render(true);
    const last = await publish(client);
    await until(() => document.querySelector('li:last-child')?.textContent === String(last));
    render(false);
    await until(() => client.stats().channels === 0);
    if (leak) kept.push(new KeptOnPurpose(history.subscribe(() => undefined)));
  }

  async function connectOnce(): Promise<void> {
    const other = connect(url, { store });
    const notes = store.history<Note>('notes', { capacity: kCapacity });
    other.subscribe('leaks', notes, { last: 5 });
    await until(() => other.state.status === 'open');
    const last = await publish(other);
    await until(() => newest(notes) === last);
    other.end();
    notes.end();
    if (leak) kept.push(new KeptOnPurpose(other));
  }

  await until(() => client.state.status === 'open');
  for (let time = 0; time < kWarmUps; ++time) {
    await mount();
    await connectOnce();
  }
  window.leaks = { mount, connect: connectOnce };
}

void start();
