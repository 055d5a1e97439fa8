/**
 * Conditions that count or throw dice: `probability`, `nth` and `times`, in this order.
 *
 * They are ours, not QEMU's, and come last: only where everything else about a rule holds they are asked whether it may
 * act this time. What one refuses, those behind it do not see: `probability=0.5 nth=3` acts at the third time that the
 * dice said yes.
 */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Condition } from './condition.ts';

/** Is asked last, where all else holds. */
export interface CountingCondition extends Condition {
  /** Counts this time, and tells whether the rule may act. */
  admits(): boolean;
  /** It will never admit again. */
  readonly isExhausted: boolean;
  /** Starts anew, for the rule of this number. */
  restart(ruleNumber: number): void;
}

/** Names of the attributes that `parseCounting` takes. */
export const countingNames = ['probability', 'seed', 'nth', 'times'] as const;

/** The conditions that are given, in the order in which they are asked. EINVAL for a value that makes no sense. */
export function parseCounting(settings: ReadonlyMap<string, string>): CountingCondition[] {
  const probability = settings.get('probability');
  const seed = settings.get('seed');
  const nth = settings.get('nth');
  const times = settings.get('times');
  const conditions: CountingCondition[] = [];
  if (probability !== undefined) conditions.push(ProbabilityCondition.parse(probability, seed));
  else if (seed !== undefined) throw new BlockError(Errno.EINVAL, "'seed' goes with 'probability'");
  if (nth !== undefined) conditions.push(new NthCondition(parseCount('nth', nth)));
  if (times !== undefined) conditions.push(new TimesCondition(parseCount('times', times)));
  return conditions;
}

function parseCount(name: string, text: string): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count === 0 || !Number.isSafeInteger(count)) {
    throw new BlockError(Errno.EINVAL, `'${name}' expects a number from 1 on, not '${text}'`);
  }
  return count;
}

/** Only every so often, by dice that fall the same way in every run. */
class ProbabilityCondition implements CountingCondition {
  readonly name = 'probability';
  readonly isExhausted = false;
  readonly #probability: number;
  readonly #text: string;
  /** Null: the rule's number. */
  readonly #seed: number | null;
  #dice = 0;

  private constructor(text: string, seed: number | null) {
    this.#text = text;
    this.#probability = Number(text);
    this.#seed = seed;
  }

  /** EINVAL unless the probability is a decimal number from 0 to 1 and the seed, if there is one, has 32 bits. */
  static parse(text: string, seed: string | undefined): ProbabilityCondition {
    if (!/^(?:[0-9]+\.?|[0-9]*\.[0-9]+)$/.test(text) || Number(text) > 1) {
      throw new BlockError(Errno.EINVAL, `'probability' expects a number from 0 to 1, not '${text}'`);
    }
    if (seed !== undefined && !(/^[0-9]{1,10}$/.test(seed) && Number(seed) <= 0xffff_ffff)) {
      throw new BlockError(Errno.EINVAL, `'seed' expects a number below 2^32, not '${seed}'`);
    }
    return new ProbabilityCondition(text, seed === undefined ? null : Number(seed));
  }

  restart(ruleNumber: number): void {
    this.#dice = this.#seed ?? ruleNumber;
  }

  /** Counts on in steps of the golden ratio and mixes the bits well, so that near seeds fall differently from the start. */
  admits(): boolean {
    this.#dice = (this.#dice + 0x9e37_79b9) | 0;
    let bits = this.#dice;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
    bits ^= bits >>> 16;
    return (bits >>> 0) / 2 ** 32 < this.#probability;
  }

  toString(): string {
    return `probability=${this.#text}${this.#seed === null ? '' : ` seed=${this.#seed}`}`;
  }

  unmet(): string {
    return `the dice said no (probability ${this.#text})`;
  }
}

/** Only the Nth time. */
class NthCondition implements CountingCondition {
  readonly name = 'nth';
  readonly #wanted: number;
  #count = 0;

  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  get isExhausted(): boolean {
    return this.#count >= this.#wanted;
  }

  restart(): void {
    this.#count = 0;
  }

  admits(): boolean {
    this.#count += 1;
    return this.#count === this.#wanted;
  }

  toString(): string {
    return `nth=${this.#wanted}`;
  }

  unmet(): string {
    return `match ${this.#count}, acts at match ${this.#wanted}`;
  }
}

/** At most so many times. */
class TimesCondition implements CountingCondition {
  readonly name = 'times';
  readonly #limit: number;
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isExhausted(): boolean {
    return this.#count >= this.#limit;
  }

  restart(): void {
    this.#count = 0;
  }

  admits(): boolean {
    this.#count += 1;
    return this.#count <= this.#limit;
  }

  toString(): string {
    return `times=${this.#limit}`;
  }

  unmet(): string {
    return `has acted as often as it may (${this.#limit})`;
  }
}
