// ringfence/zustand: a middleware for Zustand 4 and 5 in whose stores named fields are capped. They stay what components
// know, arrays; they are frozen, and never longer than their cap. No WASM: create() is synchronous, and rows of
// JavaScript stay JavaScript's.
import type { StateCreator, StoreMutatorIdentifier } from 'zustand/vanilla';

import { Field, type CappedStats } from './capped/field.js';
import { getterOf, lazyState, versionsOf } from './capped/lazy_state.js';
import { LAZY_ROWS_MIN, read, versionOf, type Version } from './capped/versions.js';
import { checkInteger } from './check_integer.js';
import { RingfenceError } from './errors.js';

export type { CappedReason, CappedStats } from './capped/field.js';

/** As the ring buffers of the core. */
const CAPACITY_MAX = 2 ** 28;
/** What immer's drafts answer to. */
const DRAFT = Symbol.for('immer-state');

/** How one field is capped. */
export interface CappedOptions {
  /** The most rows held, 1 to 2^28. */
  readonly capacity: number;
}

/** What a capped store has besides: `store.capped.stats().messages.evicted.capacity`. */
export interface CappedApi<Names extends string = string> {
  /** The counters of each field. Does not throw. */
  stats(): Readonly<Record<Names, CappedStats>>;
  /** The capped fields, in the form of `store.liveHandles()`. They live as long as their store. Frozen; the same each time. */
  liveHandles(): readonly CappedHandle<Names>[];
}

/** One capped field, as `liveHandles()` lists it. Frozen. */
export interface CappedHandle<Names extends string = string> {
  /** What it is. */
  readonly kind: 'capped';
  /** Of the field. */
  readonly name: Names;
  /** What it lives as long as. */
  readonly owner: 'zustand store';
  /** None is taken: fields are declared where the store is. */
  readonly stack: undefined;
}

type Write<S, U> = Omit<S, keyof U> & U;
declare module 'zustand/vanilla' {
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  interface StoreMutators<S, A> {
    'ringfence/capped': Write<S, { readonly capped: CappedApi<A & string> }>;
  }
}

/** Fields of a state that can be capped: arrays. */
export type ArrayKeys<T> = { [K in keyof T]-?: T[K] extends readonly unknown[] ? K : never }[keyof T] & string;
/** The middlewares around a creator, in the types of Zustand. */
export type Mutators = [StoreMutatorIdentifier, unknown][];

type State = Record<string, unknown>;
type Set = (partial: unknown, replace?: boolean, action?: unknown) => unknown; // the action: of devtools
type Listener = (state: State, before: State) => unknown;
interface Api {
  setState: Set;
  subscribe(listener: Listener): () => void;
  capped?: CappedApi;
}

/** What append() hands through whichever middlewares stand between it and capped(): an object, so none calls it. */
class Append {
  taken = false;
  constructor(
    readonly name: string,
    readonly rows: readonly unknown[],
  ) {}
}

/**
 * Caps fields of a store. A spread append (with or without its own `.slice(-n)`), a replacement, a filter and a clear
 * work as before; an array that is set is frozen. One that is too long loses its oldest rows: those at the head, or at
 * the end where the new ones came first.
 *
 * ```ts
 * const useChat = create<Chat>()(
 *   capped({ messages: { capacity: 100 } }, (set) => ({
 *     messages: [],
 *     add: (m) => set((s) => ({ messages: [...s.messages, m] })),
 *   })),
 * );
 * ```
 * @throws RangeError for a capacity out of its bounds
 * @throws RingfenceError `not_an_array` where a capped field is given anything else, at creation or later
 */
export function capped<
  T extends object,
  const F extends { readonly [K in ArrayKeys<T>]?: CappedOptions },
  Mps extends Mutators = [],
  Mcs extends Mutators = [],
  U = T,
>(
  fields: F & { readonly [K in ArrayKeys<T>]?: CappedOptions },
  initializer: StateCreator<T, [...Mps, ['ringfence/capped', keyof F & string]], Mcs, U>,
): StateCreator<T, Mps, [['ringfence/capped', keyof F & string], ...Mcs], U> {
  const checked = checkFields(fields as Record<string, CappedOptions>);
  const create = initializer as unknown as (set: Set, get: () => State | undefined, api: Api) => State;
  return ((set: Set, get: () => State | undefined, api: Api) =>
    new CappedStore(checked, set, get).start(create, api)) as never;
}

