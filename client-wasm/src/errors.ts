// Everything this package throws, rejects with or tells to `onError`, but for RangeError and TypeError, which name a
// bad argument, its value and its limit.

/** A refusal with a documented code: those of the protocol, and the ones below. */
export class RingfenceError extends Error {
  /**
   * The protocol's codes (of the server, and `batch_...` of the decoder), or:
   * `over_budget`, `memory_full`, `duplicate_name`, `bad_capacity`, `already_attached`, `already_subscribed`, `too_many_subscriptions`, `too_many_handles` (65,536 of a store),
   * `ended`, `wasm_load`, `not_connected`, `connection_lost`, `no_answer`, `too_many_publishes`, `offline_full`, `token_failed`, `message_too_large`,
   * `not_empty`, `already_persisted` and `persist_...` (of `ringfence/persist`), `worker_failed` (of `ringfence/worker`), `too_many_requests`, `bad_message` (the server sent what the protocol does not allow), `bad_protocol`, `socket_failed`.
   */
  readonly code: string;

  /** @param code one of those of `code` */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RingfenceError';
    this.code = code;
  }
}

/** Something was used after its end. */
export class EndedError extends RingfenceError {
  /** What was used, e.g. `history "chat"`. */
  readonly handle: string;

  /** @param handle what was used */
  constructor(handle: string) {
    super('ended', `${handle} was used after its end`);
    this.name = 'EndedError';
    this.handle = handle;
  }
}

/** An `error` message of the server. */
export class ServerError extends RingfenceError {
  /** How long the server asks to wait, in milliseconds; undefined where it asks nothing. */
  readonly retryAfterMs: number | undefined;
  /** The channel it is about, where known. */
  readonly channel: string | undefined;

  /** @param retryAfterMs as the server asks, in milliseconds */
  constructor(code: string, message: string, channel?: string, retryAfterMs?: number) {
    super(code, channel === undefined ? message : `${message} (channel ${channel})`);
    this.name = 'ServerError';
    this.channel = channel;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The WASM could not be loaded or started. */
export class WasmLoadError extends RingfenceError {
  /** @param cause what the platform has thrown */
  constructor(message: string, cause?: unknown) {
    super('wasm_load', message, cause === undefined ? undefined : { cause });
    this.name = 'WasmLoadError';
  }
}
