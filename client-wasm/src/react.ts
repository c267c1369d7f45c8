'use client';
// ringfence/react: hooks for React 18 and 19. Render reads immutable snapshots only; effects end what they begin.
import { useCallback, useEffect, useMemo, useSyncExternalStore } from 'react';

import type { Client, ConnectionState, History, Selector, Snapshot, SubscribeOptions, Window } from './types.js';
import { EMPTY_SNAPSHOT } from './window.js';

const NOTHING = (): void => undefined;
const subscribeToNothing = (): (() => void) => NOTHING;
const getEmptySnapshot = (): Snapshot<never> => EMPTY_SNAPSHOT;

const SERVER_STATE: ConnectionState = Object.freeze({
  status: 'connecting',
  retryInMs: 0,
  attempt: 0,
  lastResume: undefined,
  connection: undefined,
  lastClose: undefined,
});
const getServerState = (): ConnectionState => SERVER_STATE;

/**
 * The selected rows of a history; renders again when they change. Undefined (a store still loading) gives the empty
 * snapshot, as the server's render does.
 *
 * ```tsx
 * const { items, evicted } = useHistory(chat, { last: 50 });
 * return items.map((row) => <Message key={row.seq} {...row.data} />);
 * ```
 * @throws RangeError for a selector out of its bounds
 */
export function useHistory<T>(history: History<T> | undefined, selector: Selector): Snapshot<T> {
  // By value: an object written in the call is another one in each render.
  const last = 'last' in selector ? selector.last : undefined;
  const from = 'from' in selector ? selector.from : undefined;
  const to = 'from' in selector ? selector.to : undefined;
  const offset = 'offset' in selector ? selector.offset : undefined;
  const limit = 'offset' in selector ? selector.limit : undefined;
  const view = useMemo<Window<T> | undefined>(() => {
    if (last !== undefined) return history?.window({ last });
    if (from !== undefined && to !== undefined) return history?.window({ from, to });
    return history?.window({ offset: offset ?? 0, limit: limit ?? 0 });
  }, [history, last, from, to, offset, limit]);
  return useSyncExternalStore<Snapshot<T>>(
    view?.subscribe ?? subscribeToNothing,
    view?.getSnapshot ?? getEmptySnapshot,
    getEmptySnapshot,
  );
}

/**
 * How a connection is; renders again when that changes.
 *
 * ```tsx
 * const { status, retryInMs, lastResume } = useConnection(client);
 * ```
 */
export function useConnection(client: Client | undefined): ConnectionState {
  const subscribe = useCallback((listener: () => void) => client?.onState(listener) ?? NOTHING, [client]);
  const getState = useCallback(() => client?.state ?? SERVER_STATE, [client]);
  return useSyncExternalStore(subscribe, getState, getServerState);
}

/**
 * Sends a channel's records into a history while the component is mounted. Several components may ask for the same.
 *
 * ```tsx
 * useSubscription(client, 'room:1', chat, { last: 50 });
 * ```
 */
export function useSubscription(
  client: Client | undefined,
  channel: string,
  history: History<unknown> | undefined,
  options: SubscribeOptions = {},
): void {
  const { last } = options;
  useEffect(() => {
    if (!client || !history) return undefined;
    return client.subscribe(channel, history, last === undefined ? {} : { last });
  }, [client, channel, history, last]);
}
