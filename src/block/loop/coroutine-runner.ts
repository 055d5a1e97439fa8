/**
 * Starting, entering, parking and ending coroutines.
 *
 * A request is a function that runs in a `Coroutine`. Exactly one coroutine runs at a time, from the moment it is
 * entered to the moment it parks (waits for something real) or ends, as in QEMU. That makes the order of events a
 * function of the script alone. One that waits for anything that is not made of `park` would break the rule.
 *
 * Entering a coroutine runs it here and now, up to its next stop. Only work that lets Node have a turn in the middle
 * stops later, and only then is a promise made.
 */
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { Wait, type Waiting, whenSettled } from '../../util/wait.ts';
import { BlockError } from '../error.ts';
import type { Witness } from './witness.ts';
import type { Clock } from './clock.ts';
import { AliveCoroutines, Coroutine, type RequestLabel, type WaitReason, type WakeSource } from './coroutine.ts';

/** Called when a coroutine ends, with the error or undefined. */
export type OnEnd = (error: unknown) => void;

/** Runs coroutines, one at a time. */
export abstract class CoroutineRunner {
  readonly clock: Clock;
  /** The coroutine that runs now; null between two of them. */
  current: Coroutine | null = null;
  readonly alive = new AliveCoroutines();
  /** Of a search; null while there is none. */
  witness: Witness | null = null;
  #nextId = 1;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Runs `callback` at the next turn of the loop. */
  abstract schedule(callback: () => void | Promise<void>): void;

  /** A coroutine that has not begun. */
  protected make(label: RequestLabel): Coroutine {
    return new Coroutine(this.#nextId++, label);
  }

  /**
   * Enters a new coroutine: runs its function to the first wait. Undefined if it has ended and woke no other; otherwise
   * `untilItStops` goes on with the result. A function that throws gives a rejected promise.
   */
  protected start(coroutine: Coroutine, body: () => Pending): Pending {
    coroutine.caller = this.current;
    if (this.witness !== null) this.witness.begins(coroutine.id, this.current?.id ?? 0);
    this.alive.add(coroutine);
    this.current = coroutine;
    try {
      const pending = body();
      if (pending !== undefined) return pending;
    } catch (error) {
      return Promise.reject(error);
    }
    if (coroutine.woken !== null) return Promise.resolve();
    coroutine.done = true;
    this.alive.delete(coroutine);
    this.current = coroutine.caller;
    return undefined;
  }

  /** Lets a coroutine that has begun run until it parks or ends, and then those that it woke. */
  protected untilItStops(coroutine: Coroutine, pending: Promise<void>, onEnd: OnEnd): Pending {
    whenSettled(pending, new CoroutineEnd(this, coroutine, onEnd));
    return coroutine.hasStopped ? this.#runWoken(coroutine) : run(this.#afterStop(coroutine));
  }

  *#afterStop(coroutine: Coroutine): Steps<void> {
    yield stopOf(coroutine);
    yield this.#runWoken(coroutine);
  }

  /** Called by `CoroutineEnd`. @internal */
  end(coroutine: Coroutine, error: unknown, onEnd: OnEnd): void {
    coroutine.done = true;
    coroutine.waitsFor = null;
    this.alive.delete(coroutine);
    onEnd(error);
    this.#stop(coroutine);
  }

