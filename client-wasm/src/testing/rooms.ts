// Presence of a MemoryServer (shared/protocol.md, "Presence"): who is in a channel, and who watches it.
//
// Owns     one Room for each channel with a member or a watcher, and nothing of a connection that has ended.
// Bounds   `members` of a channel, 512 bytes of `data` of each, `channels` joined or watched by a connection.
//          Past them: too_many_members, member_too_large, too_many_subscriptions. There is no grace: who is lost has left.
import { byteLength } from '../check.js';
import { Refusal } from './requests.js';
import type { Message } from './socket.js';

const DATA_BYTES = 512;

/** A connection, as far as presence goes. */
export interface Visitor {
  /** By which it is a member with all connections of that user; else it is one of its own. */
  readonly user: string | undefined;
  readonly connection: string;
  /** Soon, behind the answer under way, unless by then it is no longer to be told. */
  tell(message: Message, still: () => boolean): void;
}

interface Member {
  readonly name: { readonly user: string } | { readonly connection: string };
  readonly by: Set<Visitor>;
  data: unknown;
  version: number;
}

class Room {
  readonly members = new Map<string, Member>();
  readonly watchers = new Set<Visitor>();

  tell(op: 'join' | 'leave', channel: string, member: Message): void {
    const message = { op, channel, count: this.members.size, more: false, members: [member] };
    for (const watcher of this.watchers) watcher.tell(message, () => this.watchers.has(watcher));
  }
}

const keyOf = ({ user, connection }: Visitor): string => (user === undefined ? `#${connection}` : `@${user}`);
const shown = ({ name, data }: Member): Message => (data === undefined ? { ...name } : { ...name, data });

export class Rooms {
  readonly #rooms = new Map<string, Room>();
  readonly #membersMax: number;
  readonly #ofConnectionMax: number;
  #version = 0;

  constructor(membersMax: number, ofConnectionMax: number) {
    this.#membersMax = membersMax;
    this.#ofConnectionMax = ofConnectionMax;
  }

  /** Members of all channels. */
  get members(): number {
    let count = 0;
    for (const { members } of this.#rooms.values()) count += members.size;
    return count;
  }

  /** @throws Refusal */
  join(visitor: Visitor, channel: string, data: unknown): void {
    if (data !== undefined && byteLength(JSON.stringify(data)) > DATA_BYTES)
      throw new Refusal('member_too_large', `above ${DATA_BYTES} bytes`);
    const room = this.#rooms.get(channel);
    const member = room?.members.get(keyOf(visitor));
    if (member?.by.has(visitor) && data === undefined) return;
    if (!member?.by.has(visitor) && this.#joinedBy(visitor) >= this.#ofConnectionMax)
      throw new Refusal('too_many_members', 'this connection has joined as many channels as it may');
    if (member) {
      member.by.add(visitor);
      if (data === undefined) return;
      member.data = data;
      member.version = ++this.#version;
      return room?.tell('join', channel, shown(member));
    }
    if ((room?.members.size ?? 0) >= this.#membersMax)
      throw new Refusal('too_many_members', `there are ${this.#membersMax}`);
    const { user, connection } = visitor;
    const name = user === undefined ? { connection } : { user };
    const came: Member = { name, by: new Set([visitor]), data, version: ++this.#version };
    const entered = this.#room(channel);
    entered.members.set(keyOf(visitor), came);
    entered.tell('join', channel, shown(came));
  }

  /** @throws Refusal */
  leave(visitor: Visitor, channel: string): void {
    if (!this.#left(visitor, channel)) throw new Refusal('not_joined', channel);
  }

  /** `watch`: undefined to look once. @throws Refusal */
  look(visitor: Visitor, channel: string, watch: boolean | undefined, after: number, limit: number): Message {
    const room = this.#rooms.get(channel);
    if (watch === false) {
      room?.watchers.delete(visitor);
      this.#dropIfUnused(channel);
      return { op: 'ok' };
    }
    if (watch) {
      if (room?.watchers.has(visitor)) throw new Refusal('already_subscribed', channel);
      if ([...this.#rooms.values()].filter(({ watchers }) => watchers.has(visitor)).length >= this.#ofConnectionMax)
        throw new Refusal('too_many_subscriptions', `there are ${this.#ofConnectionMax}`);
      this.#room(channel).watchers.add(visitor);
    }
    const all = [...(room?.members.values() ?? [])].sort((a, b) => a.version - b.version);
    const page = watch ? all : all.filter(({ version }) => version > after).slice(0, limit);
    const more = !watch && (page.at(-1)?.version ?? after) < (all.at(-1)?.version ?? 0);
    const version = more ? page.at(-1)?.version : this.#version;
    const watching = this.#rooms.get(channel)?.watchers.has(visitor) ?? false;
    return { op: 'presence', channel, watching, version, count: all.length, more, members: page.map(shown) };
  }

  /** The connection has ended. */
  gone(visitor: Visitor): void {
    for (const [channel, room] of [...this.#rooms]) {
      room.watchers.delete(visitor);
      this.#left(visitor, channel);
      this.#dropIfUnused(channel);
    }
  }

  /** Everybody's connection has ended. */
  clear(): void {
    this.#rooms.clear();
  }

  #left(visitor: Visitor, channel: string): boolean {
    const room = this.#rooms.get(channel);
    const member = room?.members.get(keyOf(visitor));
    if (!room || !member?.by.delete(visitor)) return false;
    if (member.by.size === 0) {
      room.members.delete(keyOf(visitor));
      ++this.#version;
      room.tell('leave', channel, { ...member.name });
      this.#dropIfUnused(channel);
    }
    return true;
  }

  #joinedBy(visitor: Visitor): number {
    let count = 0;
    for (const { members } of this.#rooms.values()) if (members.get(keyOf(visitor))?.by.has(visitor)) ++count;
    return count;
  }

  #room(channel: string): Room {
    let room = this.#rooms.get(channel);
    if (!room) this.#rooms.set(channel, (room = new Room()));
    return room;
  }

  #dropIfUnused(channel: string): void {
    const room = this.#rooms.get(channel);
    if (room?.members.size === 0 && room.watchers.size === 0) this.#rooms.delete(channel);
  }
}