/** Of the rows of a draft: what each was. A draft's state has what it is of, under a name that immer shortens. */
function originals(rows: readonly unknown[], before: readonly unknown[]): unknown[] {
  const known = new Set(before);
  const isKnown = (value: unknown): boolean => typeof value === 'object' && known.has(value);
  return rows.map((row) => {
    const draft = (row as { [DRAFT]?: object } | undefined)?.[DRAFT];
    return draft ? Object.values(draft).find(isKnown) : row;
  });
}

type Capacities = readonly (readonly [name: string, capacity: number])[];

const checkFields = (fields: Record<string, CappedOptions>): Capacities =>
  Object.entries(fields).map(([name, options]) => [
    name,
    checkInteger(`capacity of ${JSON.stringify(name)}`, options?.capacity, 1, CAPACITY_MAX),
  ]);

class CappedStore {
  readonly #fields: readonly Field[];
  readonly #getters: ReadonlyMap<string, PropertyDescriptor>;
  readonly #set: Set;
  readonly #get: () => State | undefined;
  /** The state whose fields are known to be capped. */
  #seen: State | undefined;

  constructor(capacities: Capacities, set: Set, get: () => State | undefined) {
    this.#fields = capacities.map(([name, capacity]) => new Field(name, capacity));
    this.#getters = new Map(this.#fields.map(({ name }, at) => [name, getterOf(name, at)]));
    this.#set = set;
    this.#get = get;
  }

