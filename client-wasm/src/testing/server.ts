import { checkInteger, checkChannel, checkType } from '../check.js';
import type { SocketConstructor, Timers } from '../types.js';
import { Channel } from './channel.js';
import { Refusal, afterOf, channelOf, dataOf, epochOf, integerOf, parseRequest, typeOf, watchOf } from './requests.js';
import { Rooms, type Visitor } from './rooms.js';
import { FakeSocket, type Message } from './socket.js';

/** What a `MemoryServer` may be told. Anything out of its bounds is a `RangeError`. */
export interface MemoryServerOptions {
  /**
   * When sockets open and messages arrive: in a microtask (default), or when `flush()` is called.
   * Either way never inside of a call of the client, as with a real socket.
   */
  readonly delivery?: 'microtask' | 'manual';
  /** Records held by a channel, 1 to 1,000,000; the oldest leave. Default 1,000. */
  readonly historyRecords?: number;
  /** The most channels, 1 to 100,000: `too_many_channels` beyond. Default 1,000. */
  readonly channels?: number;
  /**
   * The most subscriptions of a connection, 1 to 100,000: `too_many_subscriptions` beyond. It may watch as many channels'
   * presence, and join as many. Default 128.
   */
  readonly subscriptions?: number;
  /** The most members of a channel's presence, 1 to 100,000: `too_many_members` beyond. Default 1,000. */
  readonly members?: number;
  /** The largest message taken, in bytes, 256 to 16 MiB: `message_too_large` beyond. Default 65,536. */
  readonly messageBytes?: number;
  /** The largest batch sent, in bytes, 256 to 16 MiB; one record may be larger. Default 65,536. */
  readonly frameBytes?: number;
  /** Deepest JSON taken, 1 to 100. Default 10. */
  readonly jsonDepth?: number;
  /** Errors of a connection until it is closed with 1008. Default 100. */
  readonly errorsMax?: number;
  /** Told in `welcome`, in milliseconds. Default 25,000. */
  readonly pingIntervalMs?: number;
  /**
   * Numbers the records of all channels together, as servers that share a stream do: the seqs of a channel have holes, and how
   * many records are missed is not known. Default false.
   */
  readonly sharedSeqs?: boolean;
  /** Gives records their time. Default: `Date.now()`. */
  readonly clock?: Timers;
}

interface Session {
  readonly socket: ServedSocket;
  /** The seq delivered last, by channel. */
  readonly cursors: Map<Channel, number>;
  readonly visitor: Visitor;
  errors: number;
}

class ServedSocket extends FakeSocket {
  readonly #server: Served;

  constructor(server: Served, url: string, protocols: string[]) {
    super(url, protocols);
    this.#server = server;
    server.opened(this);
  }

  override send(data: string): void {
    if (this.closed) throw new Error('send on a closed socket');
    if (this.protocol === '') throw new Error('send on a socket that is not open yet');
    this.#server.received(this, data);
  }

  noteRequest(message: Message): void {
    this.note(message);
  }

  override close(): void {
    if (this.closed) return;
    super.close();
    this.#server.closedByClient(this);
  }
}

interface Served {
  opened(socket: ServedSocket): void;
  received(socket: ServedSocket, data: string): void;
  closedByClient(socket: ServedSocket): void;
}

/**
 * A server that speaks shared/protocol.md (sub-protocol `ringfence.v1`) to clients in the same process: subscribe and
 * resume with exact counts, publish, history, gaps, epochs, presence, its limits and error codes. Without authentication: a
 * bearer token is taken unread, and `?user=` names a user. Without grace: who loses the connection has left.
 *
 * ```ts
 * const server = new MemoryServer();
 * const client = connect('ws://test/v1/ws', { store, WebSocket: server.WebSocket });
 * client.subscribe('room:1', chat, { last: 10 });
 * server.publish('room:1', 'chat_message', { text: 'hello' });
 * await server.settled();
 * ```
 */
export class MemoryServer {
  /** For `connect()`. */
  readonly WebSocket: SocketConstructor;
  /** While true, sockets are lost instead of opened: a server that is down. */
  refusing = false;
  readonly #options: Required<Omit<MemoryServerOptions, 'clock'>>;
  readonly #clock: Timers | undefined;
  readonly #channels = new Map<string, Channel>();
  readonly #sessions = new Map<ServedSocket, Session>();
  readonly #rooms: Rooms;
  readonly #inbox: (() => void)[] = [];
  readonly #refusals = new Map<string, { code: string; retryAfterMs: number | undefined; times: number }>(); // by op
  #scheduled = false;
  #lives = 0;
  #connections = 0;
  #channelIds = 0;
  #seqs = 0; // of all channels, where they share them

