// What fuite does over and over: a component with every hook is mounted, shows what comes, and is unmounted; a client
// connects, subscribes, and ends; a list that a worker draws is mounted and unmounted. With ?leak each also keeps something on purpose, which must be found.

import { StrictMode, useEffect } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { connect, createStore, type Client, type History, type Row } from 'ringfence';
import { keyed, type Keyed } from 'ringfence/keyed';
import { HistoryList } from 'ringfence/list';
import { presence, type Presence } from 'ringfence/presence';
import {
  useBackfill,
  useConnection,
  useCount,
  useHistory,
  useKeyed,
  usePresence,
  useProjection,
  useSubscription,
  useView,
} from 'ringfence/react';
import { useRing } from 'ringfence/ring';
import { createWorkerStore } from 'ringfence/worker';

interface Note {
  readonly n: number;
}

declare global {
  interface Window {
    /** Once warmed up: what is made once has been made, and the history is full. */
    leaks?: { mount(): Promise<void>; connect(): Promise<void>; list(): Promise<void> };
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

interface RoomProps {
  readonly client: Client;
  readonly history: History<Note>;
  readonly members: Keyed<number, string>;
  readonly people: Presence;
}
const countOf = (count: number, _: Row<Note>): number => count + 1;

function Room({ client, history, members, people }: RoomProps) {
  useSubscription(client, 'leaks', history, { last: 5 });
  const { items } = useHistory(history, { last: 20 });
  const { items: older } = useBackfill(client, 'leaks', history);
  const { status } = useConnection(client);
  const size = useCount(history);
  const { total } = useView(history, { types: ['note'] }, { last: 5 });
  const folded = useProjection(history, countOf, 0);
  const { size: known } = useKeyed(members);
  const { count: present } = usePresence(people);
  const { items: kept, push } = useRing<number>(5);
  useEffect(() => push(size), [push, size]);
  return (
    <ol title={[status, size, older.length, total, folded, known, present, kept.length].join()}>
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
  const members = keyed<number, string>(store, 'members', { capacity: 10 });
  members.set(1, 'ada');
  const people = presence(client, 'leaks');
  const remote = await createWorkerStore({ budget: '4 MiB' });
  const drawn = await remote.history('leaks', { capacity: kCapacity });
  (await remote.connect(url)).subscribe('leaks', drawn, { last: 5 });
  const root = createRoot(document.getElementById('root')!);
  const render = (mounted: boolean) =>
    flushSync(() =>
      root.render(
        <StrictMode>
          {mounted && <Room client={client} history={history} members={members} people={people} />}
        </StrictMode>,
      ),
    );

  async function mount(): Promise<void> {
    render(true);
    const last = await publish(client);
    await until(() => document.querySelector('li:last-child')?.textContent === String(last));
    render(false);
    await until(() => client.stats().channels === 0 && store.handles().views + store.handles().projections === 0);
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

  const columns = [{ path: 'seq', width: 90 }, { path: 'data.n' }];
  async function list(): Promise<void> {
    let newest = 0;
    const onShown = ({ lastSeq }: { lastSeq: number }) => void (newest = lastSeq);
    const element = <HistoryList history={drawn} columns={columns} style={{ height: 200 }} onShown={onShown} />;
    flushSync(() => root.render(<StrictMode>{element}</StrictMode>));
    const { seq } = await client.publish('leaks', 'note', { n: ++published });
    await until(() => newest === seq);
    flushSync(() => root.render(<StrictMode />));
    await until(() => remote.handles().drawings === 0);
    if (leak) kept.push(new KeptOnPurpose(drawn.subscribe(() => undefined)));
  }

  await until(() => client.state.status === 'open');
  for (let time = 0; time < kWarmUps; ++time) {
    await mount();
    await connectOnce();
    await list();
  }
  window.leaks = { mount, connect: connectOnce, list };
}

void start();
