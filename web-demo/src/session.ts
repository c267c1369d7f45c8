// What the page holds: one store, its histories, one connection. Made once, outside React, and handed down.

import { connect, createStore, type Client, type History, type Store } from 'ringfence';
import { kControl, type Channel } from './channels.ts';
import type { Nodes } from './logic/nodes.ts';

// WASM memory never passes the budget; the histories' bytes are set aside of it.
const kBudget = '24 MiB';
const kLimits = {
  game: { capacity: 10_000, bytes: '8 MiB', last: 1000 },
  chat: { capacity: 10_000, bytes: '2 MiB', last: 200 },
  host: { capacity: 10_000, bytes: '4 MiB', last: 1200 },
  log: { capacity: 10_000, bytes: '4 MiB', last: 500 },
  [kControl]: { capacity: 64, bytes: '64 KiB', last: 8 },
} as const;

export type Histories = Readonly<Record<Channel | typeof kControl, History>>;

export interface Session {
  readonly store: Store;
  readonly client: Client;
  readonly histories: Histories;
  readonly nodes: Nodes;
}

export async function openSession(url: string, nodes: Nodes): Promise<Session> {
  const store = await createStore({ budget: kBudget });
  const client = connect(url, { store, WebSocket: nodes.socket() });
  const open = (name: keyof typeof kLimits): History => {
    const { capacity, bytes, last } = kLimits[name];
    const history = store.history(name, { capacity, bytes });
    client.subscribe(name, history, { last });
    return history;
  };
  const histories: Histories = {
    game: open('game'),
    chat: open('chat'),
    host: open('host'),
    log: open('log'),
    [kControl]: open(kControl),
  };
  return { store, client, histories, nodes };
}

/** The server that sent the page. */
export function socketUrl(location: Location): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`;
}
