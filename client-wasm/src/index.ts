// ringfence: capped event histories in WASM memory, and the client that fills them. Importing it does nothing.
import { loadModule } from './load.js';
import { StoreImpl, checkBudget } from './store.js';
import type { Store, StoreOptions } from './types.js';

export { connect } from './client.js';
export { EndedError, RingfenceError, ServerError, WasmLoadError } from './errors.js';
export { projection } from './projection.js';
export { view } from './view.js';
export { EMPTY_SNAPSHOT } from './window.js';
export type * from './types.js';

/**
 * Starts a WASM instance with memory of its own, which never passes `budget`. The WASM is fetched and compiled once a
 * page, however many stores there are. Needs `'wasm-unsafe-eval'` under a Content-Security-Policy, and nothing more.
 *
 * ```ts
 * const store = await createStore({ budget: '16 MiB' });
 * const chat = store.history<Chat>('chat', { capacity: 1000, bytes: '1 MiB' });
 * ```
 * @throws (rejects) RangeError for an option out of its bounds
 * @throws (rejects) WasmLoadError if the WASM cannot be had: the message says why
 */
export async function createStore(options: StoreOptions): Promise<Store> {
  checkBudget(options);
  // The literal that bundlers look for; the file lies beside the package's own.
  const module = await loadModule(options.wasm ?? new URL('./core.wasm', import.meta.url));
  return new StoreImpl(module, options);
}
