/**
 * The strategy `explore`: runs the requests that a scenario has under way at the same time in every order that can make
 * a difference.
 *
 * A unit is a beginning of orders, and a walk through those that begin so, without those that would only repeat orders
 * of a unit before it.
 */
import type { Baseline } from '../aftermath.ts';
import type { CaseViewer } from '../case.ts';
import {
  type FindScript,
  type Json,
  numberOption,
  type Outcome,
  type Rerun,
  type SearchOptions,
  type Strategy,
  type Units,
} from '../strategy.ts';
import type { World } from '../world.ts';
import { type Chooser, type JudgedOrder, runOrder, tryOrder } from './explorer.ts';
import type { Footprint } from './footprint.ts';
import { asyncForm, canBeHeld, scriptOf } from './order-script.ts';
import { describeOrder, lineOf, linesOf } from './order-words.ts';
import { OrderWalk, type WalkOptions } from './orders.ts';
import type { Step } from './step-recorder.ts';
import { priorityWalk, uniformWalk } from './walks.ts';

/** A scenario with so many runs at most is one unit: to divide it would take longer than to run it. */
const UNDIVIDED_MAX = 32;
/** Beginnings of orders are made longer until there are so many. */
const UNITS_LEAST = 16;
/** Orders that are tried one by one before the rest is left to chance. */
const ORDERS_MAX = 100_000;
const WALKS = 1000;
/** Steps at which a random order by priorities turns, as a fault of three orderings needs it. */
const PRIORITY_CHANGES = 2;
/** For an order that a command file can say: so many are tried, and so often a request is left in one. */
const SCRIPT_ORDERS_MAX = 3000;
const SCRIPT_PREEMPTIONS_MAX = 4;
/** Behind one that can be said, for one that is shorter. */
const SHORTER_ORDERS_MAX = 200;

/** The bounds of a search of orders. */
interface Bounds {
  readonly isNaive: boolean;
  readonly preemptionsMax: number | null;
  /** For all units together. */
  readonly ordersMax: number;
  readonly walks: number;
  readonly seed: number;
  /** See `SearchOptions`. */
  readonly casesMax: number;
}

/** A place among requests that does not depend on when they stopped. */
function sorted(enabled: readonly string[]): string[] {
  return enabled.toSorted((one, other) => lineOf(one) - lineOf(other) || (one < other ? -1 : 1));
}

/** Takes the choices of a recipe, and where they end the request that ran last. */
function recorded(choices: readonly number[]): Chooser {
  let next = 0;
  return {
    choose(enabled, _stops, steps) {
      const first = enabled[0] as string;
      if (enabled.length === 1) return first;
      const wanted = sorted(enabled)[choices[next++] ?? -1] ?? steps.at(-1)?.chosen ?? first;
      return enabled.includes(wanted) ? wanted : first;
    },
  };
}

/** The choices of an order, where there was one: each a place among the requests that could go on. */
function recipeOf(steps: readonly Step[]): number[] {
  return steps.flatMap(({ enabled, chosen }) => (enabled.length > 1 ? [sorted(enabled).indexOf(chosen)] : []));
}

function choicesOf(recipe: Json): number[] {
  return Array.isArray(recipe) ? recipe.map(Number) : [];
}

/** The orders of one scenario. */
class Orders implements Units {
  readonly #world: World;
  readonly #baseline: Baseline;
  readonly #bounds: Bounds;
  #prefixes: readonly (readonly string[])[] = [[]];
  /** The last step of each beginning that was run for what it touches. */
  readonly #footprints = new Map<string, Footprint>();
  /** All cases, where one unit has them. */
  #all: readonly Outcome[] | null = null;

  private constructor(world: World, baseline: Baseline, bounds: Bounds) {
    this.#world = world;
    this.#baseline = baseline;
    this.#bounds = bounds;
  }

