// A seeded source of random numbers (xoshiro128**): the same seed gives the same numbers on every machine.
// Not for secrets.

/** @param {number} seed any integer; its low 32 bits count */
export function createRandom(seed) {
  // splitmix32 spreads the seed over the state, so that near seeds do not give near sessions.
  let mixed = seed >>> 0;
  const state = new Uint32Array(4);
  for (let index = 0; index < 4; ++index) {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let value = mixed;
    value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    state[index] = value ^ (value >>> 15);
  }

  const next = () => {
    const product = Math.imul(state[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = (state[3] << 11) | (state[3] >>> 21);
    return result;
  };

  return {
    /** An integer within [from, to]. */
    between: (from, to) => from + Math.floor((next() / 2 ** 32) * (to - from + 1)),
    /** One of a list that is not empty. */
    pick: (list) => list[Math.floor((next() / 2 ** 32) * list.length)],
    /** True in `share` of the cases. */
    chance: (share) => next() / 2 ** 32 < share,
  };
}
