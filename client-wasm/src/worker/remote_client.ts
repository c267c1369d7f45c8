// A client that lives in the worker, as the page sees it.
//
// Owns     its subscriptions and listeners here; its end ends all of them, and the client in the worker.
import { EndedError } from '../errors.js';
import { Callable, type Registration, asyncDispose, dispose } from '../handle.js';
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
import { type Link, type Listeners, endAll } from './link.js';
import type { ClientMethod, ToWorker } from './messages.js';
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

export class RemoteClient extends Callable {
  readonly url: string;
  readonly id: number;
  state: ConnectionState = CONNECTING;
  readonly #link: Link;
  readonly #token: TokenSource;
  readonly #owner: string;
  readonly #registration: Registration;
  readonly #stateListeners: Listeners<(state: ConnectionState) => void> = new Map();
  readonly #errorListeners: Listeners<(error: Error) => void> = new Map();
  readonly #resumeListeners: Listeners<(resume: ChannelResume) => void> = new Map();
  readonly #subscriptions = new Map<
    number,
    { state: ChannelSubscription['state']; readonly registration: Registration }
  >();
  #reason = 'end()';
  #listenerErrors = 0;

  /** @param gone called at the end */
  constructor(link: Link, id: number, url: string, token: TokenSource, gone: () => void) {
    super();
    this.#link = link;
    this.id = id;
    this.url = url;
    this.#token = token;
    this.#owner = `client ${JSON.stringify(url)}`;
    this.#registration = link.table.open('client', url, 'store', () => {
      this.#end();
      gone();
    });
  }

  subscribe(channel: string, history: RemoteHistory<unknown>, { last }: SubscribeOptions = {}): ChannelSubscription {
    this.#check();
    if (history.ended) throw new EndedError(history.label);
    const { table } = this.#link;
    table.checkRoom();
    const subscription = this.#link.next();
    const registration = table.open('subscription', channel, this.#owner, () => {
      this.#subscriptions.delete(subscription);
      this.#link.send({ op: 'unsubscribe', subscription });
    });
    this.#subscriptions.set(subscription, { state: 'pending', registration });
    this.#link.send({ op: 'subscribe', subscription, client: this.id, channel, history: history.id, last });
    return table.handle(registration, {
      channel: { value: channel, enumerable: true },
      state: { get: () => this.#subscriptions.get(subscription)?.state ?? 'ended' },
    }) as ChannelSubscription;
  }

  async publish(channel: string, type: string, data: unknown): Promise<{ readonly seq: number }> {
    this.#check();
    return this.#call('publish', channel, type, data);
  }

  async history(channel: string, options: PageOptions = {}): Promise<HistoryPage> {
    this.#check();
    return this.#call('history', channel, options);
  }

  async stats(): Promise<ClientStats> {
    this.#check();
    return { ...(await this.#call<ClientStats>('stats')), listenerErrors: this.#listenerErrors };
  }

  onState(listener: (state: ConnectionState) => void): Handle {
    return this.#listen(this.#stateListeners, listener);
  }

  onError(listener: (error: Error) => void): Handle {
    return this.#listen(this.#errorListeners, listener);
  }

  onResume(listener: (resume: ChannelResume) => void): Handle {
    return this.#listen(this.#resumeListeners, listener);
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
    this.#reason = reason;
    this.#registration.end();
  }

  [dispose](): void {
    this.end();
  }

  /** Once its socket has closed; at once where the worker has gone with it. */
  async [asyncDispose](): Promise<void> {
    this.end();
    await this.#call('closed').catch(() => undefined);
  }

  #end(): void {
    this.#link.send({ op: 'do', client: this.id, method: 'end' });
    endAll([...this.#subscriptions.values()].map(({ registration }) => registration));
    this.changed({ ...this.state, status: 'closed', retryInMs: 0, connection: undefined, lastClose: this.#reason });
    for (const listeners of [this.#stateListeners, this.#errorListeners, this.#resumeListeners])
      endAll(listeners.keys());
  }

  // What the worker tells.

  changed(state: ConnectionState): void {
    if (this.state.status === 'closed') return;
    this.state = Object.freeze(state);
    this.#tell(this.#stateListeners, this.state);
  }

  failed(error: Error): void {
    this.#tell(this.#errorListeners, error);
  }

  resumed(resume: ChannelResume): void {
    this.#tell(this.#resumeListeners, Object.freeze(resume));
  }

  subscription(id: number, state: ChannelSubscription['state']): void {
    const subscription = this.#subscriptions.get(id);
    if (!subscription) return;
    subscription.state = state;
    if (state === 'ended') subscription.registration.end(); // with its history
  }

  async answerToken(id: number): Promise<void> {
    try {
      const token = typeof this.#token === 'function' ? await this.#token() : this.#token;
      this.#link.send({ op: 'token', id, token, error: undefined });
    } catch (error) {
      this.#link.send({ op: 'token', id, token: undefined, error: String(error) });
    }
  }

  #listen<Value>(listeners: Listeners<(value: Value) => void>, listener: (value: Value) => void): Handle {
    this.#check();
    return this.#link.listen('clientListener', this.#owner, listeners, listener);
  }

  #tell<Value>(listeners: Listeners<(value: Value) => void>, value: Value): void {
    const before = this.#link.listenerErrors;
    this.#link.tell(listeners, value);
    this.#listenerErrors += this.#link.listenerErrors - before;
  }

  #call<Value>(method: ClientMethod, ...args: readonly unknown[]): Promise<Value> {
    return this.#link.call({ of: 'client.method', client: this.id, method, args });
  }

  #do(method: (ToWorker & { readonly op: 'do' })['method']): void {
    this.#check();
    this.#link.send({ op: 'do', client: this.id, method });
  }

  #check(): void {
    if (this.state.status === 'closed') throw new EndedError(this.#owner);
  }
}
