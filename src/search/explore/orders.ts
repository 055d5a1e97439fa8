/**
 * The orders of the steps of a scenario, each tried once: a walk through the tree of choices, depth first.
 *
 * Most orders differ only in steps that do not touch the same things, and end alike. Dynamic partial-order reduction
 * tries one of each such class (Abdulla, Aronis, Jonsson, Sagonas: "Optimal dynamic partial order reduction", POPL
 * 2014, its source sets): after a run, where two steps of different requests met in what they touched, the order of the
 * two is turned round in a later run, and no other choice is tried. Sleep sets leave out runs that would only repeat a
 * class that was tried already.
 */
import { assert } from '../../util/assert.ts';
import type { Stop } from '../scheduler.ts';
import type { Footprint } from './footprint.ts';
import type { Step } from './step-recorder.ts';

/** A place in the tree: a state of the scenario in which there is a choice. */
interface Place {
  readonly enabled: readonly string[];
  /** The request whose step was, or is, taken here in the run under way. */
  chosen: string;
  /** To be tried here. */
  readonly todo: Set<string>;
  /** Tried here to the end, each with what its step touched. */
  readonly done: Map<string, Footprint>;
  /** Of no use here: what would come of their step was tried at a place before this one. */
  readonly sleep: ReadonlyMap<string, Footprint>;
  /** Of the step of `chosen` in the last run. */
  footprint: Footprint | null;
  /** Changes to another request so far though the one before could go on. */
  readonly preemptions: number;
}

/** The bounds of a walk. */
export interface WalkOptions {
  /** Every order, without reduction. */
  readonly isNaive: boolean;
  /** So many times at most a request is left though it could go on; null for any number. */
  readonly preemptionsMax: number | null;
  /** Choices that all runs begin with: names of requests. */
  readonly prefix: readonly string[];
  /**
   * Choices beside those that other walks try to the end, at the places of the prefix, each with what its step touches;
   * left out: none.
   */
  readonly elsewhere?: readonly ReadonlyMap<string, Footprint>[];
}

/** A walk through all orders of one scenario. */
export class OrderWalk {
  readonly #options: WalkOptions;
  /** The run under way, or the last one. */
  readonly #path: Place[] = [];
  #depth = 0;
  #isFirst = true;
  #isRedundant = false;

  constructor(options: WalkOptions) {
    this.#options = options;
  }

  /** The run under way would only repeat an order that was tried, and is given up. */
  get isRedundant(): boolean {
    return this.#isRedundant;
  }

  /** Begins the next run; false if every order has been tried. */
  begin(): boolean {
    this.#depth = 0;
    this.#isRedundant = false;
    if (this.#isFirst) {
      this.#isFirst = false;
      return true;
    }
    for (let place = this.#path.at(-1); place !== undefined; place = this.#path.at(-1)) {
      if (place.footprint !== null) place.done.set(place.chosen, place.footprint);
      place.footprint = null;
      const next = this.#nextAt(place);
      if (next !== undefined) {
        place.chosen = next;
        return true;
      }
      this.#path.pop();
    }
    return false;
  }