  /** Goes back to what entered the coroutine. */
  #stop(coroutine: Coroutine): void {
    this.current = coroutine.caller;
    coroutine.caller = null;
    coroutine.hasStopped = true;
    coroutine.whenStopped?.();
    coroutine.whenStopped = null;
  }

  /**
   * Starts a request and runs it until it parks or ends, and those that it woke; a promise only if Node has a turn in
   * the middle. `onEnd` is called when it ends: before this returns if the request never waited. The loop is not
   * turned.
   */
  begin(label: RequestLabel, body: () => Pending, onEnd: OnEnd): Pending {
    const coroutine = this.make(label);
    const pending = this.start(coroutine, body);
    if (pending !== undefined) return this.untilItStops(coroutine, pending, onEnd);
    onEnd(undefined);
    return undefined;
  }

  /**
   * Starts an asynchronous request: enters it, and returns when it has parked or ended. `onDone` is called when it
   * ends, but never before this returns: a request that ends at once reports as a bottom half, as QEMU's AIO requests
   * do.
   */
  async spawn(label: RequestLabel, body: () => Pending, onDone: OnEnd): Promise<Coroutine> {
    const coroutine = this.make(label);
    coroutine.startedNs = this.clock.nowNs();
    const pending = this.start(coroutine, body);
    let returned = false;
    const report = (error: unknown): void => {
      if (returned) onDone(error);
      else this.schedule(() => onDone(error));
    };
    if (pending === undefined) report(undefined);
    else await this.untilItStops(coroutine, pending, report);
    returned = true;
    return coroutine;
  }

  /**
   * Runs `coroutine` until it parks or ends, then every coroutine that it woke, and those that they woke. May be called
   * from within another coroutine, which then is suspended under it like a caller.
   */
  enter(coroutine: Coroutine): Pending {
    const running = this.#runUntilStop(coroutine);
    return running === undefined ? this.#runWoken(coroutine) : run(this.#runWokenAfter(running, coroutine));
  }

  *#runWokenAfter(running: Promise<void>, coroutine: Coroutine): Steps<void> {
    yield running;
    yield this.#runWoken(coroutine);
  }

  #runUntilStop(coroutine: Coroutine): Pending {
    const { parked } = coroutine;
    assert(parked !== null, 'a coroutine that is entered is parked');
    coroutine.caller = this.current;
    this.current = coroutine;
    coroutine.waitsFor = null;
    coroutine.parked = null;
    coroutine.hasStopped = false;
    parked.settle(undefined);
    return coroutine.hasStopped ? undefined : stopOf(coroutine);
  }

  #runWoken(coroutine: Coroutine): Pending {
    return coroutine.woken === null ? undefined : run(this.#runAllWoken(coroutine));
  }

  *#runAllWoken(coroutine: Coroutine): Steps<void> {
    // A stack of what is left to run, each with the place in it: those that one wakes run before those beside it.
    const stack = [{ woken: takeWoken(coroutine), at: 0 }];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.woken[top.at];
      if (next === undefined) {
        stack.pop();
        continue;
      }
      const chosen = next instanceof Coroutine ? next : next.next();
      if (chosen === next || chosen === null) top.at += 1;
      if (chosen === null) continue;
      yield this.#runUntilStop(chosen);
      if (chosen.woken === null) continue;
      // Of many that pass something on to each other none is to be kept until the last one has run.
      if (top.at === top.woken.length) stack.pop();
      stack.push({ woken: takeWoken(chosen), at: 0 });
    }
  }

  /** Suspends the running coroutine until it is entered or woken. */
  park(reason: WaitReason): Promise<void> {
    const coroutine = this.current;
    assert(coroutine !== null, 'a coroutine parks itself');
    coroutine.waitsFor = reason;
    coroutine.waitsSinceNs = this.clock.nowNs();
    if (coroutine.startedNs === 0) coroutine.startedNs = coroutine.waitsSinceNs;
    const parked = new Wait<void>();
    coroutine.parked = parked;
    this.#stop(coroutine);
    return parked;
  }

  /** Makes a parked coroutine runnable: right after the running one stops, or as a bottom half if none runs. */
  wake(coroutine: Coroutine): void {
    const { current } = this;
    if (current === null) this.schedule(() => this.enter(coroutine));
    else (current.woken ??= []).push(coroutine);
  }

  /** Makes the coroutines of a source runnable, as `wake` does with one; each is chosen when its turn has come. */
  wakeEach(source: WakeSource): void {
    assert(this.current !== null, 'waiters are woken by the one that they wait for');
    (this.current.woken ??= []).push(source);
  }

  /** Throws ECANCELED if the running coroutine was cancelled. */
  checkCancelled(): void {
    if (this.current?.cancelled === true) throw new BlockError(Errno.ECANCELED);
  }
}

/** Ends a coroutine when its function has. */
class CoroutineEnd implements Waiting<void> {
  readonly #runner: CoroutineRunner;
  readonly #coroutine: Coroutine;
  readonly #onEnd: OnEnd;

  constructor(runner: CoroutineRunner, coroutine: Coroutine, onEnd: OnEnd) {
    this.#runner = runner;
    this.#coroutine = coroutine;
    this.#onEnd = onEnd;
  }

  continueWith(): void {
    this.#runner.end(this.#coroutine, undefined, this.#onEnd);
  }

  failWith(error: unknown): void {
    this.#runner.end(this.#coroutine, error, this.#onEnd);
  }
}

/** Settled after a coroutine that runs has stopped, and not within its last steps: so it is a promise of Node. */
function stopOf(coroutine: Coroutine): Promise<void> {
  return new Promise((resolve) => {
    coroutine.whenStopped = resolve;
  });
}

function takeWoken(coroutine: Coroutine): readonly (Coroutine | WakeSource)[] {
  const woken = coroutine.woken ?? [];
  coroutine.woken = null;
  return woken;
}
