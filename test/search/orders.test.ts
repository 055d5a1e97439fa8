/**
 * The reduced walk through orders ends in every state that all orders end in: held to random programs of requests that
 * take locks, wait for each other in them and touch things with and without one.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { EventLoop } from '../../src/block/loop/loop.ts';
import { OrderWalk } from '../../src/search/explore/orders.ts';
import { StepRecorder } from '../../src/search/explore/step-recorder.ts';
import type { Stop } from '../../src/search/scheduler.ts';

/** One thing that a request does: `stop` is a stop; what a lock protects is named by the lock. */
type Act =
  | { readonly kind: 'stop' }
  | { readonly kind: 'lock' | 'unlock' | 'read' | 'change'; readonly lock: number }
  | { readonly kind: 'look' | 'set'; readonly place: number };

type Program = readonly (readonly Act[])[];

/** A program under way. Values fold in all that went into them, so that any difference lasts. */
class Run {
  readonly recorder: StepRecorder;
  readonly #program: Program;
  readonly #loop = { current: null as { id: number } | null, witness: null };
  /** The next act of each request. */
  readonly #next: number[];
  readonly #values: number[];
  readonly #protected = [0, 0];
  readonly #places = [0, 0, 0];
  readonly #locks = [0, 1].map(() => ({ holder: -1, waiting: [] as number[] }));
  /** Requests at stops, oldest first. */
  #stopped: number[] = [];

  constructor(program: Program) {
    this.#program = program;
    this.#next = program.map(() => 0);
    this.#values = program.map((_acts, index) => index + 1);
    this.recorder = new StepRecorder(this.#loop as unknown as EventLoop, () => 0);
    for (const index of program.keys()) {
      this.#loop.current = { id: index + 1 };
      this.recorder.begins(index + 1, 0);
      this.#stopped.push(index);
    }
  }

  /** Runs to the end, or until `choose` gives null; the state it ends in. */
  run(choose: (enabled: readonly string[]) => string | null): string | null {
    const nameOf = (request: number): string => this.recorder.nameOf(request + 1);
    while (this.#stopped.length > 0) {
      const enabled = this.#stopped.map(nameOf);
      this.recorder.end(enabled);
      const chosen = choose(enabled);
      if (chosen === null) return null;
      const at = enabled.indexOf(chosen);
      this.recorder.begin(chosen, enabled, {} as Stop);
      const [request] = this.#stopped.splice(at, 1);
      const runnable = [request as number];
      for (let next = runnable.shift(); next !== undefined; next = runnable.shift()) this.#runToStop(next, runnable);
    }
    this.recorder.end([]);
    return JSON.stringify([this.#values, this.#protected, this.#places, this.#next]);
  }

  /** `woken` gets the requests that it gives a lock to. */
  #runToStop(request: number, woken: number[]): void {
    this.#loop.current = { id: request + 1 };
    const acts = this.#program[request] ?? [];
    for (let act = acts[this.#next[request] ?? 0]; act !== undefined; act = acts[this.#next[request] ?? 0]) {
      if (act.kind === 'lock' && !this.#take(request, act.lock)) return;
      this.#next[request] = (this.#next[request] ?? 0) + 1;
      if (act.kind === 'stop') {
        this.#stopped.push(request);
        return;
      }
      if (act.kind === 'unlock') this.#give(act.lock, woken);
      else if (act.kind !== 'lock') this.#touch(request, act);
    }
  }

  /** False if it has to wait. */
  #take(request: number, lock: number): boolean {
    const state = this.#locks[lock] as { holder: number; waiting: number[] };
    if (state.holder === request) return true;
    this.recorder.locks(state, `lock ${lock}`);
    if (state.holder === -1) state.holder = request;
    else state.waiting.push(request);
    return state.holder === request;
  }

  #give(lock: number, woken: number[]): void {
    const state = this.#locks[lock] as { holder: number; waiting: number[] };
    const next = state.waiting.shift();
    state.holder = next ?? -1;
    if (next !== undefined) woken.push(next);
    this.recorder.unlocks(state, next !== undefined);
  }

  #touch(request: number, act: Exclude<Act, { kind: 'stop' | 'lock' | 'unlock' }> | Act): void {
    const values = this.#values;
    const mine = values[request] ?? 0;
    const mix = (one: number, two: number): number => (Math.imul(one ^ (two + 0x9e37), 0x01000193) >>> 0) % 1_000_003;
    if (act.kind === 'read') values[request] = mix(mine, this.#protected[act.lock] ?? 0);
    if (act.kind === 'look' || act.kind === 'set') this.recorder.uses('places', act.place, 1, act.kind === 'set');
    if (act.kind === 'look') values[request] = mix(mine, this.#places[act.place] ?? 0);
    if (act.kind === 'set') this.#places[act.place] = mix(this.#places[act.place] ?? 0, mine);
    if (act.kind !== 'change') return;
    this.recorder.changes(`lock ${act.lock}`);
    this.#protected[act.lock] = mix(this.#protected[act.lock] ?? 0, mine);
  }
}

/** Of a section: what it protects is read and changed, perhaps with stops, or another lock within. */
const anyInner = (lock: number): fc.Arbitrary<Act> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant<Act>({ kind: 'stop' }) },
    { weight: 2, arbitrary: fc.constant<Act>({ kind: 'read', lock }) },
    { weight: 2, arbitrary: fc.constant<Act>({ kind: 'change', lock }) },
    { weight: 1, arbitrary: anyTouch },
  );

const anyTouch: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom('look' as const, 'set' as const),
  place: fc.nat({ max: 2 }),
});

