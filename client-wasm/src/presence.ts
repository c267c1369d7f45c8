// ringfence/presence: who is there in a channel, kept up to date over reconnects. Importing it does nothing.
//
// Owns     per client and channel one entry, shared by its handles: the members as the server told them.
// Bounds   CHANNELS_MAX channels of a client, MEMBERS_MAX members of each; further ones are counted, not held. One `join` of
//          a channel is on its way at a time: of what changes meanwhile the last counts.
import { checkChannel } from './check.js';
import type { ClientHost, ClientImpl, ClientPart } from './client.js';
import { RingfenceError, ServerError } from './errors.js';
import type { Registration } from './handle.js';
import {
  EMPTY_PRESENCE,
  type Presence,
  type PresenceChange,
  type PresenceMember,
  type PresenceOptions,
  type PresenceSnapshot,
} from './presence_types.js';
import type { Client, Handle } from './types.js';
import type { Fields, PresenceMessage, ServerMessage } from './wire.js';

export * from './presence_types.js';

const CHANNELS_MAX = 1000;
const MEMBERS_MAX = 10_000;
const LISTENERS_MAX = 4096;

type Members = Map<string, PresenceMember>;

interface Entry {
  readonly channel: string;
  readonly handles: Set<Registration>;
  readonly joins: Set<Registration>; // the handles that are for being a member
  readonly listeners: Map<Registration, (change: PresenceChange) => void>;
  state: Presence['state'];
  members: Members;
  told: Members; // to the listeners
  coming: Members | undefined; // a list that has not come whole
  count: number;
  snapshot: PresenceSnapshot;
  watchId: number | undefined; // of requests on their way
  joinId: number | undefined;
  joined: boolean; // as the server knows
  said: string | undefined;
  data: string | undefined; // what is to be said
  refused: boolean; // the join; until there is something else to say
  leaving: unknown; // timers
  retry: unknown;
  tell: (() => void) | undefined; // of the store's notification
}

type Request = 'watch' | 'join' | 'leave' | 'forget';

function toJson(data: unknown): string | undefined {
  if (data === undefined) return undefined;
  const json = JSON.stringify(data) as string | undefined;
  if (json === undefined) throw new TypeError(`data is ${typeof data}, which JSON cannot express`);
  return json;
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

// Undefined if it is none.
function memberOf(value: unknown): PresenceMember | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { user, connection, data } = value as Fields;
  if (typeof user === 'string') return Object.freeze({ key: `user:${user}`, user, connection: undefined, data });
  if (typeof connection !== 'string') return undefined;
  return Object.freeze({ key: `connection:${connection}`, user: undefined, connection, data });
}

// Undefined if one of them is none.
function membersOf(value: unknown): PresenceMember[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const members = value.map(memberOf);
  return members.includes(undefined) ? undefined : (members as PresenceMember[]);
}

const sameData = (a: PresenceMember, b: PresenceMember): boolean =>
  a === b || JSON.stringify(a.data) === JSON.stringify(b.data);

function put(members: Members, member: PresenceMember): void {
  members.delete(member.key); // to the end
  if (members.size < MEMBERS_MAX) members.set(member.key, member);
}

function changeOf(from: Members, to: Members): PresenceChange {
  const joined: PresenceMember[] = [];
  const updated: PresenceMember[] = [];
  for (const member of to.values()) {
    const before = from.get(member.key);
    if (!before) joined.push(member);
    else if (before !== member) updated.push(member);
  }
  const left = [...from.values()].filter(({ key }) => !to.has(key));
  return Object.freeze({ joined, updated, left });
}

class Presences implements ClientPart {
  readonly #host: ClientHost;
  readonly #entries = new Map<string, Entry>();
  readonly #requests = new Map<number, { readonly entry: Entry; readonly what: Request }>();

  constructor(host: ClientHost) {
    this.#host = host;
  }

