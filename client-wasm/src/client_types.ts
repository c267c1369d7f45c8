/// <reference lib="esnext.disposable" preserve="true" />
// The public types of connections. Units as in types.ts.
import type { Handle, History, Row, Store } from './types.js';

/** How a connection is. */
export type ConnectionStatus =
  /** A socket is being opened. */
  | 'connecting'
  /** Greeted by the server. */
  | 'open'
  /** Lost; the next attempt comes in `retryInMs`. */
  | 'waiting'
  /**
   * Lost, and the browser says that there is no network: the next attempt comes when it says that there is one again (or five
   * minutes later, should it be wrong). Not for a server on this machine.
   */
  | 'offline'
  /**
   * `disconnect()` was called, or the server has asked not to come back (`lastClose` says why, such as
   * `session_replaced`); `reconnect()` goes on.
   */
  | 'stopped'
  /** `end()` was called. */
  | 'closed';

/** How the last reconnect went, all channels together: the sum of their `ChannelResume`s, told once every replay is here. */
export interface Resume {
  /** Records that came late, after the reconnect. */
  readonly replayed: number;
  /** Records that are gone; null where the server could not tell (another epoch). */
  readonly missed: number | null;
  /** How many channels went on. */
  readonly channels: number;
  /** "nothing missed", "replayed 12", "missed 3" or "missed an unknown number". */
  readonly text: string;
}

/** How one channel went on where its history was: told once its replay is here, so the numbers are what happened. Frozen. */
export interface ChannelResume {
  /** Its name. */
  readonly channel: string;
  /** `missed` goes before `replayed`: see both numbers. */
  readonly outcome: 'nothing missed' | 'replayed' | 'missed';
  /** Records that came late. */
  readonly replayed: number;
  /** Records that are gone: exact, or null where the server cannot know (another epoch). */
  readonly missed: number | null;
  /** "nothing missed", "replayed 12", "missed 3" or "missed an unknown number". */
  readonly text: string;
}

/** Immutable; another object after each change. */
export interface ConnectionState {
  /** How it is now. */
  readonly status: ConnectionStatus;
  /** Until the next attempt, told anew each second; 0 unless `waiting`. What a server asks for counts up to 10 minutes. */
  readonly retryInMs: number;
  /** Failed attempts in a row. */
  readonly attempt: number;
  /** Of the last reconnect; undefined before the first one. */
  readonly lastResume: Resume | undefined;
  /** The server's name of this connection; undefined unless `open`. */
  readonly connection: string | undefined;
  /** Why the last connection ended, in a few words; undefined while none has. */
  readonly lastClose: string | undefined;
}

/** The counters of a client: since it was made, never reset, but for what is so now. */
export interface ClientStats {
  /** Times the server has greeted. */
  readonly connects: number;
  /** Messages that came, the binary ones among them. */
  readonly messages: number;
  /** Binary messages that came: batches. */
  readonly binaryMessages: number;
  /** Of both kinds: of a text its UTF-16 units. */
  readonly receivedBytes: number;
  /** Text messages that were sent, pings included. */
  readonly sentMessages: number;
  /** Text messages that were not what the protocol says. */
  readonly refusedMessages: number;
  /** Batches that did not validate; by code in `store.stats()`. */
  readonly refusedBatches: number;
  /** Errors told by the server, and all others that `onError` told. */
  readonly errors: number;
  /** Exceptions thrown by listeners of this client; also in `store.stats().listenerErrors`. */
  readonly listenerErrors: number;
  /** Times that records were told to be gone before they could be sent; without those `conflated`. */
  readonly gaps: number;
  /** Publishes that were sent and have no answer now. */
  readonly unacknowledged: number;
  /** Publishes that were rejected without having been sent, by the server, or for want of an answer in time. */
  readonly refusedPublishes: number;
  /** Publishes not sent yet: there is no connection, the server asked to wait, or `publishesMax` are on their way. */
  readonly waitingPublishes: number;
  /** Times a publish was refused for now (`rate_limited`, `overloaded`, `broker_unavailable`) and put back. */
  readonly delayedPublishes: number;
  /** Times a subscribe or unsubscribe was refused for now (`rate_limited`, `overloaded`, `broker_unavailable`) and put back. */
  readonly delayedSubscribes: number;
  /** New tokens that the server has taken on an open connection. */
  readonly tokenRefreshes: number;
  /** Channels that feed a history now. */
  readonly channels: number;
}