const anySection = fc
  .nat({ max: 1 })
  .chain((lock) =>
    fc
      .array(anyInner(lock), { maxLength: 3 })
      .map((inner): Act[] => [{ kind: 'lock', lock }, ...inner, { kind: 'unlock', lock }]),
  );

/** Two locks, one within the other, in either order: requests may wait for each other for ever. */
const anyNest = fc.boolean().map((isFirst): Act[] => {
  const [outer, inner] = isFirst ? [0, 1] : [1, 0];
  return [
    { kind: 'lock', lock: outer },
    { kind: 'stop' },
    { kind: 'lock', lock: inner },
    { kind: 'change', lock: inner },
    { kind: 'unlock', lock: inner },
    { kind: 'unlock', lock: outer },
  ];
});

const anyRequest = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: anySection },
      { weight: 2, arbitrary: anyTouch.map((act): Act[] => [act]) },
      { weight: 3, arbitrary: fc.constant<Act[]>([{ kind: 'stop' }]) },
      { weight: 1, arbitrary: anyNest },
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => stoppingBeforeLocks(parts.flat()));

/** A request stops between what it touches and a lock: a wait for the lock must not come in the middle of a step. */
function stoppingBeforeLocks(acts: readonly Act[]): Act[] {
  return acts.flatMap((act, index): Act[] => {
    const hasStopped = index === 0 || acts[index - 1]?.kind === 'stop';
    return act.kind === 'lock' && !hasStopped ? [{ kind: 'stop' }, act] : [act];
  });
}

const anyProgram = fc.array(anyRequest, { minLength: 2, maxLength: 3 });

interface Walked {
  readonly runs: number;
  readonly ends: ReadonlySet<string>;
}

/** Null if there are too many orders. */
function walk(program: Program, isNaive: boolean, prefix: readonly string[]): Walked | null {
  const orders = new OrderWalk({ isNaive, preemptionsMax: null, prefix });
  const ends = new Set<string>();
  let runs = 0;
  for (; orders.begin(); runs++) {
    if (runs === 2000) return null;
    const run = new Run(program);
    const end = run.run((enabled) => orders.choose(enabled, [], run.recorder.steps));
    orders.end(run.recorder.steps);
    if (end !== null) ends.add(end);
  }
  return { runs, ends };
}

const cases = { numRuns: Number(process.env.CASES ?? 400), seed: Number(process.env.SEED ?? 1) };

it('ends in every state that an order of a random program ends in', () => {
  const total = { all: 0, reduced: 0 };
  fc.assert(
    fc.property(anyProgram, (program) => {
      const all = walk(program, true, []);
      fc.pre(all !== null);
      const reduced = walk(program, false, []);
      total.all += all.runs;
      total.reduced += reduced?.runs ?? 0;
      expect([...(reduced?.ends ?? [])].sort()).toEqual([...all.ends].sort());
    }),
    cases,
  );
  expect(total.reduced).toBeLessThan(total.all / 2);
});

it('ends so too behind a beginning that makes requests wait for a lock', () => {
  fc.assert(
    fc.property(anyProgram, (program) => {
      // All requests begin before any goes on.
      const prefix = program.map((_acts, index) => (index === 0 ? '0' : `0.${index + 1}`));
      const all = walk(program, true, prefix);
      fc.pre(all !== null);
      expect([...(walk(program, false, prefix)?.ends ?? [])].sort()).toEqual([...all.ends].sort());
    }),
    cases,
  );
});
