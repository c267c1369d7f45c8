// The channels of a client: which history each feeds, and its resume after a reconnect.
//
// Owns     a route (a C++ Subscription) for each channel that is active; one timer for what the server refused for now.
// Bounds   one entry a history, so at most as many as the store has histories. What was refused for now goes again one at a
//          time, after the wait that the server asked for.
import type { CoreHandle } from './core.js';
import { RingfenceError, ServerError } from './errors.js';
import type { Registration } from './handle.js';
import type { HistoryImpl } from './history.js';
import type { StoreImpl } from './store.js';
import { LATER, laterMs } from './later.js';
import type { ChannelResume, ChannelSubscription, Resume, Timers } from './types.js';
import {
  type Failure,
  type Gap,
  type Left,
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
  resuming: Resuming | undefined;
  leaving: unknown; // timer, while there is no handle
}

/** A resume until its replay is here, over a loss in between: what the history had counted when it began. */
interface Resuming {
  readonly records: number;
  readonly missed: number;
  readonly unknown: number;
  /** The seq that the replay goes to; undefined until the server has said so. */
  until: number | undefined;
  /** Of the records counted until then, those of the replay: what is live may come in the same batch. */
  most: number;
}

export interface SubscriptionEvents {
  nextId(): number;
  send(text: string): void;
  isOpen(): boolean;
  cut(reason: string): void;
  resumed(resume: Resume): void;
  channelResumed(resume: ChannelResume): void;
  error(error: Error): void;
}

/** Sums up a reconnect until the replay of every channel is here; goes on over a loss in between. */
interface Tally {
  readonly waiting: Set<Entry>;
  readonly channels: Set<string>;
  replayed: number;
  missed: number | null;
}

function textOf(replayed: number, missed: number | null): string {
  if (missed === null) return 'missed an unknown number';
  if (missed > 0) return `missed ${missed}`;
  return replayed > 0 ? `replayed ${replayed}` : 'nothing missed';
}

