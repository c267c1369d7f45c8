// What the game session is made of: rooms, people, creatures, and things they say.

export const kRooms = [
  { id: 'miskatonic_library', name: 'Miskatonic Library', exits: ['arkham_square', 'restricted_stacks'] },
  { id: 'restricted_stacks', name: 'Restricted Stacks', exits: ['miskatonic_library', 'cellar_stairs'] },
  { id: 'cellar_stairs', name: 'Cellar Stairs', exits: ['restricted_stacks', 'flooded_vault'] },
  { id: 'flooded_vault', name: 'Flooded Vault', exits: ['cellar_stairs'] },
  { id: 'arkham_square', name: 'Arkham Square', exits: ['miskatonic_library', 'harbour_road', 'asylum_gate'] },
  { id: 'harbour_road', name: 'Harbour Road', exits: ['arkham_square', 'innsmouth_pier'] },
  { id: 'innsmouth_pier', name: 'Innsmouth Pier', exits: ['harbour_road', 'devil_reef'] },
  { id: 'devil_reef', name: 'Devil Reef', exits: ['innsmouth_pier'] },
  { id: 'asylum_gate', name: 'Asylum Gate', exits: ['arkham_square', 'asylum_ward'] },
  { id: 'asylum_ward', name: 'Asylum Ward', exits: ['asylum_gate'] },
];

export const kPeople = [
  'Abigail Marsh',
  'Randolph Carter',
  'Ward Phillips',
  'Lavinia Bishop',
  'Asenath Waite',
  'Herbert Crane',
  'Keziah Mason',
  'Thurston Gray',
  'Nahum Gardner',
  'Zadok Allen',
  'Walter Gilman',
  'Edith Pickman',
];

export const kCreatures = [
  { name: 'a deep one hybrid', hitPoints: 34 },
  { name: 'a nightgaunt', hitPoints: 42 },
  { name: 'a ghoul', hitPoints: 28 },
  { name: 'a byakhee', hitPoints: 50 },
  { name: 'a rat-thing', hitPoints: 12 },
  { name: 'a star-spawn cultist', hitPoints: 38 },
];

export const kWeapons = ['silver dagger', 'boat hook', 'elder sign', 'service revolver', 'lantern', 'iron poker'];
export const kEffects = ['bleeding', 'terror', 'blessed', 'drowsy', 'poisoned', 'inspired', 'hidden'];

export const kSayings = [
  'Did you hear it too? Three knocks, then nothing.',
  'Do not read the last page aloud. I mean it.',
  'The tide is wrong tonight. It came in twice.',
  'Who left this door open? It was bricked up yesterday.',
  'I have two lamps and oil for an hour. Who comes along?',
  'That is not a statue. Statues do not breathe.',
  'Meet me at the square before the bell, and bring rope.',
  'My map ends here. The corridor does not.',
];

export const kOmens = [
  'A cold draught moves through the room, and every candle leans the same way.',
  'Somewhere below, stone grinds against stone and stops.',
  'The fog presses against the windows as if it had weight.',
  'A smell of salt and old paper; the floor is wet, and was not before.',
  'A bell rings once. There is no bell tower in this part of the town.',
];

export const kQuests = [
  { id: 'the_missing_page', name: 'The Missing Page', steps: 5 },
  { id: 'lights_on_the_reef', name: 'Lights on the Reef', steps: 4 },
  { id: 'the_ninth_patient', name: 'The Ninth Patient', steps: 6 },
];
