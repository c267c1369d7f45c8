// What a component makes for itself in WASM, and ends with itself.
//
// Nothing is made while rendering: a render may be thrown away (transitions, Suspense) or done twice (StrictMode), and
// would leave what it made. It is made before the first paint, in a layout effect, and lives until the component stops
// listening, which React does once for each time that it began.
import { type DependencyList, useEffect, useLayoutEffect, useMemo, useReducer } from 'react';

import type { Handle } from '../types.js';

interface Leasable extends Handle {
  readonly subscribe: (listener: () => void) => Handle;
}

/** A server renders no effects, and React 18 warns of layout effects there. */
export const useBeforePaint = typeof document === 'undefined' ? useEffect : useLayoutEffect;

const next = (count: number): number => count + 1;

export class Lease<H extends Leasable> {
  readonly #make: () => H;
  #held: H | undefined;
  #failed = false;

  constructor(make: () => H) {
    this.#make = make;
  }

  /** What was made; undefined before open() and after the end. */
  get held(): H | undefined {
    return this.#held;
  }

  /** True if that made it. @throws whatever making it throws */
  open(): boolean {
    if (this.#held) return false;
    this.#failed = true;
    this.#held = this.#make();
    this.#failed = false;
    return true;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    if (!this.#failed) this.open(); // else its component has been told, and is on its way out
    const held = this.#held;
    const listening = held?.subscribe(listener);
    return () => {
      listening?.end();
      held?.end();
      if (this.#held === held) this.#held = undefined;
    };
  };
}

/** One lease until a dependency changes; none without `make`, which is taken as it was then. */
export function useLease<H extends Leasable>(
  make: (() => H) | undefined,
  dependencies: DependencyList,
): Lease<H> | undefined {
  const lease = useMemo(() => make && new Lease(make), dependencies);
  const [, show] = useReducer(next, 0);
  useBeforePaint(() => {
    if (lease?.open()) show();
  }, [lease]);
  return lease;
}
