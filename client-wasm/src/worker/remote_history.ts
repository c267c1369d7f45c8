// A history that lives in the worker, as the page sees it: the windows that are shown.
//
// Owns     a window in the worker for each selector that somebody listens to; it ends one task after the last listener.
// Bounds   the rows of those windows; WINDOWS_MAX of them, DRAWINGS_MAX lists that the worker draws.
import { EndedError, RingfenceError } from '../errors.js';
import { Callable, type Registration, dispose } from '../handle.js';
import type { Drawing, Drawings, DrawingNews, DrawingState } from '../list/messages.js';
import type { Handle, HistoryStats, Selector, Snapshot, Window } from '../types.js';
import { EMPTY_SNAPSHOT, checkSelector } from '../window.js';
import { type Link, type Listeners, endAll } from './link.js';
import type { WindowNews } from './messages.js';
import { type Decode, RemoteRows } from './rows.js';

const WINDOWS_MAX = 1024;
const DRAWINGS_MAX = 64;

interface Shown<T> {
  readonly id: number;
  readonly registration: Registration;
  readonly listeners: Listeners<() => void>;
  snapshot: Snapshot<T>;
  start: number;
  end: number;
  leaving: ReturnType<typeof setTimeout> | undefined;
}

export class RemoteHistory<T> extends Callable implements Drawings {
  override readonly name: string;
  /** As errors and `liveHandles()` name it. */
  readonly label: string;
  readonly restored: number;
  readonly id: number;
  readonly #link: Link;
  readonly #rows: RemoteRows<T>;
  readonly #windows = new Map<string, Shown<T>>(); // by selector
  readonly #byId: Map<number, RemoteHistory<unknown>>; // of all histories: who the news of a window or a drawing are for
  readonly #drawings = new Map<
    number,
    { readonly registration: Registration; readonly told: (news: DrawingNews) => void }
  >();
  readonly #registration: Registration;

  /** @param gone called at the end */
  constructor(
    link: Link,
    id: number,
    name: string,
    decode: Decode<T>,
    byId: Map<number, RemoteHistory<unknown>>,
    restored: number,
    gone: () => void,
  ) {
    super();
    this.restored = restored;
    this.#link = link;
    this.id = id;
    this.name = name;
    this.label = `history ${JSON.stringify(name)}`;
    this.#rows = new RemoteRows(decode, link);
    this.#byId = byId;
    this.#registration = link.table.open('history', name, 'store', () => {
      endAll([...this.#windows.values(), ...this.#drawings.values()].map(({ registration }) => registration));
      link.send({ op: 'endHistory', history: id });
      gone();
    });
  }

  get ended(): boolean {
    return !this.#registration.active;
  }

  window(selector: Selector): Window<T> {
    this.#check();
    const checked = checkSelector(selector);
    const key = JSON.stringify(checked);
    let last: Snapshot<T> = EMPTY_SNAPSHOT;
    return Object.freeze({
      subscribe: (listener: () => void) => this.#subscribe(key, checked, listener),
      getSnapshot: () => (last = this.#windows.get(key)?.snapshot ?? last),
    });
  }

  subscribe(listener: () => void): Handle {
    return this.window({ offset: 0, limit: 0 }).subscribe(listener);
  }

  async stats(): Promise<HistoryStats> {
    this.#check();
    const stats = await this.#link.call<HistoryStats>({ of: 'history.method', history: this.id, method: 'stats' });
    return { ...stats, undecodable: this.#rows.undecodable };
  }

  async clear(): Promise<void> {
    this.#check();
    await this.#link.call({ of: 'history.method', history: this.id, method: 'clear' });
  }

  end(): void {
    this.#registration.end();
  }

  [dispose](): void {
    this.end();
  }

  draw(canvas: OffscreenCanvas, state: DrawingState, told: (news: DrawingNews) => void): Drawing {
    this.#check();
    if (this.#drawings.size >= DRAWINGS_MAX)
      throw new RingfenceError('too_many_subscriptions', `${DRAWINGS_MAX} lists are drawn already`);
    const id = this.#link.next();
    this.#link.send({ op: 'draw', drawing: id, history: this.id, canvas, state }, [canvas]);
    const registration = this.#link.table.open('drawing', '', this.label, () => {
      this.#drawings.delete(id);
      this.#byId.delete(id);
      this.#link.send({ op: 'undraw', drawing: id });
    });
    this.#drawings.set(id, { registration, told });
    this.#byId.set(id, this as RemoteHistory<unknown>);
    return {
      update: (change: Partial<DrawingState>) => {
        if (registration.active) this.#link.send({ op: 'redraw', drawing: id, change });
      },
      end: registration.end,
    };
  }

  drawn(news: DrawingNews): void {
    this.#link.guard(() => this.#drawings.get(news.drawing)?.told(news));
  }

  /** Takes what is new in a window; what tells its listeners, undefined if it has gone. */
  take(news: WindowNews): (() => void) | undefined {
    for (const shown of this.#windows.values()) {
      if (shown.id !== news.window) continue;
      const { start, end, keptStart, keptEnd, bytes, snapshot } = news;
      const old = shown.snapshot;
      let { items } = old;
      if (start !== shown.start || end !== shown.end || bytes.byteLength > 0) {
        const before = keptStart - start;
        const rows = this.#rows.read(bytes, start, before, keptEnd);
        const kept = old.items.slice(keptStart - shown.start, keptEnd - shown.start);
        items = Object.freeze([...rows.slice(0, before), ...kept, ...rows.slice(before)]);
      }
      shown.start = start;
      shown.end = end;
      shown.snapshot = Object.freeze({ ...snapshot, items, version: old.version + 1 });
      return () => this.#link.tell(shown.listeners, undefined as never);
    }
    return undefined;
  }

  #subscribe(key: string, selector: Selector, listener: () => void): Handle {
    this.#check();
    let shown = this.#windows.get(key);
    if (!shown) {
      if (this.#windows.size >= WINDOWS_MAX)
        throw new RingfenceError('too_many_subscriptions', `${WINDOWS_MAX} windows are shown already`);
      const id = this.#link.next();
      const registration = this.#link.table.open('window', key, this.label, () => {
        this.#windows.delete(key);
        this.#byId.delete(id);
        endAll(window.listeners.keys());
        clearTimeout(window.leaving);
        this.#link.send({ op: 'close', window: id });
      });
      const window: Shown<T> = {
        id,
        registration,
        listeners: new Map(),
        snapshot: EMPTY_SNAPSHOT,
        start: 0,
        end: 0,
        leaving: undefined,
      };
      shown = window;
      this.#windows.set(key, shown);
      this.#byId.set(id, this as RemoteHistory<unknown>);
      this.#link.send({ op: 'open', window: id, history: this.id, selector });
    }
    const window = shown;
    clearTimeout(window.leaving);
    return this.#link.listen('listener', this.label, window.listeners, listener, () => {
      // One task later: a component that mounts again at once (StrictMode) keeps it.
      clearTimeout(window.leaving);
      window.leaving = setTimeout(() => {
        if (window.listeners.size === 0) window.registration.end();
      }, 0);
    });
  }

  #check(): void {
    if (this.#link.ended) throw new EndedError('store');
    if (this.ended) throw new EndedError(this.label);
  }
}
