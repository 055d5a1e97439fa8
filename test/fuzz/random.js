/** Random choices that are the same for the same seed. */

/** 32 bits of a text (FNV-1a). @param {string} text */
function hash(text) {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return value >>> 0;
}

/** The generator sfc32. */
export class Random {
  #a;
  #b;
  #c;
  #counter = 1;

  /** @param {string} seed */
  constructor(seed) {
    this.#a = hash(seed);
    this.#b = hash(`${seed}/`);
    this.#c = 0;
    for (let round = 0; round < 12; round++) this.#next();
  }

  #next() {
    const result = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** 0 to `limit` - 1. @param {number} limit */
  below(limit) {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** Both ends included. @param {number} low @param {number} high */
  between(low, high) {
    return low + this.below(high - low + 1);
  }

  /** @param {number} percent */
  chance(percent) {
    return this.below(100) < percent;
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return /** @type {T} */ (list[this.below(list.length)]);
  }

  /** 64 random bits. */
  bits64() {
    return (BigInt(this.#next()) << 32n) | BigInt(this.#next());
  }

  /** @param {number} count */
  bytes(count) {
    return Buffer.from(Array.from({ length: count }, () => this.below(256)));
  }
}
