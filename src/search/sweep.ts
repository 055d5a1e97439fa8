/**
 * The strategy `sweep`: fails each event and each request to a file that the scenario makes, once and from then on.
 *
 * The scenario runs once without errors; each event and request that it makes then is a point, numbered among those of
 * its kind. Up to its point a case is that run, so that no point is missed.
 */
import type { Baseline } from './aftermath.ts';
import type { CaseViewer } from './case.ts';
import { type ErrnoName, errnoNames, type Injection, Injector, isSame, type Passed, type Point } from './injector.ts';
import { judge, type Judged } from './judge.ts';
import { rulesFor } from './finds/rules-for.ts';
import type { FindScript, Json, Outcome, Rerun, SearchOptions, Strategy, Units } from './strategy.ts';
import type { World } from './world.ts';

/** The cases of one scenario. */
class Sweep implements Units {
  readonly #world: World;
  readonly #baseline: Baseline;
  readonly #pairs: boolean;
  readonly #casesMax: number;
  readonly #points: readonly Passed[];

  constructor(world: World, baseline: Baseline, pairs: boolean, casesMax: number, points: readonly Passed[]) {
    this.#world = world;
    this.#baseline = baseline;
    this.#pairs = pairs;
    this.#casesMax = casesMax;
    this.#points = points;
  }

  /** The first unit is the scenario as it is. */
  get count(): number {
    return 1 + this.#points.length * errnoNames.length * 2;
  }

  async run(unit: number, isStopped: () => boolean): Promise<readonly Outcome[]> {
    const injection = this.#injectionOf(unit);
    const { outcome, injector } = await this.#try(injection === null ? [] : [injection]);
    if (injection === null || !this.#pairs || injector.firstAt < 0) return [outcome];
    const outcomes = [outcome];
    const { command } = injector.passed[injector.firstAt] as Passed;
    for (const { point, command: later } of injector.passed.slice(injector.firstAt + 1)) {
      if (later !== command || outcomes.length > this.#casesMax || isStopped()) break;
      outcomes.push((await this.#try([injection, { ...injection, point }])).outcome);
    }
    return outcomes;
  }

  async again(recipe: Json, viewer?: CaseViewer): Promise<Rerun> {
    const { outcome, judged } = await this.#try(injectionsOf(recipe), viewer);
    return { outcome, judged };
  }

  /** The points of the kind of the first, those with nearest numbers first. A second one has no meaning elsewhere. */
  similar(recipe: Json): readonly Json[] {
    const [injection, ...more] = injectionsOf(recipe);
    if (injection === undefined || more.length > 0) return [recipe];
    const { nth } = injection.point;
    const points = this.#points.map(({ point }) => point).filter((point) => isSame({ ...point, nth }, injection.point));
    points.sort((one, other) => Math.abs(one.nth - nth) - Math.abs(other.nth - nth));
    return points.map((point) => recipeOf([{ ...injection, point }]));
  }

  async script(recipe: Json): Promise<FindScript | null> {
    const injections = injectionsOf(recipe);
    const { injector } = await this.#try(injections);
    const rules = rulesFor(
      injections,
      injector.passed.map(({ point }) => point),
    );
    return rules === null ? null : { lines: this.#world.scenario.lines, rules };
  }

  #injectionOf(unit: number): Injection | null {
    if (unit === 0) return null;
    const way = (unit - 1) % (errnoNames.length * 2);
    const passed = this.#points[(unit - 1 - way) / (errnoNames.length * 2)] as Passed;
    return { point: passed.point, errno: errnoNames[way >> 1] as ErrnoName, once: way % 2 === 0 };
  }

  async #try(injections: readonly Injection[], viewer?: CaseViewer): Promise<Rerun & { injector: Injector }> {
    const { judged, injector } = await this.#judge(injections, viewer);
    const { verdict } = judged;
    const { lines } = this.#world.scenario;
    const { command } = injector.passed[injector.firstAt] ?? { command: 0 };
    const line = lines[command - 1];
    const outcome = {
      recipe: recipeOf(injections),
      title: injections.length === 0 ? 'the scenario as it is' : titleOf(injections, command, line),
      verdict: verdict.name,
      detail: verdict.detail,
      signature: verdict.name === 'sound' ? '' : signatureOf(verdict.mark, injections, line),
      hazard: judged.finished.hazards[0] ?? '',
    };
    return { outcome, judged, injector };
  }

  async #judge(injections: readonly Injection[], viewer?: CaseViewer): Promise<{ judged: Judged; injector: Injector }> {
    let injector: Injector | null = null;
    const judged = await judge(this.#world, this.#baseline, (running) => {
      injector = new Injector(injections, running);
      return { ...injector.hooks, viewer };
    });
    return { judged, injector: injector as unknown as Injector };
  }
}

function recipeOf(injections: readonly Injection[]): Json {
  return injections as unknown as Json;
}

function injectionsOf(recipe: Json): readonly Injection[] {
  return recipe as unknown as readonly Injection[];
}

function titleOf(injections: readonly Injection[], command: number, line: string | undefined): string {
  const where = line === undefined ? 'open or close' : `line ${command}: ${line}`;
  const errors = injections.map(({ point, errno, once }) => `${errno} ${once ? 'once' : 'always'} at ${nameOf(point)}`);
  return `${errors.join(', then ')} (${where})`;
}

function nameOf(point: Point): string {
  if (point.kind === 'request') return `${point.request} ${point.nth} of file ${point.disk}`;
  return `${point.event} ${point.nth}${point.node === 0 ? '' : ` of node ${point.node}`}`;
}

function signatureOf(mark: string, injections: readonly Injection[], line: string | undefined): string {
  const places = injections.map(({ point }) => (point.kind === 'event' ? point.event : `${point.request} of a file`));
  const command = line === undefined ? 'open or close' : (/^\s*(\S+)/.exec(line)?.[1] ?? '');
  return [mark, ...places, command].join('; ');
}

/** The search. */
export const sweep: Strategy = {
  name: 'sweep',
  description: 'fail every event and every request to a file that a script makes, and judge what comes of it',
  options: [['--pairs', 'fail a second one in what the first failure led to, until the next line of the script']],
  async prepare(world: World, baseline: Baseline, { own, casesMax }: SearchOptions): Promise<Units> {
    let injector: Injector | null = null;
    await judge(world, baseline, (running) => {
      injector = new Injector([], running);
      return injector.hooks;
    });
    return new Sweep(world, baseline, own.has('pairs'), casesMax, (injector as unknown as Injector).passed);
  },
};
