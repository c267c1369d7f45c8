// The worker's end: a store and its clients, which live here, and do what the page's messages say.
//
// Owns     the store, and by it everything else; ends all of it at `end`.
// Errors   of a call: its result. Of anything else that concerns a client: told to that client's `onError` on the page.
import { connect } from '../client.js';
import { EndedError } from '../errors.js';
import { type Registration, asyncDispose } from '../handle.js';
import type { HistoryImpl } from '../history.js';
import { loadModule } from '../load.js';
import { type Persistence, persist } from '../persist.js';
import { StoreImpl } from '../store.js';
import type { ChannelSubscription, Client, ClientOptions } from '../types.js';
import { toPlain } from './errors.js';
import { HostDrawing } from './host_drawing.js';
import { HostWindow } from './host_window.js';
import type { Call, HostPort, ToPage, ToWorker } from './messages.js';
import { Outbox } from './outbox.js';

/** What a test puts in the place of the worker's own. */
export type HostOptions = Pick<ClientOptions, 'WebSocket' | 'timers' | 'random'>;

interface Subscribed {
  readonly history: number;
  readonly handle: ChannelSubscription;
  told: ChannelSubscription['state'];
}

interface Token {
  readonly resolve: (token: string) => void;
  readonly reject: (error: Error) => void;
}

export class Host {
  readonly #port: HostPort;
  readonly #options: HostOptions;
  readonly #outbox: Outbox;
  readonly #histories = new Map<number, HistoryImpl<unknown>>();
  readonly #windows = new Map<number, HostWindow>();
  readonly #drawings = new Map<number, HostDrawing>();
  readonly #clients = new Map<number, Client>();
  readonly #subscriptions = new Map<number, Subscribed>();
  /** Of each history with a subscription, one: the server's answer, which is their state's, is a change of the history. */
  readonly #listeners = new Map<number, Registration>();
  readonly #tokens = new Map<number, Token>();
  readonly #kept = new Map<number, Persistence>(); // by history
  #store: StoreImpl | undefined;
  #tokenIds = 0;

  constructor(port: HostPort, options: HostOptions) {
    this.#port = port;
    this.#options = options;
    this.#outbox = new Outbox(port);
    port.onmessage = ({ data }: MessageEvent) => this.#receive(data as ToWorker);
  }