/** The part of a WebSocket that the client uses. */
export interface SocketLike {
  /** Set to `arraybuffer` before anything comes. */
  binaryType: string;
  /** The sub-protocol that the server has chosen. */
  readonly protocol: string;
  /** Called when it is open. */
  onopen: ((event: never) => void) | null;
  /** Called with each message: its `data` is a string or an `ArrayBuffer`. */
  onmessage: ((event: never) => void) | null;
  /** Called when it fails; `onclose` has to follow. */
  onerror: ((event: never) => void) | null;
  /** Called once, with `code` and `reason`. */
  onclose: ((event: never) => void) | null;
  /** Called with JSON, while it is open. */
  send(data: string): void;
  /** Closes it. Once called nothing but `onclose` is looked at. */
  close(code?: number, reason?: string): void;
}

/** What opens a socket: `globalThis.WebSocket`, or the `WebSocket` of `ws`. */
export type SocketConstructor = new (url: string, protocols: string[]) => SocketLike;

/** A clock, for tests. `now` in milliseconds. */
export interface Timers {
  /** Milliseconds, rising: since 1970-01-01 where ages, times of pushed values or the `exp` of a token matter. */
  now(): number;
  /** As that of the page; what it gives is handed to `clearTimeout`. */
  setTimeout(callback: () => void, ms: number): unknown;
  /** As that of the page: what has run, or is none, is ignored. */
  clearTimeout(timer: unknown): void;
}

/** What `connect()` may be told. Anything out of its bounds is a `RangeError`. */
export interface ClientOptions {
  /** Where the records go. */
  readonly store: Store;
  /**
   * Sent as the sub-protocol `bearer.<token>`; a function is asked before each attempt, and before the token (a JWT with
   * `exp`) expires: the new one goes to the server without a reconnect. What it throws is `token_failed`, and it is asked again
   * after the backoff.
   */
  readonly token?: string | (() => string | Promise<string>);
  /** Default: `globalThis.WebSocket`. */
  readonly WebSocket?: SocketConstructor;
  /** Before attempt n a random time up to min(maxMs, baseMs * 2^n). */
  readonly backoff?: {
    /** Milliseconds, 1 to 86,400,000. Default 1,000. */
    readonly baseMs?: number;
    /** Milliseconds, 1 to 86,400,000. Default 30,000. */
    readonly maxMs?: number;
  };
  /**
   * Silence after which the connection counts as dead, 1,000 to 86,400,000: a ping goes out at half of it. Default: 2.4 x the
   * server's ping interval.
   */
  readonly silenceMs?: number;
  /** How long an attempt may take until the server has greeted, 1 to 86,400,000. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /**
   * Whether to ask the server by HTTP why it has refused a handshake, of which a browser tells nothing: one `GET info` beside
   * the socket's address (`/v1/info`) with the same token, and not again before it has greeted or refused another token. A
   * 401 is told to `onError` with the server's code, such as `token_expired`, which is also `state.lastClose`. Needs the same
   * origin, or CORS headers of a proxy. Default: true unless `WebSocket` is given.
   */
  readonly askWhy?: boolean;
  /**
   * Publishes on their way without an answer, 1 to 65,536; further ones wait here for their turn. With those that wait there
   * may be as many as the larger of this and `offlineMax`, whatever their bytes; past that they are refused
   * (`too_many_publishes`). Default 256.
   */
  readonly publishesMax?: number;
  /** How long a publish may go without an answer, 1 to 86,400,000. Default 30,000. */
  readonly publishTimeoutMs?: number;
  /** Publishes that may wait for a connection, 0 to 65,536; further ones are refused (`offline_full`). Default 0: `not_connected`. */
  readonly offlineMax?: number;
  /** And their bytes in all: a number or e.g. `'256 KiB'`, 1 byte to 1 GiB; `offline_full` above. Default `'256 KiB'`. */
  readonly offlineBytes?: number | string;
  /** 0 <= random() < 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Default: that of the store. */
  readonly timers?: Timers;
}

/** What `subscribe()` may be told. */
export interface SubscribeOptions {
  /** How many records before now to begin with, 0 to 2^32 - 1. Default 0. A resume does not need it. */
  readonly last?: number;
}

/** Which records of a channel `client.history()` asks for. */
export interface PageOptions {
  /** Records behind this seq, the oldest first. Default 0: from the oldest that the server holds. */
  readonly after?: number;
  /** At most so many, 1 to 1,000. The server may give fewer: see `more`. Default 100. */
  readonly limit?: number;
  /** The epoch that `after` is of; where the channel is in another, the answer begins with the oldest held. */
  readonly epoch?: string;
}

/** An answer of `client.history()`. Frozen. */
export interface HistoryPage {
  /** Its name. */
  readonly channel: string;
  /** Of the channel: its numbers begin anew with another one. */
  readonly epoch: string;
  /** Seq of the oldest record that the server holds; `next` if it holds none. */
  readonly first: number;
  /** Seq that the next record will have. */
  readonly next: number;
  /** Records after `after` that the server holds no longer; null in another epoch. */
  readonly missed: number | null;
  /** Whether records remain behind the last one given. */
  readonly more: boolean;
  /** Oldest first; `data` as parsed, without a history's `decode`. */
  readonly events: readonly Row[];
}

