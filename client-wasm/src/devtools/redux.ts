// The Redux DevTools extension, told a summary now and then. It keeps all that it is sent: so never an event.
import type { Summary } from './summary.js';

interface Connection {
  init(state: unknown): void;
  send(action: { readonly type: string; readonly records: number }, state: unknown): void;
}

interface Extension {
  connect(options: { readonly name: string }): Connection;
}

export const REDUX_EVERY_MS = 1000;

/** A function to call with each summary: tells the extension at most one a second, and only if something came. */
export function reduxReporter(name: string): ((summary: Summary) => void) | undefined {
  const extension = (globalThis as { __REDUX_DEVTOOLS_EXTENSION__?: Extension }).__REDUX_DEVTOOLS_EXTENSION__;
  if (!extension) return undefined;
  const connection = extension.connect({ name });
  let told: Summary | undefined;
  return (summary) => {
    const state = (): unknown => ({ histories: summary.histories, store: summary.store });
    if (!told) connection.init(state());
    else if (summary.time - told.time < REDUX_EVERY_MS) return;
    else {
      const records = summary.store.records - told.store.records;
      const evicted = (of: Summary): number => of.histories.reduce((sum, history) => sum + history.evicted, 0);
      if (records === 0 && evicted(summary) === evicted(told)) return;
      connection.send({ type: `ringfence: ${records} records`, records }, state());
    }
    told = summary;
  };
}