  open(channel: string, options: PresenceOptions): Presence {
    const data = toJson(options.data);
    this.#host.store.table.checkRoom();
    let entry = this.#entries.get(channel);
    if (!entry) {
      if (this.#entries.size >= CHANNELS_MAX)
        throw new RingfenceError('too_many_subscriptions', `there are ${CHANNELS_MAX} channels watched already`);
      entry = {
        channel,
        handles: new Set(),
        joins: new Set(),
        listeners: new Map(),
        state: 'pending',
        members: new Map(),
        told: new Map(),
        coming: undefined,
        count: 0,
        snapshot: EMPTY_PRESENCE,
        watchId: undefined,
        joinId: undefined,
        joined: false,
        said: undefined,
        data: undefined,
        refused: false,
        leaving: undefined,
        retry: undefined,
        tell: undefined,
      };
      this.#entries.set(channel, entry);
    }
    this.#host.timers.clearTimeout(entry.leaving);
    entry.leaving = undefined;
    const handle = this.#makeHandle(entry, options.join ?? data !== undefined);
    if (data !== undefined) entry.data = data;
    this.#sync(entry);
    return handle;
  }

  opened(): void {
    for (const entry of this.#entries.values()) {
      entry.state = 'pending';
      this.#sync(entry);
    }
  }

  lost(): void {
    this.#requests.clear();
    for (const entry of this.#entries.values()) {
      entry.watchId = entry.joinId = entry.coming = undefined;
      entry.joined = entry.refused = false;
      if (entry.state === 'active') entry.state = 'pending';
      this.#changed(entry);
    }
  }

  end(): void {
    for (const entry of [...this.#entries.values()]) this.#leave(entry);
    this.#requests.clear();
  }

  message(message: ServerMessage): boolean {
    if (message.op === 'presence' || message.op === 'join' || message.op === 'leave') return this.#told(message);
    if ((message.op !== 'ok' && message.op !== 'error') || message.id === undefined) return false;
    const request = this.#requests.get(message.id);
    if (!request) return false;
    this.#requests.delete(message.id);
    const { entry, what } = request;
    const ended = entry.state === 'ended';
    if (message.op === 'ok') {
      if (ended || what === 'forget') return true;
      entry.joinId = undefined;
      entry.joined = what === 'join';
      this.#sync(entry);
      return true;
    }
    if (what === 'forget') return true; // it had ended by itself
    const { code, retryAfterMs } = message;
    this.#host.error(new ServerError(code, message.message, entry.channel, retryAfterMs));
    if (ended) return true;
    const later = retryAfterMs !== undefined;
    if (what === 'watch') {
      entry.watchId = undefined;
      if (!later) entry.state = 'refused';
    } else {
      entry.joinId = undefined;
      entry.said = undefined;
      entry.refused = !later;
    }
    if (later) this.#retryIn(entry, retryAfterMs);
    return true;
  }

  #makeHandle(entry: Entry, join: boolean): Presence {
    const { table } = this.#host.store;
    const registration = table.open('presence', entry.channel, this.#host.owner, () => {
      entry.joins.delete(registration);
      if (!entry.handles.delete(registration) || entry.state === 'ended') return;
      // One macrotask later: a component that mounts again at once (StrictMode) stays a member.
      entry.leaving ??= this.#host.timers.setTimeout(() => {
        entry.leaving = undefined;
        if (entry.handles.size === 0) this.#leave(entry);
        else this.#sync(entry);
      }, 0);
    });
    entry.handles.add(registration);
    if (join) entry.joins.add(registration);
    const value = <T>(it: T): PropertyDescriptor => ({ value: it, enumerable: true });
    return table.handle(registration, {
      channel: value(entry.channel),
      state: { get: () => (registration.active ? entry.state : 'ended') },
      members: { get: () => entry.snapshot.members },
      getSnapshot: value(() => entry.snapshot),
      onChange: value((listener: (change: PresenceChange) => void) => this.#listen(entry, registration, listener)),
      update: value((data: unknown) => {
        const json = toJson(data ?? null);
        if (!registration.active) return;
        entry.joins.add(registration);
        entry.data = json;
        entry.refused = false;
        this.#sync(entry);
      }),
    }) as Presence;
  }

