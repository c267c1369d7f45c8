// ringfence/devtools of a production build: nothing.
import type { Devtools, DevtoolsOptions } from './devtools/open.js';
import { dispose } from './handle.js';
import type { Store } from './types.js';

export type { Devtools, DevtoolsOptions } from './devtools/open.js';
export type { HistoryRow, Summary } from './devtools/summary.js';

/** Does nothing in production. */
export function openDevtools(_store: Store, _options: DevtoolsOptions = {}): Devtools {
  const end = (): void => undefined;
  const handle = Object.assign(() => undefined, { end, summary: () => undefined, active: false, [dispose]: end });
  return handle as unknown as Devtools;
}