  #nextAt({ enabled, todo, done, sleep }: Place): string | undefined {
    return enabled.find((name) => todo.has(name) && !done.has(name) && !sleep.has(name));
  }

  /** Chooses one of `enabled`; null if each repeats what was tried. `steps` are those of the run so far. */
  choose(enabled: readonly string[], _stops: readonly Stop[], steps: readonly Step[]): string | null {
    const depth = this.#depth;
    this.#depth += 1;
    const known = this.#path[depth];
    if (known !== undefined) {
      assert(enabled.includes(known.chosen), 'a case is a function of the choices in it');
      return known.chosen;
    }
    const place = this.#makePlace(enabled, depth, steps);
    this.#path.push(place);
    return this.#isRedundant ? null : place.chosen;
  }

  #makePlace(enabled: readonly string[], depth: number, steps: readonly Step[]): Place {
    const current = steps.at(-1)?.chosen ?? '';
    const { isNaive, prefix } = this.#options;
    const sleep = this.#sleepAt(depth, steps);
    const preemptions = this.#preemptionsAt(depth);
    const allowed = this.#isBudgetSpent(preemptions) && enabled.includes(current) ? [current] : enabled;
    const fixed = prefix[depth];
    const awake = (fixed === undefined ? allowed : [fixed]).filter((name) => !sleep.has(name));
    if (awake.length === 0) this.#isRedundant = true;
    const chosen = fixed ?? awake.find((name) => name === current) ?? awake[0] ?? allowed[0] ?? '';
    assert(enabled.includes(chosen), 'the choices that all runs begin with are possible');
    const all = fixed === undefined && (isNaive || this.#options.preemptionsMax !== null);
    return {
      enabled: fixed === undefined ? allowed : [fixed],
      chosen,
      todo: new Set(all ? allowed : []),
      done: new Map(this.#options.elsewhere?.[depth]),
      sleep,
      footprint: null,
      preemptions,
    };
  }

  #isBudgetSpent(preemptions: number): boolean {
    const { preemptionsMax } = this.#options;
    return preemptionsMax !== null && preemptions >= preemptionsMax;
  }

  #preemptionsAt(depth: number): number {
    const before = this.#path[depth - 1];
    if (before === undefined) return 0;
    const last = this.#path[depth - 2]?.chosen;
    const isPreemption = last !== undefined && last !== before.chosen && before.enabled.includes(last);
    return before.preemptions + (isPreemption ? 1 : 0);
  }

  /** Those that sleep at the place before, or were tried there, and do not meet the step that was taken there. */
  #sleepAt(depth: number, steps: readonly Step[]): ReadonlyMap<string, Footprint> {
    const before = this.#path[depth - 1];
    const step = steps[depth - 1];
    const sleep = new Map<string, Footprint>();
    if (before === undefined || step === undefined || this.#options.isNaive) return sleep;
    for (const sleeping of [before.sleep, before.done]) {
      for (const [name, footprint] of sleeping) {
        if (!step.participants.has(name) && !footprint.meets(step.footprint)) sleep.set(name, footprint);
      }
    }
    return sleep;
  }

  /** A run has ended: finds the steps whose order is to be turned round. */
  end(steps: readonly Step[]): void {
    assert(steps.length + (this.#isRedundant ? 1 : 0) === this.#path.length, 'each choice has a step');
    // Also of one that was given up: a request that waits for a lock in it might have taken the lock first.
    if (!this.#options.isNaive) this.#turnRaces(steps);
    for (const [index, place] of this.#path.entries()) place.footprint = steps[index]?.footprint ?? null;
  }

  /** For each two steps that meet with nothing in between, lets the second come first in a later run. */
  #turnRaces(steps: readonly Step[]): void {
    const before = happensBefore(steps);
    for (let late = 1; late < steps.length; late++) {
      for (const early of immediateRaces(steps, before, late)) this.#turn(steps, before, early, late);
    }
  }

  #turn(steps: readonly Step[], before: readonly Uint8Array[], early: number, late: number): void {
    const place = this.#path[early];
    if (place === undefined || place.enabled.length === 1) return;
    // The steps behind `early` that do not need it, then the late one itself: some request begins that.
    const sequence: number[] = [];
    for (let at = early + 1; at < late; at++) if (before[at]?.[early] !== 1) sequence.push(at);
    sequence.push(late);
    const initials = new Set<string>();
    for (const at of sequence) {
      if (sequence.every((other) => other >= at || before[at]?.[other] !== 1)) initials.add(steps[at]?.chosen ?? '');
    }
    const possible = place.enabled.filter((name) => initials.has(name));
    if (possible.length === 0) {
      for (const name of place.enabled) place.todo.add(name);
    } else if (!possible.some((name) => isTaken(place, name))) {
      place.todo.add(possible[0] ?? '');
    }
  }
}

/** Whether the step of a request here is, was or will be tried, or is of no use. */
function isTaken({ chosen, todo, done, sleep }: Place, name: string): boolean {
  return name === chosen || todo.has(name) || done.has(name) || sleep.has(name);
}

/** For each step, which ones come before it in every order of its class. */
function happensBefore(steps: readonly Step[]): Uint8Array[] {
  const before: Uint8Array[] = [];
  for (const [late, step] of steps.entries()) {
    const mine = new Uint8Array(late);
    for (let early = late - 1; early >= 0; early--) {
      if (mine[early] === 1) continue;
      const other = steps[early] as Step;
      if (!goesOn(other, step) && !other.footprint.meets(step.footprint)) continue;
      mine[early] = 1;
      const earlier = before[early] as Uint8Array;
      for (let at = 0; at < early; at++) if (earlier[at] === 1) mine[at] = 1;
    }
    before.push(mine);
  }
  return before;
}

/** The steps before `late` that meet it, of other requests, with no step in between that orders the two anyway. */
function immediateRaces(steps: readonly Step[], before: readonly Uint8Array[], late: number): number[] {
  const step = steps[late] as Step;
  const mine = before[late] as Uint8Array;
  const races: number[] = [];
  for (let early = late - 1; early >= 0; early--) {
    if (mine[early] !== 1 || goesOn(steps[early] as Step, step)) continue;
    let isOrdered = false;
    for (let between = early + 1; between < late && !isOrdered; between++) {
      isOrdered = mine[between] === 1 && before[between]?.[early] === 1;
    }
    if (!isOrdered) races.push(early);
  }
  return races;
}

/**
 * Whether the request of `late` ran in `early`. One that waits for a lock runs on in the step that gives the lock to
 * it; that step could have come before the wait, and then the request had not waited.
 */
function goesOn(early: Step, late: Step): boolean {
  return early.participants.has(late.chosen);
}
