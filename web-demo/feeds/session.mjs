// GameSession: a game's events, one after another. A second of the game has kEventsPerGameS of them: its `game_tick`,
// its `effects_update`, and what players and creatures do. A seed gives the same session at any speed: nothing in it
// comes from a clock.

import { createRandom } from './random.mjs';
import { kCreatures, kEffects, kOmens, kPeople, kQuests, kRooms, kSayings, kWeapons } from './world.mjs';

/** At this many events a second the game runs in real time, at the rates of a real one with a few players in it. */
export const kEventsPerGameS = 5;
const kStartMs = Date.UTC(1926, 2, 23, 18); // the game's own clock
const kFightsMax = 3;

export class GameSession {
  #random;
  #tick = 0;
  #slot = 0;
  #serial = 0;
  #players;
  #fights = [];
  #rooms = new Map(kRooms.map((room) => [room.id, room]));

  /** @param {number} seed */
  constructor(seed) {
    this.#random = createRandom(seed);
    this.#players = kPeople.map((name, index) => ({
      id: `player-${index + 1}`,
      name,
      room: this.#random.pick(kRooms).id,
      health: this.#random.between(60, 100),
      lucidity: this.#random.between(40, 100),
      level: this.#random.between(1, 12),
      quests: new Map(),
    }));
  }

  /** The next event. `data` is about 300 bytes as JSON. */
  next() {
    const slot = this.#slot;
    this.#slot = (slot + 1) % kEventsPerGameS;
    ++this.#serial;
    if (slot === 0) {
      ++this.#tick;
      return this.#event('game_tick', null, this.#gameTick());
    }
    if (slot === 1) return this.#effectsUpdate();
    return this.#happening();
  }

  #event(type, player, data) {
    const time = new Date(kStartMs + this.#tick * 1000 + Math.floor((this.#slot * 1000) / kEventsPerGameS));
    const who = player === null ? {} : { player_id: player.id, player_name: player.name, room_id: player.room };
    return { type, data: { ...who, ...data, game_time: time.toISOString(), serial: this.#serial } };
  }

  #gameTick() {
    const here = new Map();
    for (const player of this.#players) here.set(player.room, (here.get(player.room) ?? 0) + 1);
    return {
      tick_number: this.#tick,
      players_online: this.#players.length,
      fights: this.#fights.length,
      moon_phase: ['new', 'waxing', 'full', 'waning'][Math.floor(this.#tick / 900) % 4],
      tide_cm: Math.round(180 * Math.sin(this.#tick / 600)),
      rooms: Object.fromEntries([...here].sort()),
    };
  }

  #effectsUpdate() {
    const player = this.#random.pick(this.#players);
    player.health = Math.min(100, player.health + this.#random.between(0, 2));
    player.lucidity = Math.max(0, Math.min(100, player.lucidity + this.#random.between(-1, 1)));
    const effects = Array.from({ length: this.#random.between(1, 3) }, () => ({
      name: this.#random.pick(kEffects),
      remaining_s: this.#random.between(1, 120),
      strength: this.#random.between(1, 5),
    }));
    return this.#event('effects_update', player, { health: player.health, lucidity: player.lucidity, effects });
  }

  #happening() {
    const fight = this.#fights.length > 0 && this.#random.chance(0.5) ? this.#random.pick(this.#fights) : null;
    if (fight !== null) return this.#blow(fight);
    const player = this.#random.pick(this.#players);
    const roll = this.#random.between(1, 100);
    if (roll <= 22) return this.#move(player);
    if (roll <= 34 && this.#fights.length < kFightsMax) return this.#startFight(player);
    if (roll <= 55)
      return this.#event('chat_message', player, {
        channel: this.#random.pick(['say', 'local', 'party']),
        message: this.#random.pick(kSayings),
        level: player.level,
      });
    if (roll <= 68)
      return this.#event('room_message', player, {
        message: this.#random.pick(kOmens),
        room_name: this.#room(player).name,
      });
    if (roll <= 80) return this.#command(player);
    if (roll <= 88) return this.#occupants(player);
    if (roll <= 94) return this.#quest(player);
    if (roll <= 97)
      return this.#event('party_invite', player, {
        invited: this.#other(player).name,
        party: `${player.name.split(' ')[1]}'s lantern`,
        expires_in_s: 60,
        message: 'Come along; it is safer with two lamps than with one.',
      });
    return this.#event('system', null, {
      message: 'The world is saved. Nothing of it will be forgotten, though some of it should be.',
      severity: 'info',
      shard: 'arkham-1',
      players_online: this.#players.length,
    });
  }

  #room(player) {
    return this.#rooms.get(player.room);
  }

  #other(player) {
    const rest = this.#players.filter((one) => one !== player);
    return this.#random.pick(rest);
  }

  #move(player) {
    const from = this.#room(player);
    const to = this.#rooms.get(this.#random.pick(from.exits));
    const entered = this.#random.chance(0.5);
    player.room = to.id;
    const seen = this.#players
      .filter((one) => one.room === (entered ? to : from).id && one !== player)
      .map((one) => one.name);
    return this.#event(entered ? 'player_entered' : 'player_left', player, {
      from: from.id,
      from_name: from.name,
      to: to.id,
      to_name: to.name,
      seen_by: seen.slice(0, 5),
      message: entered ? `${player.name} comes in from ${from.name}.` : `${player.name} leaves for ${to.name}.`,
    });
  }

  #startFight(player) {
    const creature = this.#random.pick(kCreatures);
    const fight = { id: `fight-${this.#serial}`, player, name: creature.name, hitPoints: creature.hitPoints, blows: 0 };
    this.#fights.push(fight);
    return this.#event('combat_started', player, {
      combat_id: fight.id,
      npc: creature.name,
      npc_health: creature.hitPoints,
      health: player.health,
      turn_order: [player.name, creature.name],
      message: `${creature.name} comes out of the dark and sees ${player.name}.`,
    });
  }

  #blow(fight) {
    const damage = this.#random.between(2, 11);
    ++fight.blows;
    if (this.#random.chance(0.6)) fight.hitPoints -= damage;
    else fight.player.health = Math.max(1, fight.player.health - damage);
    if (fight.hitPoints <= 0) {
      this.#fights = this.#fights.filter((one) => one !== fight);
      return this.#event('combat_ended', fight.player, {
        combat_id: fight.id,
        npc: fight.name,
        result: 'victory',
        blows: fight.blows,
        experience: fight.blows * 12,
        health: fight.player.health,
        message: `${fight.name} falls, and what was inside it leaves by the window.`,
      });
    }
    const weapon = this.#random.pick(kWeapons);
    return this.#event('npc_attacked', fight.player, {
      combat_id: fight.id,
      npc: fight.name,
      weapon,
      damage,
      npc_health: fight.hitPoints,
      health: fight.player.health,
      critical: this.#random.chance(0.1),
      message: `${fight.player.name} strikes at ${fight.name} with the ${weapon}.`,
    });
  }

  #command(player) {
    const [command, result] = this.#random.pick([
      ['look', `You are in ${this.#room(player).name}. It is darker than it should be at this hour.`],
      ['inventory', `You carry: ${this.#random.pick(kWeapons)}, ${this.#random.pick(kWeapons)}, three matches.`],
      ['status', `Health ${player.health}, lucidity ${player.lucidity}. You have slept badly.`],
      ['listen', this.#random.pick(kOmens)],
    ]);
    return this.#event('command_response', player, {
      command,
      success: this.#random.chance(0.95),
      result,
      took_ms: this.#random.between(1, 40),
    });
  }

  #occupants(player) {
    const room = this.#room(player);
    const occupants = this.#players
      .filter((one) => one.room === room.id)
      .map((one) => ({ id: one.id, name: one.name }));
    return this.#event('room_occupants', player, {
      room_name: room.name,
      exits: room.exits,
      occupants: occupants.slice(0, 6),
      count: occupants.length,
    });
  }

  #quest(player) {
    const quest = this.#random.pick(kQuests);
    const step = ((player.quests.get(quest.id) ?? 0) % quest.steps) + 1;
    player.quests.set(quest.id, step);
    return this.#event('quest_log_updated', player, {
      quest_id: quest.id,
      quest_name: quest.name,
      step,
      steps: quest.steps,
      done: step === quest.steps,
      text: `${player.name} is closer to the truth about "${quest.name}" than is good for anybody.`,
    });
  }
}
