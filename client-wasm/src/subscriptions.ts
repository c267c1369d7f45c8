// The channels of a client: which history each feeds, and its resume after a reconnect.
//
// Owns     a route (a C++ Subscription) for each channel that is active.
// Bounds   one entry a history, so at most as many as the store has histories.
import type { CoreHandle } from './core.js';
import { RingfenceError, ServerError } from './errors.js';
import type { Registration } from './handle.js';
import type { HistoryImpl } from './history.js';
import type { StoreImpl } from './store.js';
import type { ChannelSubscription, Resume, Timers } from './types.js';
import {
  type Failure,
  type Gap,
  type ServerMessage,
  type Subscribed,
  subscribeMessage,
  unsubscribeMessage,
} from './wire.js';

/** Answers waited for, at most: a server that gives none is left. */
const REQUESTS_MAX = 10_000;

interface Entry {
  readonly channel: string;
  readonly history: HistoryImpl<unknown>;
  readonly last: number | undefined;
  readonly handles: Set<Registration>;
  state: 'pending' | 'active' | 'refused' | 'ended';
  requestId: number | undefined; // of the subscribe under way
  route: CoreHandle | undefined;
  leaving: unknown; // timer, while there is no handle
}

export interface SubscriptionEvents {
  nextId(): number;
  send(text: string): void;
  isOpen(): boolean;
  cut(reason: string): void;
  resumed(resume: Resume): void;
  error(error: Error): void;
}

/** Sums up a reconnect until every channel has been answered; goes on over a loss in between. */
class ResumeTally {
  readonly waiting = new Set<Entry>();
  replayed = 0;
  missed = 0;
  unknown = false;
  channels = 0;

  result(): Resume {
    const { replayed, missed, unknown, channels } = this;
    let text = 'nothing missed';
    if (unknown) text = 'missed an unknown number';
    else if (missed > 0) text = `missed ${missed}`;
    else if (replayed > 0) text = `replayed ${replayed}`;
    return Object.freeze({ replayed, missed: unknown ? null : missed, channels, text });
  }
}

export class Subscriptions {
  readonly #store: StoreImpl;
  readonly #source: number;
  readonly #owner: string;
  readonly #timers: Timers;
  readonly #events: SubscriptionEvents;
  readonly #entries = new Map<string, Entry>(); // by channel
  readonly #requests = new Map<number, Entry | undefined>(); // by id; undefined: an unsubscribe
  #tally: ResumeTally | undefined;
  gaps = 0;

  constructor(store: StoreImpl, source: number, owner: string, timers: Timers, events: SubscriptionEvents) {
    this.#store = store;
    this.#source = source;
    this.#owner = owner;
    this.#timers = timers;
    this.#events = events;
  }

  get channels(): number {
    return this.#entries.size;
  }

