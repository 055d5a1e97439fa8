/**
 * Conditions that count or draw at random: `probability`, `nth`, `when` and `times`, evaluated in this order.
 *
 * They are ours, not QEMU's, and come last: only where everything else about a rule holds they decide whether it may
 * act this time. What one refuses, those after it do not count: `probability=0.5 nth=3` acts at the third successful
 * draw.
 */
import { invalidArgument } from '../../../block/error.ts';
import type { Condition } from './condition.ts';
import { Draws } from './numbers.ts';

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

/** Which times a rule acts, with the text that says it: from `first` to `last`, each `step`th. */
export interface When {
  readonly first: number;
  /** Infinity: for ever. */
  readonly last: number;
  readonly step: number;
  readonly text: string;
}

/**
 * `FIRST[..LAST][+[STEP]]` as strace has it: "3" the third time, "3..5" three times, "3+" from the third on, "3+2" each
 * second time from the third on. EINVAL for anything else.
 */
export function parseWhen(text: string): When {
  const [, first = '', last, plus, step] =
    /^([0-9]{1,15})(?:\.\.([0-9]{1,15}))?(?:(\+)([0-9]{1,15})?)?$/.exec(text) ?? [];
  const open = plus === undefined ? Number(first) : Number.POSITIVE_INFINITY;
  const when = { first: Number(first), last: last === undefined ? open : Number(last), step: Number(step ?? 1), text };
  if (when.first < 1 || when.last < when.first || when.step < 1) {
    throw invalidArgument(`'when' expects FIRST[..LAST][+STEP], numbers from 1 on, not '${text}'`);
  }
  return when;
}

/** The settings of counting conditions; undefined where one is not given. */
export interface CountingSettings {
  readonly probability?: Probability | undefined;
  /** Where the random numbers start, below 2^32; without it the rule's number. */
  readonly seed?: number | undefined;
  readonly nth?: number | undefined;
  readonly when?: When | undefined;
  readonly times?: number | undefined;
}

/** The conditions that are given, in the order in which they are evaluated. */
export function countingConditions({ probability, seed, nth, when, times }: CountingSettings): CountingCondition[] {
  const conditions: CountingCondition[] = [];
  if (probability !== undefined) conditions.push(new ProbabilityCondition(probability, seed ?? null));
  if (nth !== undefined) conditions.push(new NthCondition(nth));
  if (when !== undefined) conditions.push(new WhenCondition(when));
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
  readonly #draws = new Draws();

  constructor(probability: Probability, seed: number | null) {
    this.#probability = probability;
    this.#seed = seed;
  }

  restart(ruleNumber: number): void {
    this.#draws.restart(this.#seed ?? ruleNumber);
  }

  admits(): boolean {
    return this.#draws.next() / 2 ** 32 < this.#probability.value;
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

/** Only the times that `when` says. */
class WhenCondition implements CountingCondition {
  readonly name = 'when';
  readonly #when: When;
  #count = 0;

  constructor(when: When) {
    this.#when = when;
  }

  /** There is no further time up to the last. */
  get isExhausted(): boolean {
    const { first, last, step } = this.#when;
    return last !== Number.POSITIVE_INFINITY && this.#count >= last - ((last - first) % step);
  }

  restart(): void {
    this.#count = 0;
  }

  admits(): boolean {
    const { first, last, step } = this.#when;
    this.#count += 1;
    return this.#count >= first && this.#count <= last && (this.#count - first) % step === 0;
  }

  unmet(): string {
    return `match ${this.#count}, acts at when=${this.#when.text}`;
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
