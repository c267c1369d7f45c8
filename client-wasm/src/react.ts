'use client';
// ringfence/react: hooks for React 18 and 19. Render reads immutable snapshots only; effects end what they begin.
import {
  type ReactElement,
  type ReactNode,
  createContext,
  createElement,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useSyncExternalStore,
} from 'react';

import { Backfill, type BackfillSnapshot, EMPTY_BACKFILL } from './backfill.js';
import { checkInteger } from './check.js';
import { projection as makeProjection } from './projection.js';
import { type Lease, useBeforePaint, useLease } from './react/lease.js';
import type {
  Client,
  ConnectionSource,
  ConnectionState,
  Handle,
  History,
  Keyed,
  KeyedSnapshot,
  Readable,
  Reducer,
  Selector,
  Snapshot,
  Store,
  SubscribeOptions,
  SubscriptionSource,
  View,
  ViewFilter,
  ViewOptions,
  ViewSelector,
  ViewSnapshot,
  Window,
  WindowSource,
} from './types.js';
import { EMPTY_PRESENCE, type Presence, type PresenceSnapshot } from './presence_types.js';
import { view as makeView } from './view.js';
import { EMPTY_SNAPSHOT, WINDOW_ROWS_MAX } from './window.js';

export type { BackfillSnapshot } from './backfill.js';

const NOTHING = (): void => undefined;
const subscribeToNothing = (): (() => void) => NOTHING;
const getEmptySnapshot = (): Snapshot<never> => EMPTY_SNAPSHOT;
const getZero = (): number => 0;

const SERVER_STATE: ConnectionState = Object.freeze({
  status: 'connecting',
  retryInMs: 0,
  attempt: 0,
  lastResume: undefined,
  connection: undefined,
  lastClose: undefined,
});
const getServerState = (): ConnectionState => SERVER_STATE;

interface Provided {
  readonly store: Store | undefined;
  readonly client: Client | undefined;
}
const Context = createContext<Provided>({ store: undefined, client: undefined });

/** What a `Provider` gives. */
export interface ProviderProps {
  /** Undefined while it is being created: hooks show what is empty until then. */
  readonly store?: Store | undefined;
  /** Undefined while there is none. */
  readonly client?: Client | undefined;
  /** What is below it. */
  readonly children?: ReactNode;
}

/**
 * Gives a store and a client to the hooks below it. It ends neither: who made them ends them.
 *
 * ```tsx
 * <Provider store={store} client={client}><App /></Provider>
 * ```
 */
export function Provider({ store, client, children }: ProviderProps): ReactElement {
  const value = useMemo(() => ({ store, client }), [store, client]);
  return createElement(Context.Provider, { value }, children);
}

/** The store of the `Provider` above; undefined while it has none. */
export const useStore = (): Store | undefined => useContext(Context).store;

/** The client of the `Provider` above; undefined while it has none. */
export const useClient = (): Client | undefined => useContext(Context).client;

/** What a component takes of a snapshot. */
export interface Selection<T, R> {
  /** Called with each new snapshot, and when it is another function. Must be pure. */
  readonly select: (snapshot: Snapshot<T>) => R;
  /** Equal results keep the one that was there, and render nothing. Default: `Object.is`. */
  readonly isEqual?: (before: R, after: R) => boolean;
}

// The whole history, unless something is asked for.
function useWindow<T>(history: WindowSource<T> | undefined, selector: object): Window<T> | undefined {
  // By value: an object written in the call is another one in each render.
  const { last, from, to, offset, limit } = selector as Record<string, number | undefined>;
  return useMemo<Window<T> | undefined>(() => {
    if (last !== undefined) return history?.window({ last });
    if (from !== undefined && to !== undefined) return history?.window({ from, to });
    if (offset !== undefined && limit !== undefined) return history?.window({ offset, limit });
    return history?.window({ last: WINDOW_ROWS_MAX });
  }, [history, last, from, to, offset, limit]);
}

/**
 * The selected rows of a history, or what `select` makes of them; renders again when they change. Undefined (a store still
 * loading) gives the empty snapshot, as the server's render does. `select` alone sees all rows held, up to 100,000.
 *
 * ```tsx
 * const { items, evicted } = useHistory(chat, { last: 50 });
 * const newest = useHistory(chat, { last: 1, select: ({ items }) => items[0]?.data.text });
 * ```
 * @throws RangeError for a selector out of its bounds
 */