export class Subscriptions {
  readonly #store: StoreImpl;
  readonly #source: number;
  readonly #owner: string;
  readonly #timers: Timers;
  readonly #events: SubscriptionEvents;
  readonly #entries = new Map<string, Entry>(); // by channel
  readonly #requests = new Map<number, Entry | string>(); // by id; a string: an unsubscribe of that channel
  readonly #later = new Set<Entry | string>(); // refused for now, oldest first
  readonly #resuming = new Set<Entry>();
  #laterTimer: unknown;
  #tally: Tally | undefined;
  gaps = 0;
  delayed = 0;

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
        resuming: undefined,
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
        this.#tally ??= { waiting: new Set(), channels: new Set(), replayed: 0, missed: 0 };
        this.#tally.waiting.add(entry);
      }
      this.#request(entry);
    }
  }

  /** The connection is lost: channel ids mean nothing any more. */
  lost(): void {
    this.#forget();
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
        return this.#unsubscribed(message);
      case 'gap':
        return this.#gap(message);
      case 'error':
        return this.#failure(message);
      default:
        return false;
    }
  }

  /** A batch was taken: replays may be whole. */
  arrived(): void {
    for (const entry of this.#resuming) this.#settle(entry);
  }

  historyEnded(history: HistoryImpl<unknown>): void {
    for (const entry of [...this.#entries.values()]) if (entry.history === history) this.#leave(entry);
  }

  end(): void {
    for (const entry of [...this.#entries.values()]) this.#leave(entry);
    this.#forget();
    this.#tally = undefined;
  }

  #forget(): void {
    this.#requests.clear();
    this.#later.clear();
    this.#timers.clearTimeout(this.#laterTimer);
    this.#laterTimer = undefined;
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
    // Behind an unsubscribe that was refused for now.
    if (this.#later.has(entry.channel)) return void this.#later.add(entry);
    const after = this.#place(entry);
    if (after) {
      this.#resuming.add(entry);
      entry.resuming ??= { ...this.#counts(entry), until: undefined, most: 0 };
    }
    const id = this.#events.nextId();
    entry.requestId = id;
    this.#track(id, entry);
    this.#events.send(subscribeMessage({ id, channel: entry.channel, after, last: entry.last }));
  }

  #counts({ history }: Entry): { readonly records: number; readonly missed: number; readonly unknown: number } {
    const { records } = this.#store.core.historyNumbers(history.id);
    return { records, missed: history.missed, unknown: history.missedUnknown };
  }

  #settle(entry: Entry): void {
    const { resuming, channel, history } = entry;
    if (resuming?.until === undefined) return;
    const { lastSeq, end } = history.place();
    if (lastSeq < resuming.until) return;
    this.#resuming.delete(entry);
    entry.resuming = undefined;
    const { records, missed, unknown } = this.#counts(entry);
    const lost = unknown > resuming.unknown ? null : missed - resuming.missed;
    const live = end - history.lowerBound(resuming.until + 1);
    const replayed = Math.min(records - resuming.records - live, resuming.most);
    const text = textOf(replayed, lost);
    const outcome = lost !== 0 ? 'missed' : replayed > 0 ? 'replayed' : 'nothing missed';
    const resume = Object.freeze({ channel, outcome, replayed, missed: lost, text } as const);
    this.#over(entry, resume);
    this.#events.channelResumed(resume);
  }

  #unsubscribe(channel: string): void {
    const id = this.#events.nextId();
    this.#track(id, channel);
    this.#events.send(unsubscribeMessage(id, channel));
  }

  // The server has refused it for now. In its place, once the server allows it: one at a time, as each answer comes.
  #delay(what: Entry | string, retryAfterMs: number | undefined): void {
    ++this.delayed;
    this.#later.delete(what);
    this.#later.add(what);
    this.#timers.clearTimeout(this.#laterTimer);
    this.#laterTimer = this.#timers.setTimeout(() => {
      this.#laterTimer = undefined;
      this.#pump();
    }, laterMs(retryAfterMs));
  }

  #pump(): void {
    if (this.#laterTimer !== undefined || !this.#events.isOpen()) return;
    const [what] = this.#later;
    if (what === undefined) return;
    this.#later.delete(what);
    if (typeof what === 'string') this.#unsubscribe(what);
    else this.#request(what);
  }

  #track(id: number, entry: Entry | string): void {
    this.#requests.set(id, entry);
    if (this.#requests.size <= REQUESTS_MAX) return;
    this.#events.error(
      new RingfenceError('too_many_requests', `the server has left ${REQUESTS_MAX} requests unanswered`),
    );
    this.#events.cut('no answers');
  }

  #subscribed(message: Subscribed): boolean {
    const entry = message.id === undefined ? undefined : this.#requests.get(message.id);
    if (message.id === undefined || entry === undefined) return false;
    this.#requests.delete(message.id);
    this.#pump();
    // Left while the answer was under way: its unsubscribe is behind it.
    if (typeof entry === 'string' || entry.requestId !== message.id || entry.state === 'ended') return true;
    entry.requestId = undefined;
    const { history, channel } = entry;
    const resuming = history.resume?.channel === channel;
    const newEpoch = !resuming || history.resume?.epoch !== message.epoch;
    try {
      this.#endRoute(entry);
      entry.route = this.#store.core.attach(message.channelId, history.id, newEpoch, message.after, this.#source);
    } catch (error) {
      this.#events.error(error as Error);
      this.#refused(entry);
      return true;
    }
    entry.state = 'active';
    history.resume = { channel, epoch: message.epoch };
    if (message.missed === null) ++history.missedUnknown;
    else history.missedAnnounced += message.missed;
    this.#store.core.markChanged(history.id);
    this.#store.changed();
    if (entry.resuming) {
      entry.resuming.until = message.next - 1;
      entry.resuming.most = this.#counts(entry).records - entry.resuming.records + message.next - 1 - message.after;
    }
    this.#settle(entry);
    return true;
  }

  // Answered; or, without an id, ended by the server: a token that was refreshed no longer covers the channel.
  #unsubscribed({ id, channel, reason }: Left): boolean {
    if (id !== undefined) {
      const known = this.#requests.delete(id);
      this.#pump();
      return known;
    }
    const entry = this.#entries.get(channel);
    if (entry?.state !== 'active') return true; // left, or asked for again: an answer is under way
    this.#refused(entry);
    const why = `the server has ended the subscription: ${reason ?? 'it does not say why'}`;
    this.#events.error(new ServerError(reason ?? 'unsubscribed', why, channel));
    return true;
  }

  #refused(entry: Entry): void {
    this.#endRoute(entry);
    entry.state = 'refused';
    this.#over(entry);
  }

  // Nothing of a channel is waited for any more: its replay is here, or never will be.
  #over(entry: Entry, resume?: ChannelResume): void {
    const tally = this.#tally;
    if (!tally?.waiting.delete(entry)) return;
    if (resume) {
      tally.channels.add(resume.channel);
      tally.replayed += resume.replayed;
      tally.missed = resume.missed === null || tally.missed === null ? null : tally.missed + resume.missed;
    }
    if (tally.waiting.size > 0) return;
    this.#tally = undefined;
    const { replayed, missed, channels } = tally;
    if (channels.size > 0)
      this.#events.resumed(
        Object.freeze({ replayed, missed, channels: channels.size, text: textOf(replayed, missed) }),
      );
  }

  #gap(message: Gap): boolean {
    const entry = this.#entries.get(message.channel);
    if (!entry?.route) return true; // left: the gap is of nobody's interest
    const { resuming } = entry;
    const missed = message.missed ?? 0;
    if (resuming?.until !== undefined) resuming.most -= Math.max(0, missed - Math.max(0, message.to - resuming.until));
    if (message.conflated) {
      entry.history.conflated += missed; // told behind the record that they were skipped for
    } else {
      ++this.gaps;
      if (message.missed === null) ++entry.history.missedUnknown;
      entry.history.missedAnnounced += missed;
      this.#store.core.noteGap(message.channelId, message.to, this.#source);
    }
    this.#store.core.markChanged(entry.history.id);
    this.#store.changed();
    this.#settle(entry);
    return true;
  }

  #failure(message: Failure): boolean {
    const entry = message.id === undefined ? undefined : this.#requests.get(message.id);
    if (message.id === undefined || entry === undefined) return false;
    this.#requests.delete(message.id);
    const left = typeof entry === 'string' || entry.requestId !== message.id || entry.state === 'ended';
    if (typeof entry !== 'string' && !left) entry.requestId = undefined;
    if (LATER.has(message.code)) {
      if (typeof entry === 'string' || !left) this.#delay(entry, message.retryAfterMs);
      return true;
    }
    const channel = typeof entry === 'string' ? entry : entry.channel;
    // An unsubscribe behind a subscribe that was refused has nothing to end.
    if (channel !== entry || message.code !== 'not_subscribed')
      this.#events.error(new ServerError(message.code, message.message, channel, message.retryAfterMs));
    this.#pump();
    if (left) return true;
    if (message.code === 'seq_in_future' && entry.history.resume) {
      // The server has forgotten what this history holds: begin anew, and say that it is not known what was missed.
      entry.history.resume = undefined;
      ++entry.history.missedUnknown;
      this.#request(entry);
      return true;
    }
    this.#refused(entry);
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
    this.#resuming.delete(entry);
    this.#later.delete(entry);
    this.#endRoute(entry);
    this.#over(entry);
    if (told && this.#events.isOpen()) this.#unsubscribe(entry.channel);
  }

  #endRoute(entry: Entry): void {
    entry.route?.delete();
    entry.route = undefined;
    if (entry.resuming) entry.resuming.until = undefined;
  }
}
