// What a worker has to tell its page: one message at a time, the next one when the page has shown it.
//
// Bounds   one message on its way, whatever happens meanwhile: of a window, a state and a subscription only the latest
//          counts; resumes and errors wait up to NEWS_MAX each, then the oldest are dropped (errors are counted by the client).
import type { ChannelResume, ChannelSubscription, ConnectionState } from '../types.js';
import type { DrawingNews } from '../list/messages.js';
import type { HostPort, News, PlainError, WindowNews } from './messages.js';

const NEWS_MAX = 256;

/** A window or a drawing that may have changed. */
export interface Dirty<Told = WindowNews> {
  take(): Told | undefined;
}

function takeAll<Told>(dirty: Set<Dirty<Told>>): Told[] {
  const all: Told[] = [];
  for (const one of dirty) {
    const news = one.take();
    if (news) all.push(news);
  }
  dirty.clear();
  return all;
}

export class Outbox {
  readonly #port: HostPort;
  readonly #windows = new Set<Dirty>();
  readonly #drawings = new Set<Dirty<DrawingNews>>();
  readonly #states = new Map<number, ConnectionState>();
  readonly #subscriptions = new Map<number, ChannelSubscription['state']>();
  #resumes: (readonly [number, ChannelResume])[] = [];
  #errors: (readonly [number, PlainError])[] = [];
  #underWay = false;
  #scheduled = false;

  constructor(port: HostPort) {
    this.#port = port;
  }

  window(window: Dirty): void {
    this.#windows.add(window);
    this.#schedule();
  }

  drawing(drawing: Dirty<DrawingNews>): void {
    this.#drawings.add(drawing);
    this.#schedule();
  }

  closed(gone: Dirty | Dirty<DrawingNews>): void {
    this.#windows.delete(gone as Dirty);
    this.#drawings.delete(gone as Dirty<DrawingNews>);
  }

  state(client: number, state: ConnectionState): void {
    this.#states.set(client, state);
    this.#schedule();
  }

  subscription(id: number, state: ChannelSubscription['state']): void {
    this.#subscriptions.set(id, state);
    this.#schedule();
  }

  resume(client: number, resume: ChannelResume): void {
    if (this.#resumes.push([client, resume]) > NEWS_MAX) this.#resumes.shift();
    this.#schedule();
  }

  error(client: number, error: PlainError): void {
    if (this.#errors.push([client, error]) > NEWS_MAX) this.#errors.shift();
    this.#schedule();
  }

  /** The page has shown the last message. */
  shown(): void {
    this.#underWay = false;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#underWay || this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    if (this.#underWay) return;
    const windows = takeAll(this.#windows);
    const drawings = takeAll(this.#drawings);
    const news: News = {
      op: 'news',
      windows,
      drawings,
      states: [...this.#states],
      subscriptions: [...this.#subscriptions],
      resumes: this.#resumes,
      errors: this.#errors,
    };
    this.#states.clear();
    this.#subscriptions.clear();
    this.#resumes = [];
    this.#errors = [];
    const { states, subscriptions, resumes, errors } = news;
    const kinds = [windows, drawings, states, subscriptions, resumes, errors];
    if (kinds.every(({ length }) => length === 0)) return;
    this.#underWay = true;
    this.#port.postMessage(
      news,
      windows.map(({ bytes }) => bytes),
    );
  }
}