  static async prepare(world: World, baseline: Baseline, bounds: Bounds): Promise<Orders> {
    const orders = new Orders(world, baseline, bounds);
    orders.#all = await orders.#tryFew();
    if (orders.#all === null) orders.#prefixes = await findPrefixes(world, baseline, { ...bounds, prefix: [] });
    return orders;
  }

  get count(): number {
    return this.#prefixes.length;
  }

  /** Every order; null if there are many. */
  async #tryFew(): Promise<readonly Outcome[] | null> {
    const walk = new OrderWalk({ ...this.#bounds, prefix: [] });
    const outcomes: Outcome[] = [];
    for (let runs = 0; walk.begin(); runs++) {
      if (runs === Math.min(UNDIVIDED_MAX, this.#bounds.ordersMax)) return null;
      const { judged, steps } = await tryOrder(this.#world, this.#baseline, walk);
      walk.end(steps);
      if (judged !== null) outcomes.push(this.#outcomeOf({ judged, steps }));
    }
    return outcomes;
  }

  async run(unit: number, isStopped: () => boolean): Promise<readonly Outcome[]> {
    if (this.#all !== null) return this.#all;
    const { isNaive, preemptionsMax, ordersMax, casesMax } = this.#bounds;
    const prefix = this.#prefixes[unit] ?? [];
    const outcomes: Outcome[] = [];
    const isWhole = isNaive || preemptionsMax !== null;
    const elsewhere = isWhole ? [] : await this.#triedBefore(prefix);
    const walk = new OrderWalk({ isNaive, preemptionsMax, prefix, elsewhere });
    const budget = Math.ceil(ordersMax / this.count);
    let longest = 0;
    for (let runs = 0; walk.begin(); runs++) {
      if (runs === budget) {
        await this.#wander(unit, prefix, longest, outcomes, isStopped);
        break;
      }
      const { judged, steps } = await tryOrder(this.#world, this.#baseline, walk);
      walk.end(steps);
      longest = Math.max(longest, steps.length);
      if (judged !== null) outcomes.push(this.#outcomeOf({ judged, steps }));
      if (outcomes.length > casesMax || isStopped()) break;
    }
    // Each unit has a case, or it would look as if it had not been run.
    return outcomes.length === 0 ? [this.#outcomeOf(await this.#first(prefix))] : outcomes;
  }

  /**
   * At each place of a beginning, the choices whose orders belong to units that count as earlier ones: orders that only
   * repeat some of those are left out of this unit.
   */
  async #triedBefore(prefix: readonly string[]): Promise<ReadonlyMap<string, Footprint>[]> {
    const tried: ReadonlyMap<string, Footprint>[] = [];
    for (const [depth, own] of prefix.entries()) {
      const before = prefix.slice(0, depth);
      const beside = this.#prefixes.filter((other) => before.every((name, at) => other[at] === name));
      const names = sorted([...new Set(beside.flatMap((other) => other[depth] ?? []))]);
      const earlier = new Map<string, Footprint>();
      for (const name of names.slice(0, names.indexOf(own)))
        earlier.set(name, await this.#footprintOf([...before, name]));
      tried.push(earlier);
    }
    return tried;
  }

  async #footprintOf(beginning: readonly string[]): Promise<Footprint> {
    const key = beginning.join(' ');
    const known = this.#footprints.get(key);
    if (known !== undefined) return known;
    const { steps } = await this.#first(beginning);
    const { footprint } = steps[beginning.length - 1] as Step;
    this.#footprints.set(key, footprint);
    return footprint;
  }

  /** The order that begins so and then leaves no request that can go on. */
  #first(beginning: readonly string[]): Promise<JudgedOrder> {
    const walk = new OrderWalk({ isNaive: true, preemptionsMax: null, prefix: beginning });
    walk.begin();
    return runOrder(this.#world, this.#baseline, walk);
  }

  /** Orders by chance, one half each by priorities and by single choices. */
  async #wander(
    unit: number,
    prefix: readonly string[],
    longest: number,
    outcomes: Outcome[],
    isStopped: () => boolean,
  ): Promise<void> {
    const count = Math.ceil(this.#bounds.walks / this.count);
    for (let index = 0; index < count && outcomes.length <= this.#bounds.casesMax && !isStopped(); index++) {
      const seed = Math.imul(this.#bounds.seed + unit * count + index, 0x9e3779b1);
      const chooser =
        index % 2 === 0 ? priorityWalk(seed, prefix, longest, PRIORITY_CHANGES) : uniformWalk(seed, prefix);
      outcomes.push(this.#outcomeOf(await runOrder(this.#world, this.#baseline, chooser)));
    }
  }

  async again(recipe: Json, viewer?: CaseViewer): Promise<Rerun> {
    const order = await runOrder(this.#world, this.#baseline, recorded(choicesOf(recipe)), viewer);
    return { outcome: this.#outcomeOf(order), judged: order.judged };
  }

  similar(recipe: Json): readonly Json[] {
    return [recipe];
  }

  /** The order itself may stop where no breakpoint can hold a request: one that shows the same is looked for. */
  async script(recipe: Json): Promise<FindScript | null> {
    const { lines } = this.#world.scenario;
    const { outcome } = await this.again(recipe);
    let left = SCRIPT_ORDERS_MAX;
    let best: readonly string[] | null = null;
    for (let preemptionsMax = 0; best === null && preemptionsMax <= SCRIPT_PREEMPTIONS_MAX; preemptionsMax++) {
      const walk = new OrderWalk({ isNaive: true, preemptionsMax, prefix: [] });
      const chooser = holding(walk, lines);
      while (left > 0 && walk.begin()) {
        left -= 1;
        const order = await runOrder(this.#world, this.#baseline, chooser);
        walk.end(order.steps);
        if (this.#outcomeOf(order).signature !== outcome.signature) continue;
        const script = scriptOf(order.steps, lines);
        if (script === null || (best !== null && script.length >= best.length)) continue;
        best = script;
        left = Math.min(left, SHORTER_ORDERS_MAX);
      }
    }
    return best === null ? null : { lines: best, rules: '' };
  }

  #outcomeOf({ judged: { verdict, finished }, steps }: JudgedOrder): Outcome {
    const { lines } = this.#world.scenario;
    const words = linesOf(steps).map((line) => /^\s*(\S+)/.exec(lines[line - 1] ?? '')?.[1] ?? '');
    return {
      recipe: recipeOf(steps),
      title: describeOrder(steps, lines),
      verdict: verdict.name,
      detail: verdict.detail,
      signature: verdict.name === 'sound' ? '' : [verdict.mark, ...words].join('; '),
      hazard: finished.hazards[0] ?? '',
    };
  }
}

/** A walk that leaves a request only where a breakpoint can hold it. */
function holding(walk: OrderWalk, lines: readonly string[]): Chooser {
  return {
    choose(enabled, stops, steps) {
      const current = steps.at(-1)?.chosen ?? '';
      const stop = stops[enabled.indexOf(current)];
      const isHeld = stop === undefined || (canBeHeld(stop) && asyncForm(lines[lineOf(current) - 1] ?? '') !== null);
      return walk.choose(isHeld ? enabled : [current], stops, steps);
    },
  };
}

/** Beginnings of orders that together begin every order, the same ones on every machine. */
async function findPrefixes(world: World, baseline: Baseline, walking: WalkOptions): Promise<string[][]> {
  let prefixes: string[][] = [[]];
  const whole: string[][] = [];
  while (prefixes.length > 0 && prefixes.length + whole.length < UNITS_LEAST) {
    const longer: string[][] = [];
    for (const prefix of prefixes) {
      const walk = new OrderWalk({ ...walking, prefix });
      walk.begin();
      const { steps } = await runOrder(world, baseline, walk);
      const depth = steps.findIndex(({ enabled }, at) => at >= prefix.length && enabled.length > 1);
      const choice = steps[depth];
      if (choice === undefined) {
        whole.push(prefix);
        continue;
      }
      const before = steps.slice(0, depth).map(({ chosen }) => chosen);
      for (const name of choice.enabled) longer.push([...before, name]);
    }
    prefixes = longer;
  }
  return [...whole, ...prefixes];
}

/** The search. */
export const explore: Strategy = {
  name: 'explore',
  description: 'run the requests that a script has under way together in every order that makes a difference',
  options: [
    ['--naive', 'every order, also those that cannot make a difference'],
    ['--preemptions <N>', 'only orders in which a request is left, though it could go on, at most N times'],
    ['--orders <N>', `orders to try one by one; ${ORDERS_MAX} by default`],
    ['--walks <N>', `if there are more, orders to draw by chance from the rest; ${WALKS} by default`],
  ],
  async prepare(world: World, baseline: Baseline, { own, seed, casesMax }: SearchOptions): Promise<Units> {
    const bounds = {
      isNaive: own.has('naive'),
      preemptionsMax: own.has('preemptions') ? numberOption(own, 'preemptions', 0) : null,
      ordersMax: numberOption(own, 'orders', ORDERS_MAX),
      walks: numberOption(own, 'walks', WALKS),
      seed,
      casesMax,
    };
    return Orders.prepare(world, baseline, bounds);
  },
};