export function useHistory<T, R>(
  history: WindowSource<T> | undefined,
  selector: (Selector | object) & Selection<T, R>,
): R;
export function useHistory<T>(history: WindowSource<T> | undefined, selector: Selector): Snapshot<T>;
export function useHistory<T>(history: WindowSource<T> | undefined, selector: object): unknown {
  const { select, isEqual } = selector as Partial<Selection<T, unknown>>;
  const view = useWindow(history, selector);
  const committed = useRef<{ readonly value: unknown } | undefined>(undefined);
  const [getSelected, getServerSelected] = useMemo(() => {
    if (!select) return [view?.getSnapshot ?? getEmptySnapshot, getEmptySnapshot] as const;
    let seen: { readonly snapshot: Snapshot<T>; readonly value: unknown } | undefined;
    const selected = (snapshot: Snapshot<T>): unknown => {
      if (seen?.snapshot === snapshot) return seen.value;
      let value = select(snapshot);
      const before = seen ?? committed.current;
      if (before && (isEqual ?? Object.is)(before.value, value)) ({ value } = before);
      seen = { snapshot, value };
      return value;
    };
    return [() => selected(view?.getSnapshot() ?? EMPTY_SNAPSHOT), () => selected(EMPTY_SNAPSHOT)] as const;
  }, [view, select, isEqual]);
  const value = useSyncExternalStore<unknown>(view?.subscribe ?? subscribeToNothing, getSelected, getServerSelected);
  useEffect(() => {
    committed.current = { value };
  }, [value]);
  return value;
}

/**
 * How many records a history holds, or a view: renders again when the number changes, and decodes nothing.
 *
 * ```tsx
 * const lines = useCount(log);
 * ```
 */
export function useCount(source: WindowSource<unknown> | View<unknown> | undefined): number {
  const getCount = useMemo(() => {
    if (!source) return getZero;
    if ('count' in source) return () => source.count;
    const whole = source.window({ offset: 0, limit: 0 });
    return () => whole.getSnapshot().size;
  }, [source]);
  const subscribe = useCallback(
    (listener: () => void): Handle | (() => void) => source?.subscribe(listener) ?? NOTHING,
    [source],
  );
  return useSyncExternalStore(subscribe, getCount, getZero);
}

const EMPTY_VIEW: ViewSnapshot<never> = Object.freeze({
  items: EMPTY_SNAPSHOT.items,
  offset: 0,
  count: 0,
  total: 0,
  unread: 0,
  version: 0,
});
const getEmptyView = (): ViewSnapshot<never> => EMPTY_VIEW;

/** What `useView` gives of a view that the component has made for itself. */
export interface OwnViewSnapshot<T = unknown> extends ViewSnapshot<T> {
  /** As of a view. Nothing before the first paint. Stays the same function while history and filter do. */
  readonly markRead: (seq?: number) => void;
}

/**
 * The selected matches of a view; renders again when they change. Of a history and a filter it makes a view of its own,
 * which ends when the component goes, or when the history, the filter, its capacity or its buckets are others (they are
 * compared by value). A view that is given belongs to whoever made it.
 *
 * ```tsx
 * const { items, unread } = useView(whispers, { last: 20 });
 * const { items, unread, markRead } = useView(chat, { types: ['whisper'], text }, { last: 20 });
 * ```
 * @throws RangeError for a selector, filter or option out of its bounds
 * @throws RingfenceError `over_budget` where the store has no room for a view
 */
export function useView<T>(view: View<T> | undefined, selector: ViewSelector): ViewSnapshot<T>;
export function useView<T>(
  history: History<T> | undefined,
  filter: ViewFilter,
  options: ViewOptions & ViewSelector,
): OwnViewSnapshot<T>;
export function useView<T>(
  source: View<T> | History<T> | undefined,
  given: ViewSelector | ViewFilter,
  options?: ViewOptions & ViewSelector,
): ViewSnapshot<T> {
  const { last, offset, limit } = (options ?? given) as Partial<Record<'last' | 'offset' | 'limit', number>>;
  const own = options && [given as ViewFilter, { capacity: options.capacity, rateBucketMs: options.rateBucketMs }];
  const history = own && (source as History<T> | undefined);
  const lease = useLease(
    history && own ? () => makeView(history, own[0] as ViewFilter, own[1] as ViewOptions) : undefined,
    [history, JSON.stringify(own)],
  );
  const before = useRef<{ readonly history: unknown; readonly snapshot: ViewSnapshot<T> } | undefined>(undefined);
  const shown = useMemo((): Pick<Readable<ViewSnapshot<T>>, 'getSnapshot'> & {
    subscribe?: Lease<View<T>>['subscribe'];
  } => {
    const windowOf = (view: View<T>): Readable<ViewSnapshot<T>> =>
      view.window(last === undefined ? { offset: offset ?? 0, limit: limit ?? 0 } : { last });
    if (!lease) return own || !source ? { getSnapshot: getEmptyView } : windowOf(source as View<T>);
    let view: View<T> | undefined;
    let window: Readable<ViewSnapshot<T>> | undefined;
    const getSnapshot = (): ViewSnapshot<T> => {
      if (view !== lease.held) {
        window = lease.held && windowOf(lease.held);
        view = lease.held;
      }
      // Until a view of another filter is there, and that is before anything is painted, rows of the same history stay.
      if (window) return window.getSnapshot();
      return (before.current?.history === history && before.current?.snapshot) || EMPTY_VIEW;
    };
    return { getSnapshot, subscribe: lease.subscribe };
  }, [lease, source, last, offset, limit]);
  const snapshot = useSyncExternalStore<ViewSnapshot<T>>(
    shown.subscribe ?? subscribeToNothing,
    shown.getSnapshot,
    getEmptyView,
  );
  useEffect(() => {
    before.current = { history, snapshot };
  }, [history, snapshot]);
  const markRead = useMemo(() => (seq?: number) => lease?.held?.markRead(seq), [lease]);
  const asked = own !== undefined;
  return useMemo(() => (asked ? { ...snapshot, markRead } : snapshot), [asked, snapshot, markRead]);
}