  /** @throws RangeError for an option out of its bounds */
  constructor(options: MemoryServerOptions = {}) {
    const MIB16 = 16 * 1024 ** 2;
    this.#options = {
      delivery: options.delivery ?? 'microtask',
      historyRecords: checkInteger('historyRecords', options.historyRecords ?? 1000, 1, 1_000_000),
      channels: checkInteger('channels', options.channels ?? 1000, 1, 100_000),
      subscriptions: checkInteger('subscriptions', options.subscriptions ?? 128, 1, 100_000),
      members: checkInteger('members', options.members ?? 1000, 1, 100_000),
      messageBytes: checkInteger('messageBytes', options.messageBytes ?? 65_536, 256, MIB16),
      frameBytes: checkInteger('frameBytes', options.frameBytes ?? 65_536, 256, MIB16),
      jsonDepth: checkInteger('jsonDepth', options.jsonDepth ?? 10, 1, 100),
      errorsMax: checkInteger('errorsMax', options.errorsMax ?? 100, 1, 1_000_000),
      pingIntervalMs: checkInteger('pingIntervalMs', options.pingIntervalMs ?? 25_000, 1, 86_400_000),
      sharedSeqs: options.sharedSeqs ?? false,
    };
    if (this.#options.delivery !== 'microtask' && this.#options.delivery !== 'manual')
      throw new RangeError(`delivery is ${JSON.stringify(options.delivery)}: it must be 'microtask' or 'manual'`);
    this.#clock = options.clock;
    this.#rooms = new Rooms(this.#options.members, this.#options.subscriptions);
    const served: Served = {
      opened: (socket) => this.#later(() => this.#open(socket)),
      received: (socket, data) => this.#later(() => this.#receive(socket, data)),
      closedByClient: (socket) => this.#forget(socket),
    };
    this.WebSocket = class extends ServedSocket {
      constructor(url: string, protocols: string[]) {
        super(served, url, protocols);
      }
    };
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Their sockets, oldest first: to send what no server should. */
  get sockets(): readonly FakeSocket[] {
    return [...this.#sessions.keys()];
  }

  /** Subscriptions of all connections. */
  get subscriptions(): number {
    let count = 0;
    for (const { cursors } of this.#sessions.values()) count += cursors.size;
    return count;
  }

  /** Members of all channels, as presence has them. */
  get members(): number {
    return this.#rooms.members;
  }

  /**
   * Publishes as another client would. @returns its seq
   * @throws RangeError for a channel or type that the protocol does not allow, TypeError for data that JSON cannot express
   * @throws Error for more channels than `channels`
   */
  publish(channel: string, type: string, data: unknown): number {
    checkChannel(channel);
    checkType(type);
    const payload = JSON.stringify(data) as string | undefined;
    if (payload === undefined) throw new TypeError(`data is ${typeof data}, which JSON cannot express`);
    return this.#append(channel, type, payload);
  }

  /** The oldest `count` records of a channel leave its history: who has not got them is told a gap. */
  evict(channel: string, count: number): void {
    this.#channels.get(channel)?.evict(checkInteger('count', count, 0, Number.MAX_SAFE_INTEGER));
    this.#later(() => undefined);
  }

  /**
   * The next `times` messages with this op are refused: `server.refuseNext('subscribe', 'rate_limited', { retryAfterMs: 500 })`.
   * @throws RangeError for a number out of its bounds (1 to 1,000,000 times; 0 to 86,400,000 ms)
   */
  refuseNext(
    op: string,
    code: string,
    { retryAfterMs, times = 1 }: { retryAfterMs?: number; times?: number } = {},
  ): void {
    checkInteger('times', times, 1, 1_000_000);
    if (retryAfterMs !== undefined) checkInteger('retryAfterMs', retryAfterMs, 0, 86_400_000);
    this.#refusals.set(op, { code, retryAfterMs, times });
  }

  /** Ends the subscriptions of a channel by itself, as the server does where a refreshed token no longer covers it. */
  endSubscriptions(channel: string, reason = 'forbidden'): void {
    const ended = this.#channels.get(channel);
    this.#later(() => {
      for (const { socket, cursors } of this.#sessions.values())
        if (ended && cursors.delete(ended)) socket.tell({ op: 'unsubscribed', channel, reason });
    });
  }

  /** Every connection is lost, as by a network. Histories stay. */
  dropConnections(code = 1006, reason = ''): void {
    const sockets = [...this.#sessions.keys()];
    this.#sessions.clear();
    this.#rooms.clear(); // nobody is left to be told
    for (const socket of sockets) socket.lose(code, reason);
  }

  /** Every connection is lost and every history gone: what comes is another epoch. */
  restart(): void {
    this.#channels.clear();
    this.#seqs = 0;
    ++this.#lives;
    this.dropConnections(1001, 'restart');
  }

  /** Runs what waits for delivery, and what that brings about, now. */
  flush(): void {
    this.#scheduled = false;
    for (;;) {
      for (let run; (run = this.#inbox.shift());) run();
      for (const session of [...this.#sessions.values()]) this.#deliver(session);
      if (this.#inbox.length === 0) return;
    }
  }

  /** Resolves once nothing waits for delivery (with `delivery: 'manual'` it is delivered first). */
  async settled(): Promise<void> {
    do {
      if (this.#options.delivery === 'manual') this.flush();
      await new Promise((resolve) => queueMicrotask(() => resolve(undefined)));
      await Promise.resolve();
    } while (this.#inbox.length > 0 || (this.#scheduled && this.#options.delivery === 'microtask'));
  }

  #later(run: () => void): void {
    this.#inbox.push(run);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#options.delivery === 'microtask') queueMicrotask(() => this.flush());
  }

  #append(name: string, type: string, payload: string): number {
    const channel = this.#channel(name);
    const seq = this.#options.sharedSeqs ? ++this.#seqs : channel.next;
    channel.append(seq, type, payload, (this.#clock?.now() ?? Date.now()) * 1000);
    this.#later(() => undefined);
    return seq;
  }

  #channel(name: string): Channel {
    const known = this.#channels.get(name);
    if (known) return known;
    const { channels, historyRecords } = this.#options;
    if (this.#channels.size >= channels) throw new Refusal('too_many_channels', `there are ${channels} channels`);
    const channel = new Channel(name, ++this.#channelIds, `m${this.#lives}`, historyRecords);
    this.#channels.set(name, channel);
    return channel;
  }

  #open(socket: ServedSocket): void {
    if (socket.closed) return;
    if (this.refusing || !socket.protocols.includes('ringfence.v1')) return socket.lose();
    const connection = `memory-${++this.#connections}`;
    const user = new URL(socket.url).searchParams.get('user') ?? undefined;
    const tell: Visitor['tell'] = (told, still) => this.#later(() => (still() ? socket.tell(told) : undefined));
    const visitor = { user, connection, tell };
    this.#sessions.set(socket, { socket, cursors: new Map(), visitor, errors: 0 });
    const { messageBytes, subscriptions, frameBytes, jsonDepth, pingIntervalMs } = this.#options;
    socket.welcome({
      connection,
      limits: { message_bytes: messageBytes, subscriptions, frame_bytes: frameBytes, json_depth: jsonDepth },
      ping_interval_ms: pingIntervalMs,
    });
  }

  #receive(socket: ServedSocket, data: unknown): void {
    const session = this.#sessions.get(socket);
    if (!session) return;
    let message: Message = {};
    try {
      if (typeof data !== 'string') throw new Refusal('text_expected', 'a binary message');
      message = parseRequest(data, this.#options.messageBytes, this.#options.jsonDepth);
      socket.noteRequest(message);
      this.#answer(session, message);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      socket.tell({ op: 'error', id: message['id'] ?? error.id, code: error.code, message: error.message });
      if (++session.errors < this.#options.errorsMax) return;
      socket.tell({ op: 'error', code: 'too_many_errors', message: `${session.errors} errors` });
      this.#forget(socket);
      socket.lose(1008, 'too_many_errors');
    }
  }

  #forget(socket: ServedSocket): void {
    const session = this.#sessions.get(socket);
    if (!session) return;
    this.#sessions.delete(socket);
    this.#rooms.gone(session.visitor);
  }

  #answer(session: Session, message: Message): void {
    const { id, op } = message;
    const { visitor } = session;
    const tell = (answer: Message): void => session.socket.tell({ id, ...answer });
    const refusal = this.#refusals.get(op as string);
    if (refusal) {
      if (--refusal.times === 0) this.#refusals.delete(op as string);
      const { code, retryAfterMs } = refusal;
      return tell({ op: 'error', code, message: 'refuseNext()', retry_after_ms: retryAfterMs });
    }
    switch (op) {
      case 'ping':
        return tell({ op: 'pong', time: new Date(this.#clock?.now() ?? Date.now()).toISOString() });
      case 'subscribe':
        return tell(this.#subscribe(session, message));
      case 'unsubscribe': {
        const channel = this.#channels.get(channelOf(message));
        if (!channel || !session.cursors.delete(channel)) throw new Refusal('not_subscribed', 'there is none');
        return tell({ op: 'unsubscribed', channel: channel.name });
      }
      case 'publish': {
        const [channel, type, payload] = [channelOf(message), typeOf(message), dataOf(message)];
        const seq = this.#append(channel, type, payload);
        return id === undefined ? undefined : tell({ op: 'ok', seq });
      }
      case 'history':
        return tell(this.#history(message));
      case 'presence': {
        const [after, limit] = [
          integerOf(message, 'after', 0, Number.MAX_SAFE_INTEGER, 0),
          integerOf(message, 'limit', 1, 1000, 100),
        ];
        return tell(this.#rooms.look(visitor, channelOf(message), watchOf(message), after, limit));
      }
      case 'join':
        this.#rooms.join(visitor, channelOf(message), message['data']);
        return id === undefined ? undefined : tell({ op: 'ok' });
      case 'leave':
        this.#rooms.leave(visitor, channelOf(message));
        return id === undefined ? undefined : tell({ op: 'ok' });
      default:
        throw new Refusal('unknown_op', `unknown op ${JSON.stringify(op)}`);
    }
  }

  #subscribe({ cursors }: Session, message: Message): Message {
    const name = channelOf(message);
    const after = afterOf(message);
    const last = integerOf(message, 'last', 0, 2 ** 32 - 1, after ? 2 ** 32 - 1 : 0);
    const known = this.#channels.get(name);
    if (known && cursors.has(known)) throw new Refusal('already_subscribed', name);
    if (cursors.size >= this.#options.subscriptions)
      throw new Refusal('too_many_subscriptions', `there are ${cursors.size}`);
    const channel = this.#channel(name);
    const { epoch, first, next } = channel;
    const resuming = after?.epoch === epoch;
    if (resuming && after.seq >= next) throw new Refusal('seq_in_future', `the last is ${next - 1}`);
    const cursor = resuming ? Math.max(after.seq, channel.evictedTo) : channel.before(last);
    const missed = resuming ? this.#missed(channel, after.seq) : after ? null : 0;
    cursors.set(channel, cursor);
    const place = { op: 'subscribed', channel: name, channel_id: channel.id, epoch, first, next, after: cursor };
    return { ...place, recovered: resuming && missed === 0, missed };
  }

  #history(message: Message): Message {
    const name = channelOf(message);
    const after = integerOf(message, 'after', 0, Number.MAX_SAFE_INTEGER, 0);
    const limit = integerOf(message, 'limit', 1, 1000, 100);
    const asked = epochOf(message);
    const channel = this.#channels.get(name);
    if (!channel) throw new Refusal('no_such_channel', name);
    const { epoch, first, next } = channel;
    const sameLife = asked === undefined || asked === epoch;
    if (sameLife && after >= next) throw new Refusal('seq_in_future', `the last is ${next - 1}`);
    const from = Math.max(sameLife ? after : 0, channel.evictedTo);
    const records = channel.read(from, limit, this.#options.frameBytes);
    const events = records.map(({ seq, timeUs, type, payload }) => {
      const time = new Date(timeUs / 1000).toISOString();
      return { op: 'event', channel: name, seq, time, type, data: JSON.parse(payload) as unknown };
    });
    const more = (records.at(-1)?.seq ?? next - 1) < next - 1;
    return {
      op: 'history',
      channel: name,
      epoch,
      first,
      next,
      missed: sameLife ? this.#missed(channel, after) : null,
      more,
      events,
    };
  }

  /** Records behind `after` that have left; null where the numbers do not tell. */
  #missed({ evictedTo }: Channel, after: number): number | null {
    const gone = Math.max(0, evictedTo - after);
    return gone > 0 && this.#options.sharedSeqs ? null : gone;
  }

  // What lies behind the cursors, a batch at a time; a place that was evicted is told first.
  #deliver({ socket, cursors }: Session): void {
    for (const [channel, cursor] of [...cursors]) {
      let at = cursor;
      if (at < channel.evictedTo) {
        const place = { channel: channel.name, channel_id: channel.id, from: at + 1, to: channel.evictedTo };
        const gap = { op: 'gap', ...place, missed: this.#missed(channel, at), reason: 'evicted' };
        at = channel.evictedTo;
        cursors.set(channel, at);
        socket.tell(gap);
      }
      while (at < channel.next - 1 && this.#sessions.has(socket) && cursors.has(channel)) {
        const records = channel.read(at, 1000, this.#options.frameBytes);
        const prev = at;
        at = records.at(-1)?.seq ?? channel.next - 1;
        cursors.set(channel, at);
        if (records.length > 0) socket.batch([{ channelId: channel.id, prev, records }]);
      }
    }
  }
}