  #receive(message: ToWorker): void {
    switch (message.op) {
      case 'call':
        return void this.#answer(message.id, message.call);
      case 'shown':
        return this.#outbox.shown();
      case 'open': {
        const history = this.#histories.get(message.history);
        if (!history || history.ended) return; // it has ended meanwhile
        try {
          this.#windows.set(message.window, new HostWindow(message.window, history, message.selector, this.#outbox));
        } catch (error) {
          this.#failed(error);
        }
        return;
      }
      case 'close':
        this.#windows.get(message.window)?.end();
        this.#windows.delete(message.window);
        return;
      case 'draw': {
        const history = this.#histories.get(message.history);
        if (!history || history.ended) return;
        const { drawing, canvas, state } = message;
        try {
          this.#drawings.set(drawing, new HostDrawing(drawing, history, canvas, state, this.#outbox));
        } catch (error) {
          this.#failed(error);
        }
        return;
      }
      case 'redraw':
        return this.#drawings.get(message.drawing)?.update(message.change);
      case 'undraw':
        this.#drawings.get(message.drawing)?.end();
        this.#drawings.delete(message.drawing);
        return;
      case 'subscribe':
        return this.#subscribe(message);
      case 'unsubscribe':
        this.#unsubscribe(message.subscription);
        return;
      case 'do': {
        const client = this.#clients.get(message.client);
        if (!client || client.state.status === 'closed') return;
        client[message.method]();
        if (message.method === 'end') void this.#closed(message.client);
        return;
      }
      case 'endHistory':
        this.#histories.get(message.history)?.end();
        this.#histories.delete(message.history);
        this.#kept.delete(message.history);
        return this.#tellSubscriptions();
      case 'token': {
        const asked = this.#tokens.get(message.id);
        this.#tokens.delete(message.id);
        if (message.error === undefined) asked?.resolve(message.token ?? '');
        else asked?.reject(new Error(message.error));
        return;
      }
      case 'hidden':
        void this.#flush();
        return;
      case 'end':
        return void this.#end();
    }
  }

  // What is kept has its own time limit to be written in.
  async #end(): Promise<void> {
    this.#store?.end();
    await Promise.all([...this.#kept.values()].map((kept) => kept.end()));
    this.#post({ op: 'ended' });
  }

  async #answer(id: number, call: Call): Promise<void> {
    try {
      this.#post({ op: 'result', id, value: await this.#call(call), error: undefined });
    } catch (error) {
      this.#post({ op: 'result', id, value: undefined, error: toPlain(error) });
    }
  }

  async #call(call: Call): Promise<unknown> {
    if (call.of === 'start') {
      const { wasm, budget, batchBytes } = call;
      const limits = batchBytes === undefined ? { budget } : { budget, batchBytes };
      this.#store = new StoreImpl(await loadModule(wasm), {
        ...limits,
        notify: 'microtask',
        onError: (error) => this.#failed(error),
        onLeak: () => undefined, // what the page holds is told there; what is held here ends with it
      });
      return undefined;
    }
    const store = this.#store;
    if (!store || store.ended) throw new EndedError('store');
    switch (call.of) {
      case 'history':
        return this.#declare(store, call);
      case 'connect':
        return this.#connect(store, call);
      case 'store':
        if (call.method === 'flush') return this.#flush();
        return store[call.method]();
      case 'history.method':
        return this.#history(call.history)[call.method]();
      case 'client.method': {
        if (call.method === 'closed') return this.#closed(call.client);
        const client = this.#clients.get(call.client);
        if (!client) throw new EndedError('client');
        const method = client[call.method] as (...args: readonly unknown[]) => unknown;
        return method.apply(client, call.args as unknown[]);
      }
    }
  }

  async #declare(store: StoreImpl, call: Call & { readonly of: 'history' }): Promise<{ readonly restored: number }> {
    const history = store.history(call.name, call.options) as HistoryImpl<unknown>;
    this.#histories.set(call.history, history);
    if (!call.persist) return { restored: 0 };
    try {
      const kept = await persist(history, { ...call.persist, onError: (error) => this.#failed(error) });
      this.#kept.set(call.history, kept);
      return { restored: kept.restored };
    } catch (error) {
      history.end();
      throw error;
    }
  }

  /** Known until its socket has closed: the page may ask when that is. */
  async #closed(id: number): Promise<void> {
    await this.#clients.get(id)?.[asyncDispose]();
    this.#clients.delete(id);
  }

  async #flush(): Promise<void> {
    await Promise.all([...this.#kept.values()].map((kept) => kept.flush()));
  }

  #history(id: number): HistoryImpl<unknown> {
    const history = this.#histories.get(id);
    if (!history) throw new EndedError('history');
    return history;
  }

  #connect(store: StoreImpl, { client: id, url, token, options }: Call & { readonly of: 'connect' }): void {
    const bring = token === true ? { token: () => this.#askToken(id) } : token === false ? {} : { token };
    const client = connect(url, { ...options, ...bring, ...this.#options, store });
    this.#clients.set(id, client);
    client.onState((state) => {
      this.#outbox.state(id, state);
      this.#tellSubscriptions();
    });
    client.onError((error) => {
      this.#outbox.error(id, toPlain(error));
      this.#tellSubscriptions();
    });
    client.onResume((resume) => this.#outbox.resume(id, resume));
    this.#outbox.state(id, client.state);
  }

  #askToken(client: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const id = ++this.#tokenIds;
      this.#tokens.set(id, { resolve, reject });
      this.#post({ op: 'askToken', id, client });
    });
  }

  #subscribe({ subscription, client, channel, history, last }: ToWorker & { readonly op: 'subscribe' }): void {
    try {
      const target = this.#clients.get(client);
      if (!target) throw new EndedError('client');
      const fed = this.#history(history);
      const handle = target.subscribe(channel, fed, last === undefined ? {} : { last });
      this.#subscriptions.set(subscription, { history, handle, told: handle.state });
      if (!this.#listeners.has(history))
        this.#listeners.set(
          history,
          fed.listen(() => this.#tellSubscriptions(), 'subscriptions of the page'),
        );
      this.#outbox.subscription(subscription, handle.state);
    } catch (error) {
      this.#outbox.subscription(subscription, 'refused');
      this.#outbox.error(client, toPlain(error));
    }
  }

  #tellSubscriptions(): void {
    for (const [id, subscribed] of this.#subscriptions) {
      const { state } = subscribed.handle;
      if (state === subscribed.told) continue;
      subscribed.told = state;
      this.#outbox.subscription(id, state);
      if (state === 'ended') this.#unsubscribe(id);
    }
  }

  #unsubscribe(id: number): void {
    const subscribed = this.#subscriptions.get(id);
    if (!subscribed) return;
    this.#subscriptions.delete(id);
    subscribed.handle.end();
    const { history } = subscribed;
    for (const other of this.#subscriptions.values()) if (other.history === history) return;
    this.#listeners.get(history)?.end();
    this.#listeners.delete(history);
  }

  #failed(error: unknown): void {
    this.#post({ op: 'failed', error: toPlain(error) });
  }

  #post(message: ToPage): void {
    this.#port.postMessage(message, []);
  }
}
