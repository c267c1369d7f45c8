import type { SocketLike } from '../types.js';
import { type EncodedSection, encodeBatch } from './encode.js';

/** A message of the protocol. */
export type Message = Record<string, unknown>;

const SENT_MAX = 10_000;

/**
 * The server's end of one WebSocket, moved by hand: `connect(url, { WebSocket: FakeSocket })`, or a class that extends it to
 * keep its instances. Nothing happens by itself; each method tells the client at once, before it returns. What the
 * protocol lets a server send has a method; `tell` and `binary` send anything.
 *
 * Keeps the last 10,000 messages that the client sent.
 */
export class FakeSocket implements SocketLike {
  /** As the client has set it. */
  binaryType = 'blob';
  /** What `open()` was given; `''` before. */
  protocol = '';
  /** Set by the client. */
  onopen: ((event: never) => void) | null = null;
  /** Set by the client. */
  onmessage: ((event: never) => void) | null = null;
  /** Set by the client. */
  onerror: ((event: never) => void) | null = null;
  /** Set by the client. */
  onclose: ((event: never) => void) | null = null;
  /** What the client sent, oldest first, parsed. */
  readonly sent: Message[] = [];
  /** The client has closed it, or it was lost. */
  closed = false;

  constructor(
    /** As the client asked for it. */
    readonly url: string,
    /** The sub-protocols that the client offered. */
    readonly protocols: string[],
  ) {}

  /** @throws Error once closed: the client has used a socket that it let go of */
  send(data: string): void {
    if (this.closed) throw new Error('send on a closed socket');
    this.note(JSON.parse(data) as Message);
  }

  /** Keeps what the client sent. */
  protected note(message: Message): void {
    this.sent.push(message);
    if (this.sent.length > SENT_MAX) this.sent.shift();
  }

  /** Called by the client: nothing comes of it but `closed`. */
  close(): void {
    this.closed = true;
  }

  /** The handshake is done, with this sub-protocol. */
  open(protocol = 'ringfence.v1'): void {
    this.protocol = protocol;
    this.onopen?.({} as never);
  }

  /** The handshake and the server's greeting; `change` overrides fields of it. */
  welcome(change: Message = {}): void {
    this.open();
    this.tell({
      op: 'welcome',
      connection: 'c1',
      protocol: 'ringfence.v1',
      server: 'ringfence/0.1.0',
      ping_interval_ms: 25_000,
      limits: { message_bytes: 65536, subscriptions: 128, frame_bytes: 262144, json_depth: 10 },
      ...change,
    });
  }

  /** A text message: an object as JSON, a string as it is. */
  tell(message: Message | string): void {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) } as never);
  }

  /** A binary message. */
  binary(bytes: Uint8Array<ArrayBuffer>): void {
    this.onmessage?.({ data: bytes.slice().buffer } as never);
  }

  /** Ends as a lost network would, or with a code of the server's. */
  lose(code = 1006, reason = ''): void {
    this.closed = true;
    this.onclose?.({ code, reason } as never);
  }

  /** The messages sent with this op, oldest first. */
  ops(op: string): Message[] {
    return this.sent.filter((message) => message['op'] === op);
  }

  /**
   * Answers the newest `subscribe` of a channel; `change` overrides fields of the answer.
   * @throws Error if the client has not sent one
   */
  subscribed(channel: string, change: Message = {}): void {
    const request = this.ops('subscribe')
      .filter((message) => message['channel'] === channel)
      .at(-1);
    if (!request) throw new Error(`no subscribe of ${channel}`);
    this.tell({
      op: 'subscribed',
      id: request['id'],
      channel,
      channel_id: 1,
      epoch: 'e1',
      first: 1,
      next: 1,
      after: 0,
      recovered: false,
      missed: 0,
      ...change,
    });
  }

  /** A batch with records of these numbers, each with the payload `{"n":seq}`. */
  events(channelId: number, prev: number, seqs: readonly number[]): void {
    this.batch([{ channelId, prev, records: seqs.map((seq) => ({ seq, payload: `{"n":${seq}}` })) }]);
  }

  /** A batch of any sections. */
  batch(sections: readonly EncodedSection[]): void {
    this.binary(encodeBatch(sections));
  }
}
