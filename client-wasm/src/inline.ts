// ringfence/inline: the same with the WASM inside, which starts at once: for tests, and where no file can be served.
import base64 from 'ringfence-wasm-base64';

import { WasmLoadError } from './errors.js';
import { loadModule } from './load.js';
import { StoreImpl, checkBudget } from './store.js';
import type { Store, StoreOptions } from './types.js';

export { connect } from './client.js';
export { EndedError, RingfenceError, ServerError, WasmLoadError } from './errors.js';
export { projection } from './projection.js';
export { view } from './view.js';
export { EMPTY_SNAPSHOT } from './window.js';
export type * from './types.js';

let compiled: WebAssembly.Module | undefined;

function inlineModule(): WebAssembly.Module {
  if (compiled) return compiled;
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; ++index) bytes[index] = text.charCodeAt(index);
  try {
    compiled = new WebAssembly.Module(bytes);
  } catch (cause) {
    throw new WasmLoadError(`the WASM inside did not compile: ${String(cause)}`, cause);
  }
  return compiled;
}

/**
 * `createStore` without waiting.
 *
 * ```ts
 * const store = createStoreSync({ budget: '4 MiB' });
 * ```
 * @throws RangeError for an option out of its bounds
 * @throws WasmLoadError if the WASM does not start
 */
export function createStoreSync(options: Omit<StoreOptions, 'wasm'>): Store {
  checkBudget(options);
  return new StoreImpl(inlineModule(), options);
}

/** As of the package's main entry, with the WASM inside unless `wasm` is given. */
export async function createStore(options: StoreOptions): Promise<Store> {
  checkBudget(options);
  return new StoreImpl(options.wasm === undefined ? inlineModule() : await loadModule(options.wasm), options);
}