  #listen(entry: Entry, owner: Registration, listener: (change: PresenceChange) => void): Handle {
    if (typeof listener !== 'function') throw new TypeError('listener is not a function');
    if (entry.listeners.size >= LISTENERS_MAX)
      throw new RingfenceError('too_many_subscriptions', `there are ${LISTENERS_MAX} listeners already`);
    const { table } = this.#host.store;
    const name = `presence ${JSON.stringify(owner.name)}`;
    const registration = table.open('presence', '', name, () => entry.listeners.delete(registration));
    if (entry.state === 'ended') registration.end();
    else entry.listeners.set(registration, listener);
    return table.handle(registration);
  }

  // Asks the server for what is wanted and not so.
  #sync(entry: Entry): void {
    if (!this.#host.isOpen() || entry.state === 'ended' || entry.retry !== undefined) return;
    if (entry.state === 'pending' && entry.watchId === undefined)
      entry.watchId = this.#ask(entry, 'watch', ',"watch":true');
    if (entry.joinId !== undefined) return;
    const wanted = entry.joins.size > 0;
    if (wanted && !entry.refused && (!entry.joined || entry.said !== entry.data)) {
      entry.said = entry.data;
      entry.joinId = this.#ask(entry, 'join', entry.data === undefined ? '' : `,"data":${entry.data}`);
    } else if (!wanted && entry.joined) {
      entry.said = undefined;
      entry.joinId = this.#ask(entry, 'leave');
    }
  }

  #ask(entry: Entry, what: Request, more = ''): number {
    const id = this.#host.nextId();
    this.#requests.set(id, { entry, what });
    const op = what === 'watch' || what === 'forget' ? 'presence' : what;
    this.#host.send(`{"op":"${op}","id":${id},"channel":"${entry.channel}"${more}}`);
    return id;
  }

  #retryIn(entry: Entry, ms: number): void {
    entry.retry ??= this.#host.timers.setTimeout(() => {
      entry.retry = undefined;
      this.#sync(entry);
    }, ms);
  }

  #told({ op, id, channel, fields }: PresenceMessage): boolean {
    const asked = id === undefined ? undefined : this.#requests.get(id);
    if (id !== undefined) {
      if (!asked) return false;
      this.#requests.delete(id);
    }
    const entry = asked?.entry ?? this.#entries.get(channel);
    if (!entry || entry.state === 'ended') return true; // left meanwhile
    if (op === 'presence' && fields['reason'] !== undefined) {
      this.#host.error(new ServerError(String(fields['reason']), 'the server has ended the presence', channel));
      entry.state = 'refused';
      entry.joined = false;
      entry.refused = true;
      entry.members = new Map();
      entry.count = 0;
      this.#changed(entry);
      return true;
    }
    const { count, more } = fields;
    const members = membersOf(fields['members']);
    if (!members || !isCount(count) || typeof more !== 'boolean') {
      this.#host.refuse(`the fields of ${op} are not those of the protocol`);
      return true;
    }
    if (asked) {
      entry.watchId = undefined;
      entry.state = 'active';
    } else if (entry.state !== 'active') {
      return true; // of a watch before this one
    }
    if (op === 'presence') entry.coming = new Map();
    const into = entry.coming ?? entry.members;
    for (const member of members) {
      if (op === 'leave') into.delete(member.key);
      else put(into, this.#known(entry, member));
    }
    entry.count = count;
    if (entry.coming && !more) {
      entry.members = entry.coming;
      entry.coming = undefined;
    }
    if (!entry.coming) this.#changed(entry);
    return true;
  }

  // The object that is held, if it says the same.
  #known(entry: Entry, member: PresenceMember): PresenceMember {
    const held = entry.members.get(member.key);
    return held && sameData(held, member) ? held : member;
  }

  #changed(entry: Entry): void {
    const current = entry.state === 'active';
    const { snapshot } = entry;
    const members = [...entry.members.values()];
    const same = members.length === snapshot.members.length && members.every((m, i) => m === snapshot.members[i]);
    if (same && snapshot.count === entry.count && snapshot.current === current) return;
    const held = same ? snapshot.members : Object.freeze(members);
    entry.snapshot = Object.freeze({ members: held, count: entry.count, current });
    this.#host.store.mark((entry.tell ??= () => this.#tell(entry)));
  }

  #tell(entry: Entry): void {
    const change = changeOf(entry.told, entry.members);
    entry.told = new Map(entry.members);
    for (const [registration, listener] of [...entry.listeners])
      if (registration.active) this.#host.store.guard(() => listener(change));
  }

  #leave(entry: Entry): void {
    const { timers } = this.#host;
    timers.clearTimeout(entry.leaving);
    timers.clearTimeout(entry.retry);
    const watching = entry.state === 'active' || entry.watchId !== undefined;
    const joined = entry.joined || entry.joinId !== undefined;
    entry.state = 'ended';
    for (const registration of [...entry.handles, ...entry.listeners.keys()]) registration.end();
    this.#entries.delete(entry.channel);
    if (!this.#host.isOpen()) return;
    if (watching) this.#ask(entry, 'forget', ',"watch":false');
    if (joined) this.#ask(entry, 'leave');
  }
}

const makePart = (host: ClientHost): Presences => new Presences(host);

/**
 * Watches who is there in a channel, until the handle ends; and is there, with `join` or `data`, for as long. Handles of the
 * same client and channel share one look, and what was said last is what the server is told. It goes on over reconnects.
 *
 * ```ts
 * import { presence } from 'ringfence/presence';
 * using room = presence(client, 'room:1', { data: { mood: 'fine' } });
 * room.onChange(({ joined, left }) => console.log(joined, left, room.members));
 * room.update({ mood: 'away' });
 * ```
 * @throws RangeError for a channel's name out of bounds
 * @throws RingfenceError `too_many_subscriptions` (1,000 channels), `too_many_handles`, `ended`
 */
export function presence(client: Client, channel: string, options: PresenceOptions = {}): Presence {
  const its = client as ClientImpl;
  if (typeof its?.part !== 'function') throw new TypeError('client was not made by connect()');
  return its.part(makePart).open(checkChannel(channel), options);
}
