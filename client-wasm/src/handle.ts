// What a user holds, and the table of what is live in a store.
//
// Owns     a HandleTable owns its Registrations; nothing here owns what the user holds, so that a handle that is let go of
//          without its end can be seen: whoever keeps a Registration must not keep the handle.
// Bounds   histories, listeners and views have bounds of their own, within the budget; of what has none HANDLES_MAX, all counted.
// Cost     open, end: O(1). In development a stack is taken for each handle.
import { DEVELOPMENT } from './environment.js';
import { RingfenceError } from './errors.js';
import type { Handle, HandleKind, LiveHandle } from './types.js';

const HANDLES_MAX = 65_536;

// Engines without explicit resource management still get a method that transpiled `using` can find.
export const dispose: typeof Symbol.dispose = Symbol.dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose);
export const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

export interface Callable {
  (): void;
}
/**
 * What is a function whose call ends it, and an object of its class. Called with something, as React's `setState` calls what
 * it is given, it gives itself and ends nothing: else keeping it in a component's state would end it.
 */
export class Callable {
  constructor() {
    const self = (...given: unknown[]): unknown =>
      given.length > 0 ? self : (self as unknown as { end(): void }).end();
    return Object.setPrototypeOf(self, new.target.prototype) as Callable;
  }
}

/** One live thing of a store. `end()` runs what ends it, once. */
export class Registration {
  readonly kind: HandleKind;
  readonly name: string;
  readonly owner: string;
  readonly stack: string | undefined;
  readonly #table: HandleTable;
  readonly #end: () => void;
  #active = true;
  #live: LiveHandle | undefined;

  constructor(table: HandleTable, kind: HandleKind, name: string, owner: string, end: () => void) {
    this.kind = kind;
    this.name = name;
    this.owner = owner;
    // Without its message and the lines of this constructor and of open().
    this.stack = DEVELOPMENT ? new Error('created').stack?.split('\n').slice(3).join('\n') : undefined;
    this.#table = table;
    this.#end = end;
  }

  get active(): boolean {
    return this.#active;
  }

  readonly end = (): void => {
    if (!this.#active) return;
    this.#active = false;
    this.#table.close(this);
    this.#end();
  };

  /** The same object each time. */
  get live(): LiveHandle {
    const { kind, name, owner, stack } = this;
    return (this.#live ??= Object.freeze({ kind, name, owner, stack }));
  }
}

export class HandleTable {
  /** Handles that the collector took while they were alive. Counted in development only. */
  collected = 0;
  readonly #live = new Set<Registration>();
  readonly #registry: FinalizationRegistry<Registration> | undefined;

  constructor(report: (leaked: LiveHandle) => void) {
    if (!DEVELOPMENT || typeof FinalizationRegistry !== 'function') return;
    this.#registry = new FinalizationRegistry((registration) => {
      if (!registration.active) return;
      ++this.collected;
      report(registration.live);
    });
  }

  /** Asked before what has no bound of its own is made. @throws RingfenceError `too_many_handles` */
  checkRoom(): void {
    if (this.#live.size >= HANDLES_MAX)
      throw new RingfenceError('too_many_handles', `${HANDLES_MAX} handles are live, and no more may be`);
  }

  /**
   * Notes something live; `end` is run by the first end() of the registration.
   * @param owner what ends it with itself, as errors name it: `store`, `history "chat"`, `client "wss://..."`
   */
  open(kind: HandleKind, name: string, owner: string, end: () => void): Registration {
    const registration = new Registration(this, kind, name, owner, end);
    this.#live.add(registration);
    return registration;
  }

  /** Tells when `target`, which the user holds, is collected before its end. Only useful if nothing else holds `target`. */
  watch(target: object, registration: Registration): void {
    this.#registry?.register(target, registration, registration);
  }

  /** What the user holds for a registration: a function with `end`, `active` and `Symbol.dispose`. */
  handle<Extra extends PropertyDescriptorMap>(registration: Registration, extra?: Extra): Handle {
    const { end } = registration;
    // As of a Callable, for what is more than a handle.
    const handle = (...given: unknown[]): unknown => (extra && given.length > 0 ? handle : end());
    Object.defineProperty(handle, 'active', { get: () => registration.active });
    if (extra) Object.defineProperties(handle, extra);
    this.watch(handle, registration);
    return Object.assign(handle, { end, [dispose]: end }) as unknown as Handle;
  }

  close(registration: Registration): void {
    this.#live.delete(registration);
    this.#registry?.unregister(registration);
  }

  /** @param owners only of these */
  count(kind: HandleKind, owners = /^/): number {
    let count = 0;
    for (const live of this.#live) if (live.kind === kind && owners.test(live.owner)) ++count;
    return count;
  }

  /** Oldest first. */
  list(): readonly LiveHandle[] {
    return Object.freeze([...this.#live].map((registration) => registration.live));
  }
}

/** Tells of a leak where nobody else takes it. */
export function warnOfLeak({ kind, name, owner, stack }: LiveHandle): void {
  console.warn(
    `ringfence: ${kind} ${JSON.stringify(name)} of ${owner} was garbage-collected without its end: keep the handle, and ` +
      `end() it when it is no longer needed. It was made here:\n${stack ?? ''}`,
  );
}
