// What a page or worker is told about itself: seen again, online, offline. Nothing where there are no such events.
//
// Owns     its listeners: one on the document, two on the global object.
type Target = Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>;

/** Whether the browser says that there is no network. */
export const isOffline = (): boolean => globalThis.navigator?.onLine === false;

/** Calls `check` whenever the connection should be looked at. Returns what ends that. */
export function watchPage(check: () => void): () => void {
  const { document } = globalThis;
  const shown = (): void => {
    if (document.visibilityState === 'visible') check();
  };
  const watched: readonly (readonly [Target | undefined, string, () => void])[] = [
    [document, 'visibilitychange', shown],
    [globalThis, 'online', check],
    [globalThis, 'offline', check],
  ];
  for (const [target, type, listener] of watched) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type, listener] of watched) target?.removeEventListener?.(type, listener);
  };
}
