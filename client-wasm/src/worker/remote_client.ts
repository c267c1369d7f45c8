// A client that lives in the worker, as the page sees it.
//
// Owns     its subscriptions and listeners here; its end ends all of them, and the client in the worker.
import { EndedError } from '../errors.js';
import type {
  ChannelResume,
  ChannelSubscription,
  ClientStats,
  ConnectionState,
  Handle,
  HistoryPage,
  PageOptions,
  SubscribeOptions,
} from '../types.js';
import { type Link, dispose, makeHandle } from './link.js';
import type { ToWorker } from './messages.js';
import type { RemoteHistory } from './remote_history.js';

type TokenSource = string | (() => string | Promise<string>) | undefined;

const CONNECTING: ConnectionState = Object.freeze({
  status: 'connecting',
  retryInMs: 0,
  attempt: 0,
  lastResume: undefined,
  connection: undefined,
  lastClose: undefined,
});

export class RemoteClient {
  readonly url: string;
  readonly id: number;
  state: ConnectionState = CONNECTING;
  readonly #link: Link;
  readonly #token: TokenSource;
  readonly #gone: () => void;
  readonly #stateListeners = new Map<object, (state: ConnectionState) => void>();
  readonly #errorListeners = new Map<object, (error: Error) => void>();
  readonly #resumeListeners = new Map<object, (resume: ChannelResume) => void>();
  readonly #subscriptions = new Map<
    number,
    { state: ChannelSubscription['state']; readonly handle: ChannelSubscription }
  >();

  /** @param gone called at the end */
  constructor(link: Link, id: number, url: string, token: TokenSource, gone: () => void) {
    this.#gone = gone;
    this.#link = link;
    this.id = id;
    this.url = url;
    this.#token = token;
    ++link.live.clients;
  }

  subscribe(channel: string, history: RemoteHistory<unknown>, { last }: SubscribeOptions = {}): ChannelSubscription {
    this.#check();
    if (history.ended) throw new EndedError(`history ${JSON.stringify(history.name)}`);
    const subscription = this.#link.next();
    const handle = makeHandle(
      () => {
        this.#subscriptions.delete(subscription);
        --this.#link.live.subscriptions;
        this.#link.send({ op: 'unsubscribe', subscription });
      },
      {
        channel: { value: channel, enumerable: true },
        state: { get: () => this.#subscriptions.get(subscription)?.state ?? 'ended' },
      },
    ) as ChannelSubscription;
    ++this.#link.live.subscriptions;
    this.#subscriptions.set(subscription, { state: 'pending', handle });
    this.#link.send({ op: 'subscribe', subscription, client: this.id, channel, history: history.id, last });
    return handle;
  }

  async publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }> {
    this.#check();
    const args = [channel, type, data];
    return this.#link.call({ of: 'client.method', client: this.id, method: 'publish', args });
  }

  async history(channel: string, options: PageOptions = {}): Promise<HistoryPage> {
    this.#check();
    return this.#link.call({ of: 'client.method', client: this.id, method: 'history', args: [channel, options] });
  }

  async stats(): Promise<ClientStats> {
    this.#check();
    return this.#link.call({ of: 'client.method', client: this.id, method: 'stats', args: [] });
  }

  onState(listener: (state: ConnectionState) => void): Handle {
    this.#check();
    return this.#link.listen(this.#stateListeners, listener);
  }

  onError(listener: (error: Error) => void): Handle {
    this.#check();
    return this.#link.listen(this.#errorListeners, listener);
  }

  onResume(listener: (resume: ChannelResume) => void): Handle {
    this.#check();
    return this.#link.listen(this.#resumeListeners, listener);
  }

  cut(): void {
    this.#do('cut');
  }

  check(): void {
    this.#do('check');
  }

  disconnect(): void {
    this.#do('disconnect');
  }

  reconnect(): void {
    this.#do('reconnect');
  }

  end(reason = 'end()'): void {
    if (this.state.status === 'closed') return;
    this.#do('end');
    for (const { handle } of [...this.#subscriptions.values()]) handle.end();
    this.changed({ ...this.state, status: 'closed', retryInMs: 0, connection: undefined, lastClose: reason });
    for (const listeners of [this.#stateListeners, this.#errorListeners, this.#resumeListeners])
      this.#link.drop(listeners);
    --this.#link.live.clients;
    this.#gone();
  }

  [dispose](): void {
    this.end();
  }

  // What the worker tells.

  changed(state: ConnectionState): void {
    if (this.state.status === 'closed') return;
    this.state = Object.freeze(state);
    this.#link.tell(this.#stateListeners, this.state);
  }

  failed(error: Error): void {
    this.#link.tell(this.#errorListeners, error);
  }

  resumed(resume: ChannelResume): void {
    this.#link.tell(this.#resumeListeners, Object.freeze(resume));
  }

  subscription(id: number, state: ChannelSubscription['state']): void {
    const subscription = this.#subscriptions.get(id);
    if (!subscription) return;
    subscription.state = state;
    if (state === 'ended') subscription.handle.end(); // with its history
  }

  async answerToken(id: number): Promise<void> {
    try {
      const token = typeof this.#token === 'function' ? await this.#token() : this.#token;
      this.#link.send({ op: 'token', id, token, error: undefined });
    } catch (error) {
      this.#link.send({ op: 'token', id, token: undefined, error: String(error) });
    }
  }

  #do(method: (ToWorker & { readonly op: 'do' })['method']): void {
    if (method !== 'check') this.#check();
    this.#link.send({ op: 'do', client: this.id, method });
  }

  #check(): void {
    if (this.state.status === 'closed') throw new EndedError(`client ${JSON.stringify(this.url)}`);
  }
}
