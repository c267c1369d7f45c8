// The public types of ringfence/presence.
import type { Handle } from './types.js';

/** Somebody who is there. Frozen; the same object until what they say of themselves changes. */
export interface PresenceMember {
  /** Stable, for lists. */
  readonly key: string;
  /** Who it is; undefined of a connection without a user. */
  readonly user: string | undefined;
  /** The server's name of the connection, if it has no user; as `client.state.connection`, at another server with that one's name (`17@two`). */
  readonly connection: string | undefined;
  /** What it says of itself; undefined if nothing. */
  readonly data: unknown;
}

/** Immutable; another object after each change. */
export interface PresenceSnapshot {
  /** At most 10,000. In the order in which they came or last said something. */
  readonly members: readonly PresenceMember[];
  /** How many there are, also of those not held. */
  readonly count: number;
  /** False until the server has told all of them, and while there is no connection: then it is how things were. */
  readonly current: boolean;
}

/** What has changed since the listener was called last. */
export interface PresenceChange {
  /** Who has come. */
  readonly joined: readonly PresenceMember[];
  /** As they are now. */
  readonly updated: readonly PresenceMember[];
  /** Who has gone, as they were last. */
  readonly left: readonly PresenceMember[];
}

/** What `presence()` may be told. */
export interface PresenceOptions {
  /** Be a member oneself, for as long as this handle lives. Default: false, unless `data` is given. */
  readonly join?: boolean;
  /** What to say of oneself: any JSON value; the server takes 512 bytes unless it is told otherwise. */
  readonly data?: unknown;
}

/** A look at who is there. Made by `presence()`. */
export interface Presence extends Handle {
  /** Its name. */
  readonly channel: string;
  /** `refused`: the server said no (told by the client's `onError`); asked again after a reconnect. */
  readonly state: 'pending' | 'active' | 'refused' | 'ended';
  /** As `getSnapshot().members`. */
  readonly members: readonly PresenceMember[];
  /** The same object until something changes: for `useSyncExternalStore`, with `onChange`. */
  readonly getSnapshot: () => PresenceSnapshot;
  /** After changes, once a notification of the store (an animation frame). @throws RingfenceError `too_many_subscriptions` above 4,096 */
  readonly onChange: (listener: (change: PresenceChange) => void) => Handle;
  /**
   * Says something else of oneself, and joins if this handle has not; nothing once it has ended.
   * @throws TypeError for what JSON cannot express
   */
  readonly update: (data: unknown) => void;
}

/** What is shown without a presence, or by a server that renders. */
export const EMPTY_PRESENCE: PresenceSnapshot = Object.freeze({ members: Object.freeze([]), count: 0, current: false });
