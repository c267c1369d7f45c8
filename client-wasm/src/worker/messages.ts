// What a page and its worker tell each other. Numbers name things: the page chooses them.
import type { DrawingNews, DrawingState } from '../list/messages.js';
import type { PersistOptions } from '../persist.js';
import type {
  ChannelResume,
  ChannelSubscription,
  ClientOptions,
  ConnectionState,
  HistoryOptions,
  Selector,
  Snapshot,
} from '../types.js';

/** Options that are numbers and texts, which a message can carry. */
export type PlainClientOptions = Omit<ClientOptions, 'store' | 'token' | 'WebSocket' | 'random' | 'timers'>;
export type PlainPersistOptions = Omit<PersistOptions, 'indexedDB' | 'onError'>;
export type PlainHistoryOptions = Pick<HistoryOptions, 'capacity' | 'bytes' | 'maxAge'>;

export type ClientMethod = 'stats' | 'publish' | 'history' | 'closed';

/** What is asked of the worker, and answered by `result`. */
export type Call =
  | {
      readonly of: 'start';
      readonly wasm: string | WebAssembly.Module;
      readonly budget: number | string;
      readonly batchBytes: number | string | undefined;
    }
  | {
      readonly of: 'history';
      readonly history: number;
      readonly name: string;
      readonly options: PlainHistoryOptions;
      readonly persist: PlainPersistOptions | undefined;
    }
  | {
      readonly of: 'connect';
      readonly client: number;
      readonly url: string;
      readonly token: boolean | string;
      readonly options: PlainClientOptions;
    }
  | { readonly of: 'store'; readonly method: 'stats' | 'handles' | 'flush' }
  | { readonly of: 'history.method'; readonly history: number; readonly method: 'stats' | 'clear' }
  | {
      readonly of: 'client.method';
      readonly client: number;
      readonly method: ClientMethod;
      readonly args: readonly unknown[];
    };

export type ToWorker =
  | { readonly op: 'call'; readonly id: number; readonly call: Call }
  /** The windows of a history that the page shows. */
  | { readonly op: 'open'; readonly window: number; readonly history: number; readonly selector: Selector }
  | { readonly op: 'close'; readonly window: number }
  /** A list of a history, drawn on a canvas of the page's, which comes along. */
  | {
      readonly op: 'draw';
      readonly drawing: number;
      readonly history: number;
      readonly canvas: OffscreenCanvas;
      readonly state: DrawingState;
    }
  | { readonly op: 'redraw'; readonly drawing: number; readonly change: Partial<DrawingState> }
  | { readonly op: 'undraw'; readonly drawing: number }
  | {
      readonly op: 'subscribe';
      readonly subscription: number;
      readonly client: number;
      readonly channel: string;
      readonly history: number;
      readonly last: number | undefined;
    }
  | { readonly op: 'unsubscribe'; readonly subscription: number }
  | {
      readonly op: 'do';
      readonly client: number;
      readonly method: 'cut' | 'check' | 'disconnect' | 'reconnect' | 'end';
    }
  | { readonly op: 'endHistory'; readonly history: number }
  /** What `askToken` asked for. */
  | {
      readonly op: 'token';
      readonly id: number;
      readonly token: string | undefined;
      readonly error: string | undefined;
    }
  /** The page has shown the last `news`: there may be others. */
  | { readonly op: 'shown' }
  /** Nobody sees the page: what is kept is written. */
  | { readonly op: 'hidden' }
  | { readonly op: 'end' };

/** An error, as far as a message can carry it. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly channel: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly handle: string | undefined;
}

/** What is new in a window: of its rows, those that the page has not got. */
export interface WindowNews {
  readonly window: number;
  readonly snapshot: Omit<Snapshot, 'items' | 'version'>;
  /** Positions shown: [start, end). */
  readonly start: number;
  readonly end: number;
  /** Positions that the page keeps of what it has: [keptStart, keptEnd). The others' records are in `bytes`, in their order. */
  readonly keptStart: number;
  readonly keptEnd: number;
  readonly bytes: ArrayBuffer;
}

export interface News {
  readonly op: 'news';
  readonly windows: readonly WindowNews[];
  readonly drawings: readonly DrawingNews[];
  readonly states: readonly (readonly [client: number, state: ConnectionState])[];
  readonly subscriptions: readonly (readonly [subscription: number, state: ChannelSubscription['state']])[];
  readonly resumes: readonly (readonly [client: number, resume: ChannelResume])[];
  readonly errors: readonly (readonly [client: number, error: PlainError])[];
}

export type ToPage =
  | News
  | { readonly op: 'result'; readonly id: number; readonly value: unknown; readonly error: PlainError | undefined }
  /** Something went wrong that no call and no client is to be told. */
  | { readonly op: 'failed'; readonly error: PlainError }
  | { readonly op: 'askToken'; readonly id: number; readonly client: number }
  | { readonly op: 'ended' };

/** A Worker, or what stands for one: the page's end of it. */
export interface WorkerLike {
  postMessage(message: unknown, transfer: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: MessageEvent) => void) | null;
  onmessageerror: ((event: MessageEvent) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

/** The worker's end of it. */
export interface HostPort {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: ((event: MessageEvent) => void) | null;
}
