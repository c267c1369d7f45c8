// Publishes over the JSON sub-protocol, as any WebSocket client could: nothing of the npm package.

import WebSocket from 'ws';

const kPublishesUnderWay = 200;

interface Answer {
  readonly op: string;
  readonly id?: number;
  readonly seq?: number;
  readonly code?: string;
  readonly message?: string;
  readonly first?: number;
  readonly next?: number;
  readonly events?: readonly unknown[];
}

export class Publisher {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  #ids = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => {
      const answer = JSON.parse(data.toString()) as Answer;
      const waiting = answer.id === undefined ? undefined : this.#waiting.get(answer.id);
      if (!waiting || answer.id === undefined) return;
      this.#waiting.delete(answer.id);
      if (answer.op === 'error') waiting.reject(new Error(`${answer.code}: ${answer.message}`));
      else waiting.resolve(answer);
    });
    const lost = () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection is lost'));
      this.#waiting.clear();
    };
    socket.on('close', lost);
    socket.on('error', lost);
  }

  static open(url: string): Promise<Publisher> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, ['ringfence.v1.json']);
      socket.once('open', () => resolve(new Publisher(socket)));
      socket.once('error', reject);
    });
  }

  #ask(message: object): Promise<Answer> {
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ ...message, id }));
    });
  }

  /** The record's seq, once the server has taken it. */
  async publish(channel: string, type: string, data: unknown): Promise<number> {
    const { seq } = await this.#ask({ op: 'publish', channel, type, data });
    if (seq === undefined) throw new Error('the answer to a publish has no seq');
    return seq;
  }

  /** As many as asked for, numbered in their data, a bounded number of them under way. The last seq. */
  async publishMany(channel: string, count: number, type = 'test', text = ''): Promise<number> {
    let last = 0;
    for (let sent = 0; sent < count; sent += kPublishesUnderWay) {
      const burst = Math.min(kPublishesUnderWay, count - sent);
      const seqs = await Promise.all(
        Array.from({ length: burst }, (_, index) => this.publish(channel, type, { number: sent + index, text })),
      );
      last = Math.max(last, ...seqs);
    }
    return last;
  }

  /** What the server holds of a channel. */
  async held(channel: string): Promise<{ first: number; next: number }> {
    const { first, next } = await this.#ask({ op: 'history', channel, limit: 1 });
    if (first === undefined || next === undefined) throw new Error('the answer to history lacks its bounds');
    return { first, next };
  }

  /** Records that the server holds of a channel. */
  async count(channel: string): Promise<number> {
    const { events } = await this.#ask({ op: 'history', channel, limit: 1000 });
    if (events === undefined) throw new Error('the answer to history has no events');
    return events.length;
  }

  close(): void {
    this.#socket.terminate();
  }
}

/** Publishes at a steady rate until stop(), which returns the last seq. */
export class SteadyPublisher {
  readonly #publisher: Publisher;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #underWay = new Set<Promise<unknown>>();
  #lastSeq = 0;
  #error: Error | null = null;

  constructor(publisher: Publisher, channel: string, eventsPerS: number, text = '') {
    this.#publisher = publisher;
    const startedAt = performance.now();
    let sent = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * eventsPerS);
      for (; sent < due && this.#underWay.size < 4 * kPublishesUnderWay; ++sent) {
        const publish: Promise<unknown> = this.#publisher.publish(channel, 'test', { number: sent, text }).then(
          (seq) => (this.#lastSeq = Math.max(this.#lastSeq, seq)),
          (error: Error) => (this.#error = error),
        );
        this.#underWay.add(publish);
        void publish.finally(() => this.#underWay.delete(publish));
      }
    }, 10);
  }

  async stop(): Promise<number> {
    clearInterval(this.#timer);
    await Promise.all(this.#underWay);
    if (this.#error) throw this.#error;
    return this.#lastSeq;
  }
}
