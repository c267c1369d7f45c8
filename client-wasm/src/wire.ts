// The text messages of the protocol, as far as this client speaks them (shared/protocol.md). What does not validate is
// refused here, whole.

export const SUBPROTOCOL = 'ringfence.v1';

export interface Welcome {
  readonly op: 'welcome';
  readonly connection: string;
  readonly messageBytes: number;
  readonly frameBytes: number;
  readonly jsonDepth: number;
  readonly pingIntervalMs: number;
}

export interface Subscribed {
  readonly op: 'subscribed';
  readonly id: number | undefined;
  readonly channel: string;
  readonly channelId: number;
  readonly epoch: string;
  readonly first: number;
  readonly next: number;
  readonly after: number;
  readonly recovered: boolean;
  readonly missed: number | null;
}

export interface Failure {
  readonly op: 'error';
  readonly id: number | undefined;
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

export interface Gap {
  readonly op: 'gap';
  readonly channel: string;
  readonly channelId: number;
  readonly from: number;
  readonly to: number;
  /** null: it cannot be known. */
  readonly missed: number | null;
  /** Skipped for a slow reader, by the channel's policy `conflate`; else the records were evicted, or lost. */
  readonly conflated: boolean;
}

/** One event of a `history` answer, its data parsed. */
export interface WireEvent {
  readonly seq: number;
  /** Milliseconds since 1970-01-01, with microseconds as a fraction. */
  readonly time: number;
  readonly type: string;
  readonly data: unknown;
}

export interface HistoryAnswer {
  readonly op: 'history';
  readonly id: number | undefined;
  readonly channel: string;
  readonly epoch: string;
  readonly first: number;
  readonly next: number;
  readonly missed: number | null;
  readonly more: boolean;
  readonly events: readonly WireEvent[];
}

export interface Left {
  readonly op: 'unsubscribed';
  readonly id: number | undefined;
  readonly channel: string;
  readonly reason: string | undefined;
}

/** About who is there. What it says is read by presence.ts. */
export interface PresenceMessage {
  readonly op: 'presence' | 'join' | 'leave';
  readonly id: number | undefined;
  readonly channel: string;
  readonly fields: Fields;
}

export type ServerMessage =
  | PresenceMessage
  | HistoryAnswer
  | Welcome
  | Subscribed
  | Failure
  | Gap
  | { readonly op: 'ok'; readonly id: number | undefined; readonly seq: number | undefined }
  | Left
  | { readonly op: 'pong' }
  | { readonly op: 'closing'; readonly reason: string; readonly retryAfterMs: number; readonly reconnect: boolean };

class BadMessage extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

const U32_MAX = 2 ** 32 - 1;

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new BadMessage(`${name} is not a string`);
  return value;
}

function integer(fields: Fields, name: string, max = Number.MAX_SAFE_INTEGER, min = 0): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max)
    throw new BadMessage(`${name} is not a whole number from ${min} to ${max}`);
  return value;
}

const optionalInteger = (fields: Fields, name: string): number | undefined =>
  fields[name] === undefined ? undefined : integer(fields, name);

function subscribed(fields: Fields): Subscribed {
  const { recovered, missed } = fields;
  if (typeof recovered !== 'boolean') throw new BadMessage('recovered is not a boolean');
  const message = {
    op: 'subscribed' as const,
    id: optionalInteger(fields, 'id'),
    channel: text(fields, 'channel'),
    channelId: integer(fields, 'channel_id', U32_MAX),
    epoch: text(fields, 'epoch'),
    first: integer(fields, 'first'),
    next: integer(fields, 'next', Number.MAX_SAFE_INTEGER + 1, 1),
    after: integer(fields, 'after'),
    recovered,
    missed: missed === null ? null : integer(fields, 'missed'),
  };
  if (!/^[a-z0-9]{1,16}$/.test(message.epoch)) throw new BadMessage('epoch is not 1 to 16 of [a-z0-9]');
  if (message.after >= message.next) throw new BadMessage('after is not below next');
  return message;
}

function gap(fields: Fields): Gap {
  const message = {
    op: 'gap' as const,
    channel: text(fields, 'channel'),
    channelId: integer(fields, 'channel_id', U32_MAX),
    from: integer(fields, 'from'),
    to: integer(fields, 'to'),
    missed: fields['missed'] === null ? null : integer(fields, 'missed'),
    conflated: fields['reason'] === 'conflated',
  };
  if (message.to < message.from) throw new BadMessage('to is below from');
  return message;
}

// RFC 3339 in UTC, with up to microseconds, of which Date.parse keeps the milliseconds.
function time(fields: Fields): number {
  const written = text(fields, 'time');
  const parts = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,9}))?Z$/.exec(written);
  const ms = parts ? Date.parse(written.replace(/\.\d+/, '')) : Number.NaN;
  if (Number.isNaN(ms)) throw new BadMessage('time is not RFC 3339 in UTC');
  return ms + Number(`0.${parts?.[1] ?? 0}`) * 1000;
}

