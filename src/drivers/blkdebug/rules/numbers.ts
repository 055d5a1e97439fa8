/** Numbers of rules: counts as words, and random draws that are the same in every run. */
import { invalidArgument } from '../../../block/error.ts';

/** One sequence of draws. */
export class Draws {
  #random = 0;

  /** Begins the sequence of a seed below 2^32. */
  restart(seed: number): void {
    this.#random = seed;
  }

  /**
   * The next number, 0 to 2^32-1. Counts on in steps of the golden ratio and mixes the bits well, so that near seeds
   * differ from the start.
   */
  next(): number {
    this.#random = (this.#random + 0x9e37_79b9) | 0;
    let bits = this.#random;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
    bits ^= bits >>> 16;
    return bits >>> 0;
  }
}

/** A count as a word, `1` to `max`; `name` is the setting's. EINVAL for anything else. */
export function parseCount(name: string, text: string, max = Number.MAX_SAFE_INTEGER): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count === 0 || !Number.isSafeInteger(count)) {
    throw invalidArgument(`'${name}' expects a number from 1 on, not '${text}'`);
  }
  if (count > max) throw invalidArgument(`'${name}' expects a number from 1 to ${max}, not '${text}'`);
  return count;
}
