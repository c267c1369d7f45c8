// Errors over the border between page and worker.
import { EndedError, RingfenceError, ServerError } from '../errors.js';
import type { PlainError } from './messages.js';

export function toPlain(thrown: unknown): PlainError {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, channel, retryAfterMs, handle } = error as Partial<ServerError & EndedError>;
  return { name: error.name, message: error.message, code, channel, retryAfterMs, handle };
}

export function fromPlain({ name, message, code, channel, retryAfterMs, handle }: PlainError): Error {
  if (name === 'RangeError') return new RangeError(message);
  if (name === 'TypeError') return new TypeError(message);
  if (name === 'EndedError') return new EndedError(handle ?? '');
  if (code === undefined) return new Error(message);
  if (name !== 'ServerError') return new RingfenceError(code, message);
  const error = new ServerError(code, message, undefined, retryAfterMs);
  // Its message names the channel already.
  return channel === undefined ? error : Object.assign(error, { channel });
}
