// ringfence/zustand: a middleware for Zustand 4 and 5 in whose stores named fields are capped. They stay what components
// know, arrays; they are frozen, and never longer than their cap. No WASM: create() is synchronous, and rows of
// JavaScript stay JavaScript's.
import type { StateCreator, StoreMutatorIdentifier } from 'zustand/vanilla';

import { Field, type CappedStats } from './capped/field.js';
import { getterOf, lazyState, versionsOf } from './capped/lazy_state.js';
import { LAZY_ROWS_MIN, newest, read, versionOf, type Version } from './capped/versions.js';
import { checkInteger } from './check_integer.js';
import { RingfenceError } from './errors.js';

export type { CappedReason, CappedStats } from './capped/field.js';

/** As the ring buffers of the core. */
const CAPACITY_MAX = 2 ** 28;
/** What immer's drafts answer to. */
const DRAFT = Symbol.for('immer-state');

export interface CappedOptions {
  /** The most rows held, 1 to 2^28. */
  readonly capacity: number;
}

/** What a capped store has besides: `store.capped.stats().messages.evicted.capacity`. */
export interface CappedApi<Names extends string = string> {
  stats(): Readonly<Record<Names, CappedStats>>;
  /** The capped fields, in the form of `store.liveHandles()`. They live as long as their store. Frozen; the same each time. */
  liveHandles(): readonly CappedHandle<Names>[];
}

export interface CappedHandle<Names extends string = string> {
  readonly kind: 'capped';
  /** Of the field. */
  readonly name: Names;
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
export type Mutators = [StoreMutatorIdentifier, unknown][];

type State = Record<string, unknown>;
type Set = (partial: unknown, replace?: boolean, action?: unknown) => unknown; // the action: of devtools
type Listener = (state: State, before: State) => void;
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
    new CappedStore(checked, set, get, api).start(create)) as never;
}

function checkFields(fields: Record<string, CappedOptions>): Map<string, number> {
  const checked = new Map<string, number>();
  for (const [name, options] of Object.entries(fields))
    checked.set(name, checkInteger(`capacity of ${JSON.stringify(name)}`, options?.capacity, 1, CAPACITY_MAX));
  return checked;
}

class CappedStore {
  readonly #fields: readonly Field[];
  /** Where each of them is in #fields, and its version in a lazy state. */
  readonly #places: ReadonlyMap<string, number>;
  readonly #getters: ReadonlyMap<string, PropertyDescriptor>;
  readonly #set: Set;
  readonly #get: () => State | undefined;
  readonly #api: Api;
  /** No state of it is a lazy one: a set may stay the part that it is, for the store to merge. */
  readonly #eager: boolean;
  /** The state whose fields are known to be capped. */
  #seen: State | undefined;

  constructor(capacities: ReadonlyMap<string, number>, set: Set, get: () => State | undefined, api: Api) {
    this.#fields = [...capacities].map(([name, capacity]) => new Field(name, capacity));
    this.#places = new Map(this.#fields.map(({ name }, at) => [name, at]));
    this.#getters = new Map(this.#fields.map(({ name }, at) => [name, getterOf(name, at)]));
    this.#eager = this.#fields.every(({ capacity }) => capacity < LAZY_ROWS_MIN);
    this.#set = set;
    this.#get = get;
    this.#api = api;
  }

