/** Random choices that a seed repeats. */

/** @typedef {ReturnType<typeof makeRandom>} Random */

/** @param {number} seed */
export function makeRandom(seed) {
  // mulberry32
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  /** From 0 up to, but not, 1. */
  function fraction() {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
  /** A whole number, both ends included. @param {number} least @param {number} most */
  const between = (least, most) => least + Math.floor(fraction() * (most - least + 1));
  /** @template T @param {readonly [T, ...T[]]} items @returns {T} */
  const pick = (items) => items[between(0, items.length - 1)] ?? items[0];
  /** @param {number} probability */
  const chance = (probability) => fraction() < probability;
  return { fraction, between, pick, chance };
}