  get handles(): number {
    let count = 0;
    for (const entry of this.#entries.values()) count += entry.handles.size;
    return count;
  }

  subscribe(channel: string, history: HistoryImpl<unknown>, last: number | undefined): ChannelSubscription {
    history.place(); // throws if it has ended
    history.fed = true;
    let entry = this.#entries.get(channel);
    if (entry && entry.history !== history) {
      if (entry.handles.size > 0)
        throw new RingfenceError(
          'already_subscribed',
          `channel ${channel} feeds history ${JSON.stringify(entry.history.name)} already`,
        );
      this.#leave(entry);
      entry = undefined;
    }
    for (const other of [...this.#entries.values()]) {
      if (other === entry || other.history !== history) continue;
      if (other.handles.size > 0)
        throw new RingfenceError(
          'already_attached',
          `history ${JSON.stringify(history.name)} is fed by channel ${other.channel} already`,
        );
      this.#leave(other);
    }
    if (!entry) {
      entry = {
        channel,
        history,
        last,
        handles: new Set(),
        state: 'pending',
        requestId: undefined,
        route: undefined,
        leaving: undefined,
      };
      this.#entries.set(channel, entry);
      if (this.#events.isOpen()) this.#request(entry);
    }
    this.#timers.clearTimeout(entry.leaving);
    entry.leaving = undefined;
    return this.#makeHandle(entry);
  }

  /** The connection is open: every channel goes on where its history is. */
  opened(): void {
    for (const entry of this.#entries.values()) {
      entry.state = 'pending';
      if (this.#place(entry)) {
        this.#tally ??= new ResumeTally();
        this.#tally.waiting.add(entry);
      }
      this.#request(entry);
    }
  }

  /** The connection is lost: channel ids mean nothing any more. */
  lost(): void {
    this.#requests.clear();
    for (const entry of this.#entries.values()) {
      this.#endRoute(entry);
      entry.requestId = undefined;
      if (entry.state === 'active') entry.state = 'pending';
    }
    this.#tally?.waiting.clear();
  }

  /** True if the message was for a channel. */
  message(message: ServerMessage): boolean {
    switch (message.op) {
      case 'subscribed':
        return this.#subscribed(message);
      case 'unsubscribed':
        return message.id !== undefined && this.#requests.delete(message.id);
      case 'gap':
        return this.#gap(message);
      case 'error':
        return this.#failure(message);
      default:
        return false;
    }
  }

  historyEnded(history: HistoryImpl<unknown>): void {
    for (const entry of [...this.#entries.values()]) if (entry.history === history) this.#leave(entry);
  }

  end(): void {
    for (const entry of [...this.#entries.values()]) this.#leave(entry);
    this.#requests.clear();
    this.#tally = undefined;
  }

  #makeHandle(entry: Entry): ChannelSubscription {
    const { table } = this.#store;
    const registration = table.open('subscription', entry.channel, this.#owner, () => {
      if (!entry.handles.delete(registration) || entry.handles.size > 0 || entry.state === 'ended') return;
      // One macrotask later: a component that mounts again at once (StrictMode) keeps the channel.
      entry.leaving = this.#timers.setTimeout(() => this.#leave(entry), 0);
    });
    entry.handles.add(registration);
    return table.handle(registration, {
      channel: { value: entry.channel, enumerable: true },
      state: { get: () => (registration.active ? entry.state : 'ended') },
    }) as ChannelSubscription;
  }

  // Known where the history is in this channel's present epoch, as far as this client knows.
  #place(entry: Entry): { readonly epoch: string; readonly seq: number } | undefined {
    const { resume } = entry.history;
    if (resume?.channel !== entry.channel) return undefined;
    return { epoch: resume.epoch, seq: entry.history.place().lastSeq };
  }

  #request(entry: Entry): void {
    const id = this.#events.nextId();
    entry.requestId = id;
    this.#track(id, entry);
    this.#events.send(subscribeMessage({ id, channel: entry.channel, after: this.#place(entry), last: entry.last }));
  }

  #track(id: number, entry: Entry | undefined): void {
    this.#requests.set(id, entry);
    if (this.#requests.size <= REQUESTS_MAX) return;
    this.#events.error(
      new RingfenceError('too_many_requests', `the server has left ${REQUESTS_MAX} requests unanswered`),
    );
    this.#events.cut('no answers');
  }

  #subscribed(message: Subscribed): boolean {
    const entry = message.id === undefined ? undefined : this.#requests.get(message.id);
    if (message.id === undefined || !this.#requests.has(message.id)) return false;
    this.#requests.delete(message.id);
    // Left while the answer was under way: its unsubscribe is behind it.
    if (!entry || entry.requestId !== message.id || entry.state === 'ended') return true;
    entry.requestId = undefined;
    const { history, channel } = entry;
    const resuming = history.resume?.channel === channel;
    const newEpoch = !resuming || history.resume?.epoch !== message.epoch;
    try {
      this.#endRoute(entry);
      entry.route = this.#store.core.attach(message.channelId, history.id, newEpoch, message.after, this.#source);
    } catch (error) {
      entry.state = 'refused';
      this.#events.error(error as Error);
      this.#answered(entry);
      return true;
    }
    entry.state = 'active';
    history.resume = { channel, epoch: message.epoch };
    if (message.missed === null) ++history.missedUnknown;
    else history.missedAnnounced += message.missed;
    this.#store.core.markChanged(history.id);
    this.#store.changed();
    if (this.#tally?.waiting.has(entry)) {
      this.#tally.replayed += message.next - 1 - message.after;
      this.#tally.missed += message.missed ?? 0;
      if (message.missed === null) this.#tally.unknown = true;
      ++this.#tally.channels;
    }
    this.#answered(entry);
    return true;
  }

  #answered(entry: Entry): void {
    const tally = this.#tally;
    if (!tally?.waiting.delete(entry) || tally.waiting.size > 0) return;
    this.#tally = undefined;
    if (tally.channels > 0) this.#events.resumed(tally.result());
  }

  #gap(message: Gap): boolean {
    const entry = this.#entries.get(message.channel);
    if (!entry?.route) return true; // left: the gap is of nobody's interest
    ++this.gaps;
    entry.history.missedAnnounced += message.missed;
    this.#store.core.noteGap(message.channelId, message.to, this.#source);
    this.#store.core.markChanged(entry.history.id);
    this.#store.changed();
    return true;
  }

  #failure(message: Failure): boolean {
    if (message.id === undefined || !this.#requests.has(message.id)) return false;
    const entry = this.#requests.get(message.id);
    this.#requests.delete(message.id);
    const error = new ServerError(message.code, message.message, entry?.channel, message.retryAfterMs);
    this.#events.error(error);
    if (!entry || entry.requestId !== message.id || entry.state === 'ended') return true;
    entry.requestId = undefined;
    if (message.code === 'seq_in_future' && entry.history.resume) {
      // The server has forgotten what this history holds: begin anew, and say that it is not known what was missed.
      entry.history.resume = undefined;
      ++entry.history.missedUnknown;
      if (this.#tally?.waiting.has(entry)) this.#tally.unknown = true;
      this.#request(entry);
      return true;
    }
    entry.state = 'refused';
    this.#answered(entry);
    return true;
  }

  // The end of an entry: its route, its handles, and the server's part.
  #leave(entry: Entry): void {
    this.#timers.clearTimeout(entry.leaving);
    entry.leaving = undefined;
    const told = entry.state === 'active' || entry.requestId !== undefined;
    entry.state = 'ended';
    for (const registration of [...entry.handles]) registration.end();
    this.#entries.delete(entry.channel);
    this.#endRoute(entry);
    this.#answered(entry);
    if (!told || !this.#events.isOpen()) return;
    const id = this.#events.nextId();
    this.#track(id, undefined);
    this.#events.send(unsubscribeMessage(id, entry.channel));
  }

  #endRoute(entry: Entry): void {
    entry.route?.delete();
    entry.route = undefined;
  }
}
