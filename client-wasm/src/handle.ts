import type { Handle } from './types.js';

// Engines without explicit resource management still get a method that transpiled `using` can find.
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose);

/** A handle that runs `end` once. */
export function makeHandle(end: () => void): Handle {
  let active = true;
  const handle = (): void => {
    if (!active) return;
    active = false;
    end();
  };
  Object.defineProperty(handle, 'active', { get: () => active });
  return Object.assign(handle, { end: handle, [dispose]: handle }) as unknown as Handle;
}
