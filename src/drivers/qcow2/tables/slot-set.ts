/** A set of the slots of a cache. */

/** A set of numbers from 0 on, below a bound: one bit each. */
export class SlotSet {
  /** The number of members. Only changed in here. */
  size = 0;
  readonly #words: Uint32Array;

  constructor(slotCount: number) {
    this.#words = new Uint32Array(Math.ceil(slotCount / 32));
  }

  has(slot: number): boolean {
    return ((this.#words[slot >>> 5] ?? 0) & (1 << (slot & 31))) !== 0;
  }

  add(slot: number): void {
    if (this.has(slot)) return;
    this.#words[slot >>> 5] = (this.#words[slot >>> 5] ?? 0) | (1 << (slot & 31));
    this.size += 1;
  }

  delete(slot: number): void {
    if (!this.has(slot)) return;
    this.#words[slot >>> 5] = (this.#words[slot >>> 5] ?? 0) & ~(1 << (slot & 31));
    this.size -= 1;
  }

  /** The smallest member from `first` on; -1 if there is none. */
  next(first: number): number {
    let mask = -1 << (first & 31);
    for (let word = first >>> 5; word < this.#words.length; word++) {
      const bits = (this.#words[word] ?? 0) & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      mask = -1;
    }
    return -1;
  }
}
