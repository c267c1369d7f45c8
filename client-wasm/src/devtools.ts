// ringfence/devtools for tools that know no conditions `development` and `production`: they put a constant in place of
// process.env.NODE_ENV, and drop what is not used.
import type { Devtools, DevtoolsOptions } from './devtools/open.js';
import { openDevtools as off } from './devtools_off.js';
import { openDevtools as on } from './devtools_on.js';
import type { Store } from './types.js';

export type { Devtools, DevtoolsOptions } from './devtools/open.js';
export type { HistoryRow, Summary } from './devtools/summary.js';

/**
 * Shows a panel with what each history holds, lets go of and has missed, the live handles with the stacks of where they were
 * made, and the WASM memory; sends summaries to the Redux DevTools extension, at most one a second and never an event.
 * Of a store in a worker (`ringfence/worker`) they show nothing: its `stats()` and `handles()` are what there is.
 * In a production build (`process.env.NODE_ENV` is `production`) it does nothing, and nothing of it is in the bundle.
 *
 * ```ts
 * import { openDevtools } from 'ringfence/devtools';
 * const devtools = openDevtools(store);
 * ```
 * @throws RangeError if `everyMs` is out of its bounds
 */
export function openDevtools(store: Store, options?: DevtoolsOptions): Devtools {
  let open = off;
  try {
    if (process.env.NODE_ENV !== 'production') open = on;
  } catch {
    // A page without a bundler has no `process`, and counts as production.
  }
  return open(store, options);
}
