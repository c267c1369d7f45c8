// A history that lives in the worker, as the page sees it: the windows that are shown.
//
// Owns     a window in the worker for each selector that somebody listens to; it ends one task after the last listener.
// Bounds   the rows of those windows; WINDOWS_MAX of them, DRAWINGS_MAX lists that the worker draws.
import { EndedError, RingfenceError } from '../errors.js';
import type { Drawing, Drawings, DrawingNews, DrawingState } from '../list/messages.js';
import type { Handle, HistoryStats, Selector, Snapshot, Window } from '../types.js';
import { EMPTY_SNAPSHOT, checkSelector } from '../window.js';
import { type Link, dispose } from './link.js';
import type { WindowNews } from './messages.js';
import { type Decode, RemoteRows } from './rows.js';

const WINDOWS_MAX = 1024;
const DRAWINGS_MAX = 64;

interface Shown<T> {
  readonly id: number;
  readonly listeners: Map<object, () => void>;
  snapshot: Snapshot<T>;
  start: number;
  end: number;
  leaving: ReturnType<typeof setTimeout> | undefined;
}

export class RemoteHistory<T> implements Drawings {
  readonly name: string;
  readonly restored: number;
  readonly id: number;
  readonly #link: Link;
  readonly #rows: RemoteRows<T>;
  readonly #windows = new Map<string, Shown<T>>(); // by selector
  readonly #byId: Map<number, RemoteHistory<unknown>>; // of all histories: who the news of a window or a drawing are for
  readonly #drawings = new Map<number, { readonly drawing: Drawing; readonly told: (news: DrawingNews) => void }>();
  readonly #gone: () => void;
  #ended = false;

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
    this.restored = restored;
    this.#gone = gone;
    this.#link = link;
    this.id = id;
    this.name = name;
    this.#rows = new RemoteRows(decode);
    this.#byId = byId;
    ++link.live.histories;
  }

  get ended(): boolean {
    return this.#ended;
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

  stats(): Promise<HistoryStats> {
    return this.#link
      .call<HistoryStats>({ of: 'history.method', history: this.id, method: 'stats' })
      .then((stats) => ({ ...stats, undecodable: this.#rows.undecodable }));
  }

  clear(): Promise<void> {
    return this.#link.call({ of: 'history.method', history: this.id, method: 'clear' });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const [key, shown] of this.#windows) this.#close(key, shown);
    for (const { drawing } of [...this.#drawings.values()]) drawing.end();
    this.#link.send({ op: 'endHistory', history: this.id });
    this.#gone();
    --this.#link.live.histories;
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
    const drawing = {
      update: (change: Partial<DrawingState>) => {
        if (this.#drawings.has(id)) this.#link.send({ op: 'redraw', drawing: id, change });
      },
      end: () => {
        if (!this.#drawings.delete(id)) return;
        this.#byId.delete(id);
        --this.#link.live.drawings;
        this.#link.send({ op: 'undraw', drawing: id });
      },
    };
    this.#drawings.set(id, { drawing, told });
    this.#byId.set(id, this as RemoteHistory<unknown>);
    ++this.#link.live.drawings;
    return drawing;
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
      shown = {
        id: this.#link.next(),
        listeners: new Map(),
        snapshot: EMPTY_SNAPSHOT,
        start: 0,
        end: 0,
        leaving: undefined,
      };
      this.#windows.set(key, shown);
      this.#byId.set(shown.id, this as RemoteHistory<unknown>);
      ++this.#link.live.windows;
      this.#link.send({ op: 'open', window: shown.id, history: this.id, selector });
    }
    const window = shown;
    clearTimeout(window.leaving);
    return this.#link.listen(window.listeners, listener, () => {
      // One task later: a component that mounts again at once (StrictMode) keeps it.
      clearTimeout(window.leaving);
      window.leaving = setTimeout(() => {
        if (window.listeners.size === 0) this.#close(key, window);
      }, 0);
    });
  }

  #close(key: string, shown: Shown<T>): void {
    clearTimeout(shown.leaving);
    if (!this.#windows.delete(key)) return;
    this.#link.drop(shown.listeners);
    this.#byId.delete(shown.id);
    --this.#link.live.windows;
    this.#link.send({ op: 'close', window: shown.id });
  }

  #check(): void {
    if (this.#ended || this.#link.ended) throw new EndedError(`history ${JSON.stringify(this.name)}`);
  }
}