  start(create: (set: Set, get: () => State | undefined, api: Api) => State): State {
    const api = this.#api;
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
    api.subscribe((state) => this.#correct(state));
    api.setState = this.#wrap(api.setState);
    return this.#capped(create(this.#wrap(this.#set), this.#get, api));
  }

  #wrap(set: Set): Set {
    return (partial, replace, action) => {
      if (partial instanceof Append) {
        partial.taken = true;
        return set(this.#appended(partial), true, action);
      }
      if (typeof partial !== 'function') return set(this.#next(this.#get(), partial, replace), true, action);
      const update = partial as (state: State) => unknown;
      const merged = this.#eager && !replace;
      const next = (state: State): unknown => {
        const result = update(state);
        if ((state as { [DRAFT]?: unknown } | undefined)?.[DRAFT]) return this.#draft(state, result, replace);
        if (!merged) return this.#next(state, result, replace);
        return result === state ? state : this.#capped(result as State, Object(result) === result);
      };
      return set(next, merged ? replace : true, action);
    };
  }

  /** The whole state after a set. */
  #next(state: State | undefined, partial: unknown, replace: boolean | undefined): State {
    if (Object.is(partial, state)) return state as State;
    if (Object(partial) !== partial) return this.#capped(partial as State);
    const versions = replace ? undefined : versionsOf(state);
    // Rows that nobody has read are not read for a set that leaves them alone.
    if (
      versions &&
      !this.#fields.some(({ name }) => name in (partial as State)) &&
      this.#fields.some(({ head }) => !head.items)
    )
      return (this.#seen = Object.assign(lazyState(state as State, this.#getters, versions), partial));
    return this.#capped((replace ? partial : { ...state, ...(partial as State) }) as State);
  }

  /** A state with its fields capped, or a part of one that the store merges: itself, unless a field is too long. */
  #capped(state: State, part = false): State {
    // All of them before any is taken.
    for (const field of this.#fields) if (!part || field.name in state) field.check(state?.[field.name]);
    let result = state;
    for (const field of this.#fields) {
      const value = state[field.name] as readonly unknown[] | undefined;
      if (!value || value === field.head.items) continue;
      const kept = field.adopt(value);
      if (kept !== value) result = { ...result, [field.name]: kept };
    }
    if (!part) this.#seen = result;
    return result;
  }

  #appended({ name, rows }: Append): State {
    const at = this.#places.get(name);
    if (at === undefined)
      throw new RingfenceError('not_capped', `${JSON.stringify(name)} is not a capped field of this store`);
    const state = this.#get();
    if (!state) throw new RingfenceError('not_capped', `append to ${JSON.stringify(name)} before its store was there`);
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
  #draft(draft: State, result: unknown, replace: boolean | undefined): unknown {
    if (result === undefined) {
      for (const field of this.#fields) {
        const rows = draft[field.name] as unknown[];
        const over = Array.isArray(rows) ? rows.length - field.capacity : 0;
        if (over <= 0) continue;
        rows.splice(0, over);
        field.trimmed = over;
      }
      return undefined;
    }
    const next: State = replace ? (result as State) : { ...this.#get(), ...(result as State) };
    for (const field of this.#fields) {
      const rows = field.check(next[field.name]);
      if (rows.length <= field.capacity) continue;
      next[field.name] = newest(rows, field.capacity);
      field.trimmed = rows.length - field.capacity;
    }
    return next;
  }

  /** Of a state that came past this middleware. */
  #correct(state: State): void {
    if (state === this.#seen || typeof state !== 'object' || state === null) return;
    this.#seen = state;
    let fixed: State | undefined;
    for (const field of this.#fields) {
      const value = state[field.name];
      if (!Array.isArray(value)) ++field.refused;
      const kept = Array.isArray(value) ? field.adopt(value as unknown[]) : read(field.head);
      if (kept !== value) fixed = { ...(fixed ?? state), [field.name]: kept };
    }
    if (!fixed) return;
    this.#seen = fixed;
    this.#set(fixed, true, 'ringfence/cap');
  }
}

// The last overload of a `set` takes the whole state, or a function.
export type StateOf<S> = S extends { getState(): infer T }
  ? T
  : S extends (...args: infer A) => unknown
    ? Exclude<A[0], (...args: never[]) => unknown>
    : never;
export type RowOf<T, K extends keyof T> = T[K] extends readonly (infer R)[] ? R : never;
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
    throw new RingfenceError('not_capped', `append to ${JSON.stringify(field)}: the store is not a capped one`);
}
