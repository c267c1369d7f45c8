// ringfence/redux: a reducer around one of Redux or Redux Toolkit in whose state named fields are capped. They stay what
// selectors know, arrays; they are frozen, and never longer than their cap. No WASM, and nothing of Redux is loaded.
//
// The next state follows from the state and the action alone, as Redux asks: time travel and replays give the same arrays.
// Only the counters count what was done, each time.
import { Field, type CappedStats } from './capped/field.js';
import { versionOf } from './capped/versions.js';
import { checkInteger } from './check_integer.js';
import { RingfenceError } from './errors.js';

export type { CappedReason, CappedStats } from './capped/field.js';

/** As the ring buffers of the core. */
const CAPACITY_MAX = 2 ** 28;

/** How one field is capped. */
export interface CappedOptions {
  /** The most rows held, 1 to 2^28. */
  readonly capacity: number;
}

/** Fields of a state that can be capped: arrays. */
export type ArrayKeys<S> = { [K in keyof S]-?: S[K] extends readonly unknown[] ? K : never }[keyof S] & string;
/** The rows of a capped field. */
export type RowOf<S, K extends keyof S> = S[K] extends readonly (infer R)[] ? R : never;

/** What `append` makes: plain, and serializable if its rows are. */
export type AppendAction<R = unknown> = {
  /** `<name of the reducer>/<field>/appended`. */
  readonly type: string;
  /** The rows, oldest first. */
  readonly payload: readonly R[];
};

/** A reducer whose fields are capped. Made by `capped()`. */
export interface CappedReducer<S, A, Names extends ArrayKeys<S>> {
  /**
   * The next state. @throws RingfenceError `not_an_array` where a capped field is anything else; what the reducer
   * throws
   */
  (state: S | undefined, action: A): S;
  /**
   * An action that appends rows to a capped field, without a draft of Immer and in one copy: for high rates.
   *
   * ```ts
   * dispatch(chat.append('messages', message));
   * ```
   * @throws RingfenceError `not_capped` where that is no capped field
   */
  append<K extends Names>(field: K, ...rows: readonly RowOf<S, K>[]): AppendAction<RowOf<S, K>>;
  /** By field. What Redux ran again, such as in time travel, counts again. */
  stats(): Readonly<Record<Names, CappedStats>>;
}

/**
 * Caps fields of a slice. Its own case reducers stay as they are (`push`, a spread, `filter`, an empty array); an array that
 * is too long loses its oldest rows: those at the head, or at the end where the new ones came first.
 *
 * ```ts
 * const slice = createSlice({
 *   name: 'chat',
 *   initialState: { messages: [] as Message[] },
 *   reducers: { received: (state, { payload }: PayloadAction<Message>) => void state.messages.push(payload) },
 * });
 * export const chat = capped('chat', { messages: { capacity: 100 } }, slice.reducer);
 * configureStore({ reducer: { chat } });
 * ```
 * @param name begins the types of `append`'s actions: as of the slice, and another one for each
 * @throws RangeError for a capacity out of its bounds
 * @throws RingfenceError `not_an_array` (the reducer, when it is run) where a capped field is anything else
 */
export function capped<S extends object, A extends { readonly type: string }, const Names extends ArrayKeys<S>>(
  name: string,
  fields: { readonly [K in Names]: CappedOptions },
  reducer: (state: S | undefined, action: A) => S,
): CappedReducer<S, A, Names> {
  if (typeof name !== 'string' || name === '')
    throw new RangeError(`name is ${JSON.stringify(name)}: it must have characters`);
  const all = Object.entries<CappedOptions>(fields).map(
    ([field, options]) =>
      new Field(field, checkInteger(`capacity of ${JSON.stringify(field)}`, options?.capacity, 1, CAPACITY_MAX)),
  );
  const typeOf = (field: string): string => `${name}/${field}/appended`;
  const byType = new Map(all.map((field) => [typeOf(field.name), field]));
  type State = Record<string, readonly unknown[]>;

  const reduce = (state: S | undefined, action: A): S => {
    const appended = state && byType.get(action.type);
    let next: S;
    if (appended) {
      const rows = (action as unknown as AppendAction).payload;
      if (rows.length === 0) return state;
      const had = (state as unknown as State)[appended.name] as readonly unknown[];
      next = { ...state, [appended.name]: [...had, ...rows] };
    } else next = reducer(state, action);
    if (next === state) return state;
    let result = next;
    for (const field of all) {
      const before = (state as State | undefined)?.[field.name];
      const value = field.check((next as unknown as State)[field.name]);
      if (value === before) continue;
      // Of this state, which need not be the one that was made last.
      field.head = versionOf(before ?? []);
      const kept = field.adopt(value);
      if (kept !== value) result = { ...result, [field.name]: kept };
    }
    return result;
  };
  return Object.assign(reduce, {
    append: (field: string, ...rows: readonly unknown[]): AppendAction => {
      if (!byType.has(typeOf(field)))
        throw new RingfenceError(
          'not_capped',
          `${JSON.stringify(field)} is not a capped field of ${JSON.stringify(name)}`,
        );
      return { type: typeOf(field), payload: rows };
    },
    stats: () => Object.freeze(Object.fromEntries(all.map((field) => [field.name, field.stats()]))),
  }) as unknown as CappedReducer<S, A, Names>;
}
