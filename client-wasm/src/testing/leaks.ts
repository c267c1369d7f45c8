import type { HandleKind, LiveHandle, Store } from '../types.js';

/** What `expectNoLeaks` may be told. */
export interface LeakOptions {
  /** What may be live: `store.liveHandles()` of before. Whatever is live now and was not then is a leak. */
  readonly since?: readonly LiveHandle[];
  /**
   * Without `since`: kinds that may be live. Default: `history`, `client`, `queue`, `keyed` and `persist`, which an app declares once;
   * so may what a `persist` listens with.
   */
  readonly allow?: readonly HandleKind[];
}

const DECLARED: readonly HandleKind[] = ['history', 'client', 'queue', 'keyed', 'persist'];
const LISTED_MAX = 20;

/**
 * Throws unless everything that was begun has ended. Call it after the last unmount, or at a test's end.
 *
 * ```ts
 * unmount();
 * expectNoLeaks(store); // histories and clients may live; listeners, subscriptions and views may not
 *
 * const since = store.liveHandles();
 * await openAndCloseTheDialog();
 * expectNoLeaks(store, { since }); // nothing new is live
 * ```
 * @throws Error that lists what is live, with the stack of where each was made
 */
export function expectNoLeaks(store: Store, { since, allow = DECLARED }: LeakOptions = {}): void {
  const live = store.liveHandles();
  const before = since && new Set(since);
  const ofKept = ({ owner }: LiveHandle): boolean => owner.startsWith('persist ') && allow.includes('persist');
  const leaks = live.filter((handle) =>
    before ? !before.has(handle) : !allow.includes(handle.kind) && !ofKept(handle),
  );
  const problems = leaks
    .slice(0, LISTED_MAX)
    .map(({ kind, name, owner, stack }) => `${kind} ${JSON.stringify(name)} of ${owner}\n${stack ?? '    (no stack)'}`);
  if (leaks.length > LISTED_MAX) problems.push(`and ${leaks.length - LISTED_MAX} more`);
  // What WASM counts by itself must agree: else a destructor did not run.
  const counts = store.handles();
  for (const [kind, count] of [
    ['history', counts.histories],
    ['listener', counts.listeners],
  ] as const) {
    const listed = live.filter((handle) => handle.kind === kind).length;
    if (listed !== count) problems.push(`WASM holds ${count} of kind ${kind}, JavaScript ${listed}`);
  }
  const { collectedHandles } = store.stats();
  if (!since && collectedHandles > 0) problems.push(`${collectedHandles} were garbage-collected without their end`);
  if (problems.length > 0) throw new Error(`${leaks.length} leaked:\n${problems.join('\n')}`);
}
