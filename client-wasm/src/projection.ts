// The fold of a history by a JavaScript reducer, as projection.h does it for C++ states: its state survives eviction.
//
// Each row is folded into the state as it comes, and into the checkpoint as it leaves: the history stops before it evicts
// what the checkpoint has not got (makeWay). So the checkpoint is the fold of the evicted rows and no more, and rebuild()
// can fold whatever is held with another reducer.
// Bounds   two states; listeners are the history's.
// Cost     two calls of the reducer for each row.
import { EndedError } from './errors.js';
import type { Registration } from './handle.js';
import type { Folding, HistoryImpl } from './history.js';
import type { History, Projection, ProjectionStats, Reducer } from './types.js';

const CHUNK_ROWS = 256;

class ProjectionImpl<S, T> implements Folding {
  readonly history: HistoryImpl<T>;
  readonly listeners = new Set<Registration>();
  registration: Registration | undefined;
  checkpointed: number;
  #reducer: Reducer<S, T>;
  #state: S;
  #checkpoint: S;
  #folded: number;
  #tick = -1;
  #counts = { folded: 0, checkpointed: 0, reducerErrors: 0, undecodable: 0, rebuilds: 0 };

  constructor(history: HistoryImpl<T>, reducer: Reducer<S, T>, initial: S) {
    this.history = history;
    this.#reducer = reducer;
    this.#state = initial;
    this.#checkpoint = initial;
    this.#folded = history.place().first;
    this.checkpointed = this.#folded;
  }

  readonly getSnapshot = (): S => {
    this.update();
    return this.#state;
  };

  update(): void {
    const { history } = this;
    if (history.ended || !this.registration?.active || history.store.reducing || this.#tick === history.tick) return;
    const { first, end } = history.place();
    this.#tick = history.tick;
    if (this.checkpointed < first) {
      // Cleared: what it leaves behind is the state so far.
      this.#folded = Math.max(this.#folded, first);
      this.#checkpoint = this.#state;
      this.checkpointed = this.#folded;
    }
    if (this.#folded === end) return;
    const from = this.#folded;
    this.#folded = end;
    this.#counts.folded += end - from;
    this.#state = this.#fold(from, end, this.#state, true);
  }

  makeWay(position: number): void {
    this.update();
    const { checkpointed } = this;
    const until = Math.min(position, this.#folded);
    if (checkpointed >= until) return;
    this.checkpointed = until;
    this.#counts.checkpointed += until - checkpointed;
    this.#checkpoint = this.#fold(checkpointed, until, this.#checkpoint, false);
  }

  rebuild(reducer: Reducer<S, T> = this.#reducer): void {
    this.#check();
    if (typeof reducer !== 'function') throw new TypeError('reducer is not a function');
    this.update();
    this.#reducer = reducer;
    ++this.#counts.rebuilds;
    const end = this.#folded;
    this.#state = this.#fold(this.checkpointed, end, this.#checkpoint, true);
    this.#changed();
  }

  reset(state: S): void {
    this.#check();
    this.update();
    this.#state = state;
    this.#checkpoint = state;
    this.checkpointed = this.#folded;
    this.history.hold();
    this.#changed();
  }

  subscribe(listener: () => void): Registration {
    this.#check();
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    let seen = this.getSnapshot();
    const registration = this.history.listen(() => {
      const state = this.getSnapshot();
      if (Object.is(state, seen)) return;
      seen = state;
      listener();
    }, this.label);
    this.listeners.add(registration);
    return registration;
  }

  get label(): string {
    return `projection of ${this.history.label}`;
  }

  stats(): ProjectionStats {
    this.#check();
    this.update();
    let listeners = 0;
    for (const { active } of this.listeners) if (active) ++listeners;
    return { history: this.history.name, ...this.#counts, listeners };
  }

  #fold(from: number, end: number, state: S, tells: boolean): S {
    const { history } = this;
    const { store } = history;
    for (let at = from; at < end && !history.ended; at += CHUNK_ROWS) {
      const rows = history.rows(at, Math.min(end, at + CHUNK_ROWS));
      store.reducing = true;
      for (const row of rows) {
        if (row.error) {
          if (tells) ++this.#counts.undecodable;
          continue;
        }
        try {
          state = this.#reducer(state, row);
        } catch (error) {
          if (!tells) continue; // told when it came
          ++this.#counts.reducerErrors;
          store.tell(error);
        }
      }
      store.reducing = false;
    }
    return state;
  }

  #changed(): void {
    this.history.store.core.markChanged(this.history.id);
    this.history.store.changed();
  }

  #check(): void {
    if (!this.registration?.active) throw new EndedError(this.label);
  }
}

/**
 * Folds a history, and keeps the fold current: rows that the history evicts stay in its state.
 *
 * ```ts
 * const game = projection(events, (state, row) => reduce(state, row.data), INITIAL);
 * const state = useProjection(game, INITIAL);
 * ```
 * @throws TypeError for a reducer that is no function
 * @throws RingfenceError `too_many_handles`
 * @throws EndedError for a history that has ended
 */
export function projection<S, T = unknown>(history: History<T>, reducer: Reducer<S, T>, initial: S): Projection<S, T> {
  if (typeof reducer !== 'function') throw new TypeError('reducer is not a function');
  const source = history as HistoryImpl<T>;
  source.store.table.checkRoom();
  const impl = new ProjectionImpl(source, reducer, initial);
  const { table } = source.store;
  const registration = table.open('projection', '', source.label, () => {
    source.children.delete(registration);
    for (const listener of impl.listeners) listener.end();
    source.removeFolding(impl as Folding);
  });
  impl.registration = registration;
  source.children.add(registration);
  source.addFolding(impl as Folding);
  return table.handle(registration, {
    history: { value: history, enumerable: true },
    state: { get: impl.getSnapshot },
    getSnapshot: { value: impl.getSnapshot },
    subscribe: { value: (listener: () => void) => table.handle(impl.subscribe(listener)) },
    rebuild: { value: (next?: Reducer<S, T>) => impl.rebuild(next) },
    reset: { value: (state: S) => impl.reset(state) },
    stats: { value: () => impl.stats() },
  }) as Projection<S, T>;
}