/**
 * The state of a projection, queue or keyed map, or of anything else that is `Readable`; `otherwise` while there is none, and
 * on a server. Keep `otherwise` the same object.
 *
 * Of a history, a reducer and a state to begin with it makes a projection of its own, which ends when the component goes or
 * the history is another one: then what had left the history is in it no more, which a `projection()` made once would still
 * know. Rows are folded by the latest reducer, as `useReducer` does; those before are not folded again. `initial` is
 * looked at once.
 *
 * ```tsx
 * const { player } = useProjection(game, INITIAL);
 * const total = useProjection(orders, (sum, row) => sum + row.data.price, 0);
 * ```
 */
export function useProjection<S>(projection: Readable<S> | undefined, otherwise: S): S;
export function useProjection<S, T>(history: History<T> | undefined, reducer: Reducer<S, T>, initial: S): S;
export function useProjection<S, T>(
  source: Readable<S> | History<T> | undefined,
  given: S | Reducer<S, T>,
  ...rest: readonly [initial?: S]
): S {
  const own = rest.length > 0;
  const otherwise = (own ? rest[0] : given) as S;
  const reducer = useRef(given as Reducer<S, T>);
  useBeforePaint(() => {
    reducer.current = given as Reducer<S, T>;
  }, [given]);
  const history = own ? (source as History<T> | undefined) : undefined;
  const lease = useLease(
    history && (() => makeProjection<S, T>(history, (state, row) => reducer.current(state, row), otherwise)),
    [history],
  );
  const getOtherwise = useCallback(() => otherwise, [otherwise]);
  // Before it is there: what it begins with.
  const getState = useMemo(() => lease && (() => (lease.held ? lease.held.getSnapshot() : otherwise)), [lease]);
  const readable = own ? undefined : (source as Readable<S> | undefined);
  return useSyncExternalStore(
    (lease ?? readable)?.subscribe ?? subscribeToNothing,
    getState ?? readable?.getSnapshot ?? getOtherwise,
    getOtherwise,
  );
}

const EMPTY_KEYED: KeyedSnapshot<never, never> = Object.freeze({
  entries: EMPTY_SNAPSHOT.items as readonly never[],
  size: 0,
  evicted: 0,
  version: 0,
});
const getEmptyKeyed = (): KeyedSnapshot<never, never> => EMPTY_KEYED;
const getUndefined = (): undefined => undefined;

/**
 * The entries of a keyed map, or the value of one key; renders again when what it gives changes. Looks at the map without
 * using it: what stays is decided by who calls `get` and `set`.
 *
 * ```tsx
 * const { entries } = useKeyed(occupants);
 * const player = useKeyed(occupants, { key: id });
 * ```
 */
export function useKeyed<K, V>(map: Keyed<K, V> | undefined): KeyedSnapshot<K, V>;
export function useKeyed<K, V>(map: Keyed<K, V> | undefined, one: { readonly key: K }): V | undefined;
export function useKeyed<K, V>(map: Keyed<K, V> | undefined, one?: { readonly key: K }): unknown {
  const key = one?.key;
  const whole = one === undefined;
  const getShown = useMemo(() => {
    if (!map) return whole ? getEmptyKeyed : getUndefined;
    return whole ? map.getSnapshot : () => map.peek(key as K);
  }, [map, whole, key]);
  return useSyncExternalStore<unknown>(
    map?.subscribe ?? subscribeToNothing,
    getShown,
    whole ? getEmptyKeyed : getUndefined,
  );
}

/**
 * How a connection is; renders again when that changes. Without a client: that of the `Provider`.
 *
 * ```tsx
 * const { status, retryInMs, lastResume } = useConnection();
 * ```
 */