/** A channel that feeds a history. */
export interface ChannelSubscription extends Handle {
  /** Its name. */
  readonly channel: string;
  /**
   * `refused`: the server said no, or has ended it (`forbidden`: a refreshed token no longer covers it); told by `onError`, and
   * asked again after a reconnect. What it refuses for now (`rate_limited`, `overloaded`, `broker_unavailable`) stays `pending` and
   * is asked again after as long as it says, 10 minutes at most.
   */
  readonly state: 'pending' | 'active' | 'refused' | 'ended';
}

/**
 * A connection that keeps itself alive. Made by `connect()`.
 * Once it has ended, what is not `url`, `state`, `stats()` or `end()` throws `EndedError`, or rejects with it.
 */
export interface Client {
  /** Ends it, as `end()`. */
  (): void;
  /** The address, absolute, with the scheme `ws` or `wss` and without a fragment. */
  readonly url: string;
  /** Immutable, the same object until something changes. */
  readonly state: ConnectionState;
  /**
   * Sends a channel's records into a history until the last handle of the pair ends. One channel feeds one history.
   * A history that was fed by the channel before goes on where it was.
   * @throws RangeError for a channel's name or an option out of bounds
   * @throws RingfenceError `already_subscribed` (the channel feeds another history), `already_attached` (the other way round),
   * `too_many_handles`
   * @throws TypeError for a history of another store
   * @throws EndedError after the end of either
   */
  subscribe(channel: string, history: History<unknown>, options?: SubscribeOptions): ChannelSubscription;
  /**
   * Resolves once the server has taken it. At most once: what was sent and has no answer when the connection is lost is
   * rejected with `connection_lost`, never sent again. What the server refuses for now (`rate_limited`, `overloaded`,
   * `broker_unavailable`) waits as long as it asks, 10 minutes at most (1 s where it does not say), and goes again in its old
   * order, one at a time, however often. Without a connection up to `offlineMax` wait.
   * @throws (rejects) RingfenceError `not_connected`, `offline_full`, `ended` (not sent before `end()`), `too_many_publishes`,
   * `message_too_large`, `bad_json` (deeper than the server takes), `connection_lost` or `no_answer` (whether it was taken
   * is not known), or the server's code.
   */
  publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }>;
  /**
   * Records that the server holds of a channel, whether subscribed to or not. They go into no history: they are the caller's.
   * At most 64 may wait for their answer, each for `publishTimeoutMs`.
   * @throws (rejects) RangeError for an argument out of its bounds; RingfenceError `not_connected`, `too_many_requests`,
   * `connection_lost`, `no_answer`, or the server's code: `no_such_channel`, `seq_in_future`
   */
  history(channel: string, options?: PageOptions): Promise<HistoryPage>;
  /**
   * After each change of `state`.
   * @throws RingfenceError `too_many_subscriptions` above 4,096
   * @throws EndedError after its end
   */
  onState(listener: (state: ConnectionState) => void): Handle;
  /**
   * What went wrong and had no caller to tell: refused subscriptions, bad frames, lost connections.
   * @throws as `onState()`
   */
  onError(listener: (error: Error) => void): Handle;
  /**
   * How each channel went on, after each reconnect and whenever a history comes back to its channel.
   *
   * ```ts
   * client.onResume(({ channel, text }) => console.log(`${channel}: ${text}`)); // room:1: replayed 12
   * ```
   * @throws as `onState()`
   */
  onResume(listener: (resume: ChannelResume) => void): Handle;
  /** Its counters; the last ones, once it has ended. Does not throw. */
  stats(): ClientStats;
  /**
   * Looks at the connection now: one that is open has 5 s to answer a ping, one that is waiting is tried at once (not before the
   * server allows it, nor twice in a second). Called by itself when a page is seen again, or goes online or offline.
   * @throws EndedError after its end
   */
  check(): void;
  /**
   * Drops the socket as a lost network would; it reconnects with the usual backoff.
   * @throws EndedError after its end
   */
  cut(): void;
  /** Closes until `reconnect()`. @throws EndedError after its end */
  disconnect(): void;
  /** Connects at once, also while waiting. @throws EndedError after its end */
  reconnect(): void;
  /** Ends the connection, every subscription and listener. Again: nothing. */
  end(): void;
  /** As `end()`, for `using`. */
  [Symbol.dispose](): void;
  /** The same; resolves once the socket has closed, 2 s later at the latest. For `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