function event(value: unknown): WireEvent {
  if (typeof value !== 'object' || value === null) throw new BadMessage('an event is not an object');
  const fields = value as Fields;
  if (!('data' in fields)) throw new BadMessage('data is missing');
  const seq = integer(fields, 'seq', Number.MAX_SAFE_INTEGER, 1);
  return Object.freeze({ seq, time: time(fields), type: text(fields, 'type'), data: fields['data'] });
}

function history(fields: Fields): HistoryAnswer {
  const { missed, more, events } = fields;
  if (typeof more !== 'boolean') throw new BadMessage('more is not a boolean');
  if (!Array.isArray(events)) throw new BadMessage('events is not an array');
  const read = events.map(event);
  for (const [index, { seq }] of read.entries())
    if (index > 0 && seq <= (read[index - 1] as WireEvent).seq) throw new BadMessage('the seqs of events do not rise');
  return {
    op: 'history',
    id: optionalInteger(fields, 'id'),
    channel: text(fields, 'channel'),
    epoch: text(fields, 'epoch'),
    first: integer(fields, 'first'),
    next: integer(fields, 'next', Number.MAX_SAFE_INTEGER + 1, 1),
    missed: missed === null ? null : integer(fields, 'missed'),
    more,
    events: Object.freeze(read),
  };
}

function welcome(fields: Fields): Welcome {
  const limits = fields['limits'];
  if (typeof limits !== 'object' || limits === null) throw new BadMessage('limits is not an object');
  return {
    op: 'welcome',
    connection: text(fields, 'connection'),
    messageBytes: integer(limits as Fields, 'message_bytes'),
    frameBytes: integer(limits as Fields, 'frame_bytes'),
    jsonDepth: integer(limits as Fields, 'json_depth'),
    pingIntervalMs: integer(fields, 'ping_interval_ms'),
  };
}

/** The message, or why it is refused. */
export function parseServerMessage(json: string): ServerMessage | string {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object';
    const fields = value as Fields;
    switch (fields['op']) {
      case 'welcome':
        return welcome(fields);
      case 'subscribed':
        return subscribed(fields);
      case 'gap':
        return gap(fields);
      case 'history':
        return history(fields);
      case 'ok':
        return { op: 'ok', id: optionalInteger(fields, 'id'), seq: optionalInteger(fields, 'seq') };
      case 'unsubscribed':
        return {
          op: 'unsubscribed',
          id: optionalInteger(fields, 'id'),
          channel: text(fields, 'channel'),
          reason: fields['reason'] === undefined ? undefined : text(fields, 'reason'),
        };
      case 'error':
        return {
          op: 'error',
          id: optionalInteger(fields, 'id'),
          code: text(fields, 'code'),
          message: text(fields, 'message'),
          retryAfterMs: optionalInteger(fields, 'retry_after_ms'),
        };
      case 'pong':
        return { op: 'pong' };
      case 'presence':
      case 'join':
      case 'leave':
        return { op: fields['op'], id: optionalInteger(fields, 'id'), channel: text(fields, 'channel'), fields };
      case 'closing':
        return {
          op: 'closing',
          reason: text(fields, 'reason'),
          retryAfterMs: integer(fields, 'retry_after_ms'),
          reconnect: fields['reconnect'] !== false,
        };
      default:
        return `unknown op ${JSON.stringify(fields['op'])}`;
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface SubscribeRequest {
  readonly id: number;
  readonly channel: string;
  readonly after: { readonly epoch: string; readonly seq: number } | undefined;
  readonly last: number | undefined;
}

export const subscribeMessage = (request: SubscribeRequest): string => JSON.stringify({ op: 'subscribe', ...request });

export const unsubscribeMessage = (id: number, channel: string): string =>
  JSON.stringify({ op: 'unsubscribe', id, channel });

export interface HistoryRequest {
  readonly id: number;
  readonly channel: string;
  readonly after: number;
  readonly limit: number;
  readonly epoch: string | undefined;
}

export const historyMessage = (request: HistoryRequest): string => JSON.stringify({ op: 'history', ...request });

export const PING_MESSAGE = '{"op":"ping"}';

/** How deep objects and arrays lie in each other. */
export function jsonDepth(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < json.length; ++at) {
    const unit = json.charCodeAt(at);
    if (unit === 0x22) {
      // A string: to its closing quote, over what is escaped.
      for (++at; json.charCodeAt(at) !== 0x22 && at < json.length; ++at) if (json.charCodeAt(at) === 0x5c) ++at;
    } else if (unit === 0x7b || unit === 0x5b) {
      deepest = Math.max(deepest, ++depth);
    } else if (unit === 0x7d || unit === 0x5d) {
      --depth;
    }
  }
  return deepest;
}

/** @throws TypeError for what JSON cannot express */
export function publishMessage(id: number, channel: string, type: string, data: unknown): string {
  const json = JSON.stringify(data) as string | undefined;
  if (json === undefined) throw new TypeError(`data is ${typeof data}, which JSON cannot express`);
  return `{"op":"publish","id":${id},"channel":"${channel}","type":${JSON.stringify(type)},"data":${json}}`;
}
