/**
 * Conditions that count or draw at random: `probability`, `nth` and `times`, evaluated in this order.
 *
 * They are ours, not QEMU's, and come last: only where everything else about a rule holds they decide whether it may
 * act this time. What one refuses, those after it do not count: `probability=0.5 nth=3` acts at the third successful
 * draw.
 */
import type { Condition } from './condition.ts';

/** Is evaluated last, where all else holds. */
export interface CountingCondition extends Condition {
  /** Counts this time; whether the rule may act. */
  admits(): boolean;
  /** It will never admit again. */
  readonly isExhausted: boolean;
  /** Starts anew, for the rule of this number. */
  restart(ruleNumber: number): void;
}

/** A probability, with the text that it was written as. */
export interface Probability {
  /** 0 to 1. */
  readonly value: number;
  readonly text: string;
}

/** The settings of counting conditions; undefined where one is not given. */
export interface CountingSettings {
  readonly probability?: Probability | undefined;
  /** Where the random numbers start, below 2^32; without it the rule's number. */
  readonly seed?: number | undefined;
  readonly nth?: number | undefined;
  readonly times?: number | undefined;
}

/** The conditions that are given, in the order in which they are evaluated. */
export function countingConditions({ probability, seed, nth, times }: CountingSettings): CountingCondition[] {
  const conditions: CountingCondition[] = [];
  if (probability !== undefined) conditions.push(new ProbabilityCondition(probability, seed ?? null));
  if (nth !== undefined) conditions.push(new NthCondition(nth));
  if (times !== undefined) conditions.push(new TimesCondition(times));
  return conditions;
}

/** Now and then, by random numbers that are the same in every run. */
class ProbabilityCondition implements CountingCondition {
  readonly name = 'probability';
  readonly isExhausted = false;
  readonly #probability: Probability;
  /** Null: the rule's number. */
  readonly #seed: number | null;
  #random = 0;

  constructor(probability: Probability, seed: number | null) {
    this.#probability = probability;
    this.#seed = seed;
  }

  restart(ruleNumber: number): void {
    this.#random = this.#seed ?? ruleNumber;
  }

  /** Counts on in steps of the golden ratio and mixes the bits well, so that near seeds differ from the start. */
  admits(): boolean {
    this.#random = (this.#random + 0x9e37_79b9) | 0;
    let bits = this.#random;
    bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
    bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
    bits ^= bits >>> 16;
    return (bits >>> 0) / 2 ** 32 < this.#probability.value;
  }

  unmet(): string {
    return `random draw failed (probability=${this.#probability.text})`;
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

  unmet(): string {
    return `has acted ${this.#limit} times already`;
  }
}