  start(create: (set: Set, get: () => State | undefined, api: Api) => State, api: Api): State {
    const live = Object.freeze(
      this.#fields.map(({ name }) =>
        Object.freeze({ kind: 'capped', name, owner: 'zustand store', stack: undefined } as const),
      ),
    );
    api.capped = {
      liveHandles: () => live,
      stats: () => Object.freeze(Object.fromEntries(this.#fields.map((field) => [field.name, field.stats()]))),
    };
    // First of all listeners: what a middleware around this one sets (a rehydration, a jump in time) is capped before
    // any other hears of it.
    api.subscribe((state) => state === this.#seen || this.#correct(state));
    api.setState = this.#wrap(api.setState);
    return this.#capped(create(this.#wrap(this.#set), this.#get, api));
  }

  #wrap(set: Set): Set {
    return (partial, replace, action) => {
      if (typeof partial !== 'function')
        return set(partial instanceof Append ? this.#appended(partial) : this.#next(partial, replace), true, action);
      const next = (state: State | undefined): unknown => {
        const result = (partial as (state: State | undefined) => unknown)(state);
        return (state as { [DRAFT]?: unknown } | undefined)?.[DRAFT]
          ? this.#draft(state as State, result, replace)
          : this.#next(result, replace);
      };
      return set(next, true, action);
    };
  }

  /** The whole state after a set. */
  #next(partial: unknown, replace: boolean | undefined): State {
    // The commonest first: a row more in one field. By index: what this costs is what an append costs.
    const part = Object(partial) as State;
    let field: Field | undefined;
    let found = 0; // of the fields, in this set
    for (let at = 0; at < this.#fields.length; ++at) {
      const each = this.#fields[at] as Field;
      if (each.name in part) field = found++ ? undefined : each;
    }
    const rows = replace ? undefined : field?.pushed(part[field.name]);
    if (!rows) return this.#merged(partial, replace, found);
    const next: State = Object.assign({}, this.#get(), part);
    next[(field as Field).name] = rows;
    return (this.#seen = next);
  }

  #merged(partial: unknown, replace: boolean | undefined, found: number): State {
    const state = this.#get();
    if (Object.is(partial, state)) return state as State;
    if (replace || Object(partial) !== partial) return this.#capped(partial as State);
    const versions = versionsOf(state);
    // Rows that nobody has read are not read for a set that leaves them alone.
    if (versions && !found && this.#fields.some(({ head }) => !head.items))
      return (this.#seen = Object.assign(lazyState(state as State, this.#getters, versions), partial));
    return this.#capped({ ...state, ...(partial as State) }, !state);
  }

  /** A state with its fields capped: itself, unless a field is too long. One that is not whole yet may lack some. */
  #capped(state: State, part = false): State {
    // All of them before any is taken.
    for (const field of this.#fields) if (!part || field.name in state) field.check(state?.[field.name]);
    let result = state;
    for (const field of this.#fields) {
      const value = state[field.name] as readonly unknown[] | undefined;
      if (!value) continue;
      const kept = field.adopt(value);
      if (kept !== value) result = { ...result, [field.name]: kept };
    }
    return (this.#seen = result);
  }

  /** @returns undefined before the store's first state is there */
  #appended(command: Append): State | undefined {
    const { name, rows } = command;
    const at = this.#fields.findIndex((field) => field.name === name);
    const state = this.#get();
    if (at < 0 || !state) return state; // append() throws
    command.taken = true;
    if (!rows.length) return state;
    const field = this.#fields[at] as Field;
    if (field.capacity < LAZY_ROWS_MIN) {
      const next = { ...state };
      next[name] = read(field.append(this.#versionIn(state, at), rows));
      return (this.#seen = next);
    }
    const versions: Version[] = [];
    for (let each = 0; each < this.#fields.length; ++each) versions.push(this.#versionIn(state, each));
    versions[at] = field.append(versions[at] as Version, rows);
    return (this.#seen = lazyState(state, this.#getters, versions));
  }

  #versionIn(state: State, at: number): Version {
    const lazy = versionsOf(state)?.[at];
    if (lazy) return lazy;
    const field = this.#fields[at] as Field;
    const items = field.check(state[field.name]);
    return items === field.head.items ? field.head : versionOf(items);
  }

  /** Within immer's produce, where immer is around this middleware. Its rows are counted once it is done. */
  #draft(draft: State, result: unknown, replace: boolean | undefined): State {
    const whole = result === undefined ? draft : (result as State);
    const next = whole === draft || replace ? whole : { ...this.#get(), ...whole };
    for (const field of this.#fields) {
      const rows = field.check(next[field.name]);
      if (rows.length > field.capacity) next[field.name] = field.draft(rows, originals(rows, read(field.head)));
    }
    return next;
  }

  /** Of a state that came past this middleware. */
  #correct(state: State): void {
    if (Object(state) !== state) return;
    let arrays = state;
    for (const field of this.#fields)
      if (!Array.isArray(state[field.name])) {
        ++field.refused;
        arrays = { ...arrays, [field.name]: read(field.head) };
      }
    const fixed = this.#capped(arrays);
    if (fixed !== state) this.#set(fixed, true, 'ringfence/cap');
  }
}

// The last overload of a `set` takes the whole state, or a function.
/** The state of a store, or of the `set` of its creator. */
export type StateOf<S> = S extends { getState(): infer T }
  ? T
  : S extends (...args: infer A) => unknown
    ? Exclude<A[0], (...args: never[]) => unknown>
    : never;
/** The rows of a capped field. */
export type RowOf<T, K extends keyof T> = T[K] extends readonly (infer R)[] ? R : never;
/** What `append` appends to: the `set` of a creator, or a store. */
export type Target = ((...args: never[]) => unknown) | { setState(...args: never[]): unknown };

/**
 * Appends to a capped field without a copy of what it holds: the array is made when it is read, once. Several rows make
 * one notification. Takes the `set` of the creator, or the store.
 *
 * ```ts
 * capped({ messages: { capacity: 1000 } }, (set) => ({
 *   messages: [],
 *   add: (m) => append(set, 'messages', m),
 *   addAll: (burst) => append(set, 'messages', ...burst),
 * }));
 * ```
 * @throws RingfenceError `not_capped` where that is no capped field
 */
export function append<S extends Target, K extends ArrayKeys<StateOf<S>>>(
  target: S,
  field: K,
  ...rows: readonly RowOf<StateOf<S>, K>[]
): void {
  const command = new Append(field, rows);
  const { setState } = target as { setState?: Set };
  (setState ?? (target as unknown as Set))(command);
  if (!command.taken)
    throw new RingfenceError('not_capped', `${JSON.stringify(field)} is not a capped field of this store (yet)`);
}
