// A `decode` for events that come in another system's envelope: {event_type, timestamp, sequence_number, data, room_id?,
// player_id?}. Rows then hold what was inside, with its own type; what is no envelope becomes the row's `error`.
//
//   const log = store.history('log', { decode: decodeEnvelope });

export interface GameEvent {
  readonly type: string;
  /** Milliseconds since 1970-01-01, by the clock of the game. */
  readonly time: number;
  readonly data: unknown;
  readonly roomId: string | undefined;
  readonly playerId: string | undefined;
}

/** The envelope's `sequence_number` is left out: it comes from several counters. A row's `seq` is what orders. */
export function decodeEnvelope(value: unknown): GameEvent {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('not an envelope');
  const { event_type: type, timestamp, data, room_id, player_id } = value as Record<string, unknown>;
  if (typeof type !== 'string' || type === '') throw new TypeError('event_type is not a name');
  const time = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  if (Number.isNaN(time)) throw new TypeError('timestamp is not a date');
  const id = (name: string, given: unknown): string | undefined => {
    if (given === undefined || given === null) return undefined;
    if (typeof given !== 'string') throw new TypeError(`${name} is not a string`);
    return given;
  };
  return Object.freeze({ type, time, data, roomId: id('room_id', room_id), playerId: id('player_id', player_id) });
}
