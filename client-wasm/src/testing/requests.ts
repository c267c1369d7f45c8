// What a client may send, checked as the server checks it (shared/protocol.md).
import { byteLength } from '../check.js';
import { jsonDepth } from '../wire.js';
import type { Message } from './socket.js';

/** A refusal that the client is told. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    /** Of the message, if it was read that far. */
    readonly id?: unknown,
  ) {
    super(message);
  }
}

const bad = (field: string, why: string): Refusal => new Refusal('bad_field', `\`${field}\` ${why}`);

/** @throws Refusal */
export function parseRequest(text: string, bytesMax: number, depthMax: number): Message {
  if (byteLength(text) > bytesMax) throw new Refusal('message_too_large', `above ${bytesMax} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Refusal('bad_json', String(error));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal('bad_json', 'not a JSON object');
  if (jsonDepth(text) > depthMax) throw new Refusal('bad_json', `deeper than ${depthMax}`);
  const { id, op } = value as Message;
  const goodId = typeof id === 'string' ? byteLength(id) <= 64 : id === undefined || Number.isSafeInteger(id);
  if (!goodId) throw bad('id', 'is neither a string of at most 64 bytes nor an integer');
  if (op === undefined) throw new Refusal('missing_field', '`op` is missing', id);
  if (typeof op !== 'string') throw new Refusal('bad_field', '`op` is not a string', id);
  return value as Message;
}

/** @throws Refusal */
export function integerOf(message: Message, field: string, min: number, max: number, otherwise: number): number {
  const value = message[field] ?? otherwise;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max)
    throw bad(field, `is not an integer from ${min} to ${max}`);
  return value;
}

/** @throws Refusal */
export function channelOf({ channel }: Message): string {
  if (channel === undefined) throw new Refusal('missing_field', '`channel` is missing');
  if (typeof channel !== 'string') throw bad('channel', 'is not a string');
  if (!/^[A-Za-z0-9_:.-]{1,128}$/.test(channel)) throw new Refusal('bad_channel', 'the name does not match');
  return channel;
}

/** @throws Refusal */
export function watchOf({ watch }: Message): boolean | undefined {
  if (watch !== undefined && typeof watch !== 'boolean') throw bad('watch', 'is not true or false');
  return watch;
}

/** @throws Refusal */
export function typeOf({ type = 'message' }: Message): string {
  if (typeof type !== 'string') throw bad('type', 'is not a string');
  if (type === '' || /[\u0000-\u001f\u007f]/.test(type) || byteLength(type) > 255)
    throw new Refusal('bad_type', 'it is empty, too long or holds control characters');
  return type;
}

/** @throws Refusal */
export function dataOf(message: Message): string {
  if (!('data' in message)) throw new Refusal('missing_field', '`data` is missing');
  return JSON.stringify(message['data']);
}

/** @throws Refusal */
export function epochOf(message: Message, field = 'epoch'): string | undefined {
  const { epoch } = message;
  if (epoch === undefined) return undefined;
  if (typeof epoch !== 'string' || !/^[a-z0-9]{1,16}$/.test(epoch)) throw bad(field, 'is not 1 to 16 of a-z and 0-9');
  return epoch;
}

/** @throws Refusal */
export function afterOf({ after }: Message): { readonly epoch: string; readonly seq: number } | undefined {
  if (after === undefined) return undefined;
  if (typeof after !== 'object' || after === null || Array.isArray(after)) throw bad('after', 'is not an object');
  const fields = after as Message;
  for (const name of ['epoch', 'seq'])
    if (fields[name] === undefined) throw new Refusal('missing_field', `\`after.${name}\` is missing`);
  const seq = integerOf(fields, 'seq', 0, Number.MAX_SAFE_INTEGER, 0);
  return { epoch: epochOf(fields, 'after.epoch') as string, seq };
}
