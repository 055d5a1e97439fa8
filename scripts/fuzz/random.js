/** Random choices that a seed decides: the same words give the same choices, whatever was chosen before elsewhere. */

export class Random {
  #state;

  /** @param {...(string | number)} words what the choices are for */
  constructor(...words) {
    // FNV-1a over the words, as the state of a small generator (mulberry32).
    let hash = 0x811c9dc5;
    for (const unit of words.join('/')) hash = Math.imul(hash ^ (unit.codePointAt(0) ?? 0), 0x01000193);
    this.#state = hash >>> 0;
  }

  /** An integer of 0 to `limit - 1`. @param {number} limit */
  below(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** @param {number} percent */
  chance(percent) {
    return this.below(100) < percent;
  }

  /** @template Value @param {readonly Value[]} list @returns {Value} */
  pick(list) {
    return /** @type {Value} */ (list[this.below(list.length)]);
  }

  /** From one to `limit`, small numbers more often. @param {number} limit */
  few(limit) {
    return 1 + this.below(1 + this.below(limit));
  }
}
