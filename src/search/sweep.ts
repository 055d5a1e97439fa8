/**
 * The strategy `sweep`: fails each event and each request to a file that the scenario makes, once and from then on.
 *
 * The scenario runs once without errors; each event and request that it makes then is a point, numbered among those of
 * its kind. Up to its point a case is that run, so that no point is missed.
 */
import { portOf } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import { type DebugEvent, eventName } from '../block/events/events.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { Errno } from '../util/errno.ts';
import type { Baseline } from './aftermath.ts';
import type { Case, CaseHooks } from './case.ts';
import { judge, type Judged } from './judge.ts';
import type { Json, Outcome, SearchOptions, Strategy, Units } from './strategy.ts';
import type { World } from './world.ts';
import type { FileRequest } from './world/disk-log.ts';

/** The errors that are tried. */
const errnoNames = ['EIO', 'ENOSPC'] as const;
type ErrnoName = (typeof errnoNames)[number];

/** A moment of a run: the `nth` event of a kind on a node with rules, or the `nth` request of a kind to a file. */
export type Point =
  | { readonly kind: 'event'; readonly event: string; readonly node: number; readonly nth: number }
  | { readonly kind: 'request'; readonly request: FileRequest['kind']; readonly disk: number; readonly nth: number };

/** A point that a run has come by, with the line of the script that ran then. */
interface Passed {
  readonly point: Point;
  readonly command: number;
}

/** An error at a point: for one request, or for all from there on that the point's rule covers. */
export interface Injection {
  readonly point: Point;
  readonly errno: ErrnoName;
  readonly once: boolean;
}

/** The points that a run comes by, and the errors that it meets there. */
class Injector {
  readonly passed: Passed[] = [];
  /** Where in `passed` the first error was put. */
  firstAt = -1;
  readonly #injections: readonly Injection[];
  readonly #running: () => Case;
  readonly #nodes: BlockNode[] = [];
  readonly #counts = new Map<string, number>();
  /** Requests of a kind to a disk that fail from now on. */
  readonly #failing = new Map<string, ErrnoName>();
  readonly #watched = new Set<BlockNode>();

  constructor(injections: readonly Injection[], running: () => Case) {
    this.#injections = injections;
    this.#running = running;
  }

  readonly hooks: CaseHooks = {
    event: (node, event) => this.#atEvent(node, event),
    request: (request) => this.#atRequest(request),
  };

  #atEvent(node: BlockNode, event: DebugEvent): undefined {
    const name = eventName(event);
    let index = this.#nodes.indexOf(node);
    if (index < 0) index = this.#nodes.push(node) - 1;
    const nth = this.#count(`${name}@${index}`);
    const injection = this.#pass({ kind: 'event', event: name, node: index, nth });
    if (injection === undefined) return undefined;
    this.#watch(node);
    const once = injection.once ? 'on' : 'off';
    portOf(node)?.rules.add('inject-error', new Map(Object.entries({ event: name, errno: injection.errno, once })));
    return undefined;
  }

  #atRequest({ kind, disk }: FileRequest): undefined {
    const key = `${kind}#${disk}`;
    const nth = this.#count(key);
    const injection = this.#pass({ kind: 'request', request: kind, disk, nth });
    if (injection !== undefined && !injection.once) this.#failing.set(key, injection.errno);
    const errno = injection?.errno ?? this.#failing.get(key);
    if (errno === undefined) return undefined;
    this.#running().note({ kind: 'injected', text: `${errno} for a ${kind} of the file`, isHint: kind === 'discard' });
    throw new BlockError(Errno[errno]);
  }

  #count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }

  /** Notes a point; the error that it has, if any. */
  #pass(point: Point): Injection | undefined {
    this.passed.push({ point, command: this.#running().command });
    const injection = this.#injections.find((one) => isSame(one.point, point));
    if (injection !== undefined && this.firstAt < 0) this.firstAt = this.passed.length - 1;
    return injection;
  }

  /** Notes in the journal which requests the rules of a node fail from now on. */
  #watch({ trace, nodeName }: BlockNode): void {
    const node = this.#nodes.find((one) => one.nodeName === nodeName);
    if (node === undefined || this.#watched.has(node)) return;
    this.#watched.add(node);
    const underWay = new Map<number, string>();
    trace.subscribe((record) => {
      if (record.node !== nodeName) return;
      if (record.kind === 'request-begin') underWay.set(record.request, record.operation);
      else if (record.kind === 'request-end') underWay.delete(record.request);
      else if (record.kind === 'error-injected') {
        const operation = underWay.get(record.request);
        // A question for the status is no request of the bus; without an answer the range counts as data.
        const isHint = operation === undefined || operation === 'discard';
        this.#running().note({ kind: 'injected', text: `an error for a ${operation ?? 'block status'}`, isHint });
      }
    });
  }
}

function isSame(one: Point, other: Point): boolean {
  if (one.nth !== other.nth) return false;
  if (one.kind === 'event') return other.kind === 'event' && one.event === other.event && one.node === other.node;
  return other.kind === 'request' && one.request === other.request && one.disk === other.disk;
}

/** The cases of one scenario. */
class Sweep implements Units {
  readonly #world: World;
  readonly #baseline: Baseline;
  readonly #pairs: boolean;
  readonly #points: readonly Passed[];

  constructor(world: World, baseline: Baseline, pairs: boolean, points: readonly Passed[]) {
    this.#world = world;
    this.#baseline = baseline;
    this.#pairs = pairs;
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
      if (later !== command || isStopped()) break;
      outcomes.push((await this.#try([injection, { ...injection, point }])).outcome);
    }
    return outcomes;
  }

  async again(recipe: Json): Promise<Judged> {
    return (await this.#judge(recipe as unknown as readonly Injection[])).judged;
  }

  #injectionOf(unit: number): Injection | null {
    if (unit === 0) return null;
    const way = (unit - 1) % (errnoNames.length * 2);
    const passed = this.#points[(unit - 1 - way) / (errnoNames.length * 2)] as Passed;
    return { point: passed.point, errno: errnoNames[way >> 1] as ErrnoName, once: way % 2 === 0 };
  }

  async #try(injections: readonly Injection[]): Promise<{ outcome: Outcome; injector: Injector }> {
    const { judged, injector } = await this.#judge(injections);
    const { verdict } = judged;
    const { lines } = this.#world.scenario;
    const { command } = injector.passed[injector.firstAt] ?? { command: 0 };
    const line = lines[command - 1];
    const outcome = {
      recipe: injections as unknown as Json,
      title: injections.length === 0 ? 'the scenario as it is' : titleOf(injections, command, line),
      verdict: verdict.name,
      detail: verdict.detail,
      signature: verdict.name === 'sound' ? '' : signatureOf(verdict.mark, injections, line),
    };
    return { outcome, injector };
  }

  async #judge(injections: readonly Injection[]): Promise<{ judged: Judged; injector: Injector }> {
    let injector: Injector | null = null;
    const judged = await judge(this.#world, this.#baseline, (running) => {
      injector = new Injector(injections, running);
      return injector.hooks;
    });
    return { judged, injector: injector as unknown as Injector };
  }
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
  async prepare(world: World, baseline: Baseline, { own }: SearchOptions): Promise<Units> {
    let injector: Injector | null = null;
    await judge(world, baseline, (running) => {
      injector = new Injector([], running);
      return injector.hooks;
    });
    return new Sweep(world, baseline, own.has('pairs'), (injector as unknown as Injector).passed);
  },
};
