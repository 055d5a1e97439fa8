/**
 * The steps of a case, as a search sees them: each is the run of one request from a stop to the next, with what it
 * touched on the way.
 *
 * Requests have names that mean the same in every order of one scenario: the line of the script that began them, and
 * the place among what that began. A step also runs the requests that it wakes, up to their own stops: they take part.
 *
 * The things that a lock protects are touched in sections, whose order can make a difference. So a section
 * is noted once, at the step that takes the lock or begins to wait for it: as a change if it changes something, or goes
 * on behind the step. The steps within it need not be put in another order with those of requests that only wait.
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
  /** The step in which it was taken, or in which the wait for it began; -1 for before the first. */
  readonly step: number;
  /** The steps in which others began to wait for it, in their order. */
  readonly waiting: number[];
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

  constructor(loop: EventLoop, line: () => number) {
    this.#loop = loop;
    this.#line = line;
    loop.witness = this;
  }

  /** The name of a request by the number of its coroutine. */
  nameOf(request: number): string {
    return this.#names.get(request) ?? String(request);
  }

  /** The running step has ended. A section that goes on behind it counts as a change. */
  end(): void {
    const now = this.steps.length - 1;
    for (const { name, step } of this.#sections.values()) if (step === now) this.#now?.addWhole(name, true);
  }

  /** A request was chosen to go on. */
  begin(chosen: string, enabled: readonly string[], from: Stop): void {
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
    const step = this.steps.length - 1;
    if (held === undefined) {
      this.#now?.addWhole(name, false);
      this.#sections.set(holder, { name, step, waiting: [] });
      return;
    }
    this.#now?.addWhole(name, true);
    held.waiting.push(step);
  }

  unlocks(holder: object, isPassedOn: boolean): void {
    this.#runs();
    const held = this.#sections.get(holder);
    if (held === undefined) return;
    const [next, ...waiting] = held.waiting;
    if (isPassedOn && next !== undefined) this.#sections.set(holder, { name: held.name, step: next, waiting });
    else this.#sections.delete(holder);
  }

  changes(name: string): void {
    this.#runs();
    let isNoted = false;
    for (const held of this.#sections.values()) {
      if (held.name !== name) continue;
      isNoted = true;
      this.steps[held.step]?.footprint.addWhole(name, true);
    }
    if (!isNoted) this.#now?.addWhole(name, true);
  }

  uses(name: string, offset: number, bytes: number, excludes: boolean): void {
    this.#runs();
    this.#now?.add(name, offset, bytes, excludes);
  }

  /** A request to a file. */
  file({ kind, disk, offset, bytes }: FileRequest): void {
    const name = `disk ${disk}`;
    if (kind === 'read') this.uses(name, offset, bytes, false);
    else if (kind === 'truncate') this.uses(name, 0, Number.MAX_SAFE_INTEGER, true);
    else if (kind !== 'flush') this.uses(name, offset, bytes, true);
  }

  get #now(): Footprint | undefined {
    return this.steps.at(-1)?.footprint;
  }

  /** A request runs in the step: the current one, if it is not given. */
  #runs(coroutine = this.#loop.current?.id): void {
    if (coroutine !== undefined) this.steps.at(-1)?.participants.add(this.nameOf(coroutine));
  }
}