export function useConnection(client?: ConnectionSource): ConnectionState {
  const provided = useClient();
  const used = client ?? provided;
  const subscribe = useCallback((listener: () => void) => used?.onState(listener) ?? NOTHING, [used]);
  const getState = useCallback(() => used?.state ?? SERVER_STATE, [used]);
  return useSyncExternalStore(subscribe, getState, getServerState);
}

const getNobody = (): PresenceSnapshot => EMPTY_PRESENCE;

/**
 * Who is there: a handle of `ringfence/presence`, which whoever made it ends; nobody without one. Renders again when that
 * changes.
 *
 * ```tsx
 * const [room, setRoom] = useState<Presence>();
 * useEffect(() => {
 *   const made = presence(client, 'room:1', { join: true });
 *   setRoom(() => made); // a handle is a function, which setState would call
 *   return made.end;
 * }, [client]);
 * const { members, count } = usePresence(room);
 * ```
 */
export function usePresence(presence: Presence | undefined): PresenceSnapshot {
  return useSyncExternalStore(presence?.onChange ?? subscribeToNothing, presence?.getSnapshot ?? getNobody, getNobody);
}

/**
 * Sends a channel's records into a history while the component is mounted. Several components may ask for the same. The
 * client is that of the `Provider` where none is given first.
 *
 * ```tsx
 * useSubscription(client, 'room:1', chat, { last: 50 });
 * useSubscription('room:1', chat);
 * ```
 */
export function useSubscription<H = History<unknown>>(
  client: SubscriptionSource<H> | undefined,
  channel: string,
  history: H | undefined,
  options?: SubscribeOptions,
): void;
export function useSubscription(
  channel: string,
  history: History<unknown> | undefined,
  options?: SubscribeOptions,
): void;
export function useSubscription(...args: readonly unknown[]): void {
  const provided = useClient();
  const given = typeof args[0] === 'string' ? [provided, ...args] : args;
  const [client, channel, history] = given as [Client | undefined, string, History<unknown> | undefined];
  const { last } = (given[3] ?? {}) as SubscribeOptions;
  useEffect(() => {
    if (!client || !history) return undefined;
    return client.subscribe(channel, history, last === undefined ? {} : { last });
  }, [client, channel, history, last]);
}

/** What `useBackfill` may be told. Anything out of its bounds is a `RangeError` of the render. */
export interface BackfillOptions<T = unknown> {
  /** Rows shown before older ones are loaded, 1 to 100,000. Default 50. */
  readonly last?: number;
  /** Rows a load asks for, 1 to 1,000. Default 100. */
  readonly page?: number;
  /** Rows shown at most, 1 to 100,000: the oldest leave, and nothing is loaded beyond. Default 1,000. */
  readonly max?: number;
  /** As of the history, for what is loaded. Keep it the same function. */
  readonly decode?: (value: unknown, type: string) => T;
}

export interface BackfillResult<T> extends BackfillSnapshot<T> {
  /** Loads a page of older rows; nothing while one is loading, and once `done`. Never rejects: see `error`. */
  readonly loadOlder: () => Promise<void>;
  /** Lets go of what was loaded. */
  readonly reset: () => void;
}

/**
 * The newest rows of a history with older ones of the server in front, once `loadOlder()` was called. From then on the list
 * also keeps what leaves the history, up to `max` rows. Undefined as client: that of the `Provider`.
 *
 * ```tsx
 * const { items, loadOlder, done, loading } = useBackfill(client, 'room:1', chat, { last: 50, max: 2000 });
 * ```
 * @throws RangeError for an option out of its bounds
 */
export function useBackfill<T>(
  client: Client | undefined,
  channel: string,
  history: History<T> | undefined,
  { last = 50, page = 100, max = 1000, decode }: BackfillOptions<T> = {},
): BackfillResult<T> {
  const provided = useClient();
  const used = client ?? provided;
  checkInteger('page', page, 1, 1000);
  checkInteger('max', max, 1, WINDOW_ROWS_MAX);
  const backfill = useMemo(
    () => (used && history ? new Backfill<T>({ client: used, channel, history, last, page, max, decode }) : undefined),
    [used, channel, history, last, page, max, decode],
  );
  const getEmpty = (): BackfillSnapshot<T> => EMPTY_BACKFILL;
  const snapshot = useSyncExternalStore<BackfillSnapshot<T>>(
    backfill?.subscribe ?? subscribeToNothing,
    backfill?.getSnapshot ?? getEmpty,
    getEmpty,
  );
  return useMemo(
    () => ({
      ...snapshot,
      loadOlder: backfill?.loadOlder ?? (() => Promise.resolve()),
      reset: backfill?.reset ?? NOTHING,
    }),
    [snapshot, backfill],
  );
}
