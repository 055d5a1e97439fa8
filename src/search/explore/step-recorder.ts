/**
 * The steps of a case, as a search sees them: each is the run of one request from a stop to the next, with what it
 * touched on the way.
 *
 * Requests have names that mean the same in every order of one scenario: the line of the script that began them, and
 * the place among what that began. A step also runs the requests that it wakes, up to their own stops: they take part.
 *
 * The things that a lock protects are touched in sections, whose order can make a difference. So a section
 * is noted once, at the step that takes the lock or begins to wait for it: as a change if it changes something, or goes
 * on behind the step. The steps within it need not be put in another order with those of requests that only wait, and
 * what is touched in two sections of one lock changes its order only with the sections.
 */
import type { EventLoop } from '../../block/loop/loop.ts';
import type { Witness } from '../../block/loop/witness.ts';
import type { Stop } from '../scheduler.ts';
import type { FileRequest } from '../../sandbox/disks/disk-log.ts';
import { Footprint } from './footprint.ts';

/** One step. */
export interface Step {
  /** The request that was chosen, by name. */
  readonly chosen: string;
  /** The requests that could have been, in the order of their stops; the chosen one is among them. */
  readonly enabled: readonly string[];
  /** The stop that it goes on from. */
  readonly from: Stop;
  /** The names of those that ran in it. */
  readonly participants: Set<string>;
  readonly footprint: Footprint;
}

/** A lock that is held. */
interface Section {
  readonly name: string;
  readonly owner: Taking;
  /** The coroutines that wait for it, in their order. */
  readonly waiting: readonly Taking[];
}

/** A request that takes a lock. */
interface Taking {
  /** Number of its coroutine. */
  readonly coroutine: number;
  /** The step in which it took the lock, or in which it began to wait for it; -1 for before the first. */
  readonly step: number;
}

/** Keeps the steps of one case. */
export class StepRecorder implements Witness {
  readonly steps: Step[] = [];
  readonly #loop: EventLoop;
  /** The line of the script that runs. */
  readonly #line: () => number;
  readonly #names = new Map<number, string>();
  readonly #children = new Map<string, number>();
  readonly #sections = new Map<object, Section>();
  /** For each request, the last step that it was chosen for. */
  readonly #own = new Map<string, number>();

  constructor(loop: EventLoop, line: () => number) {
    this.#loop = loop;
    this.#line = line;
    loop.witness = this;
  }

  /** The name of a request by the number of its coroutine. */
  nameOf(request: number): string {
    return this.#names.get(request) ?? String(request);
  }

  /**
   * The running step has ended; `stopped` are the requests that can go on now. One that could not before has come to
   * its stop in the step. A section that goes on behind the step counts as a change.
   */
  end(stopped: readonly string[]): void {
    const now = this.steps.length - 1;
    const step = this.steps[now];
    for (const name of stopped) if (step?.enabled.includes(name) === false) step.participants.add(name);
    for (const { name, owner } of this.#sections.values()) if (owner.step === now) this.#now?.addWhole(name, true);
  }

  /** A request was chosen to go on. */
  begin(chosen: string, enabled: readonly string[], from: Stop): void {
    this.#own.set(chosen, this.steps.length);
    this.steps.push({ chosen, enabled, from, participants: new Set([chosen]), footprint: new Footprint() });
  }

  begins(coroutine: number, parent: number): void {
    const root = parent === 0 ? String(this.#line()) : this.nameOf(parent);
    const count = (this.#children.get(root) ?? 0) + 1;
    this.#children.set(root, count);
    this.#names.set(coroutine, parent === 0 && count === 1 ? root : `${root}.${count}`);
    this.#runs(coroutine);
  }

  locks(holder: object, name: string): void {
    this.#runs();
    const held = this.#sections.get(holder);
    const taking = { coroutine: this.#loop.current?.id ?? 0, step: this.steps.length - 1 };
    this.#touch((footprint) => footprint.addWhole(name, held !== undefined));
    const section =
      held === undefined ? { name, owner: taking, waiting: [] } : { ...held, waiting: [...held.waiting, taking] };
    this.#sections.set(holder, section);
  }

  unlocks(holder: object, isPassedOn: boolean): void {
    this.#runs();
    const held = this.#sections.get(holder);
    if (held === undefined) return;
    const [next, ...waiting] = held.waiting;
    if (isPassedOn && next !== undefined) this.#sections.set(holder, { name: held.name, owner: next, waiting });
    else this.#sections.delete(holder);
  }

  changes(name: string): void {
    this.#runs();
    let isNoted = false;
    for (const held of this.#sections.values()) {
      if (held.name !== name) continue;
      isNoted = true;
      this.steps[held.owner.step]?.footprint.addWhole(name, true);
    }
    if (!isNoted) this.#touch((footprint) => footprint.addWhole(name, true));
  }

  uses(name: string, offset: number, bytes: number, excludes: boolean): void {
    this.#runs();
    const coroutine = this.#loop.current?.id ?? 0;
    const locks: string[] = [];
    for (const { name: lock, owner } of this.#sections.values()) {
      if (owner.coroutine !== coroutine) continue;
      locks.push(lock);
      if (excludes) this.steps[owner.step]?.footprint.addWhole(lock, true);
    }
    this.#touch((footprint) => footprint.add(name, offset, bytes, excludes, locks));
  }

  /** A request to a file. */
  file({ kind, disk, offset, bytes }: FileRequest): void {
    const name = `disk ${disk}`;
    if (kind === 'read') this.uses(name, offset, bytes, false);
    else if (kind === 'truncate') this.uses(name, 0, Number.MAX_SAFE_INTEGER, true);
    else if (kind !== 'flush') this.uses(name, offset, bytes, true);
  }

  /**
   * Notes what the running request touches: in the step, and if another one has woken it in there, also in the step in
   * which it began to wait. Put off, that one would touch it later.
   */
  #touch(add: (footprint: Footprint) => void): void {
    const step = this.steps.at(-1);
    if (step === undefined) return;
    add(step.footprint);
    const own = this.steps[this.#own.get(this.nameOf(this.#loop.current?.id ?? 0)) ?? -1];
    if (own !== undefined && own !== step) add(own.footprint);
  }

  get #now(): Footprint | undefined {
    return this.steps.at(-1)?.footprint;
  }

  /** A request runs in the step: the current one, if it is not given. */
  #runs(coroutine = this.#loop.current?.id): void {
    if (coroutine !== undefined) this.steps.at(-1)?.participants.add(this.nameOf(coroutine));
  }
}
