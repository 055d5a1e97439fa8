/**
 * Requests written as generators, read from top to bottom: what they yield they wait for, and what never has to wait
 * never costs a promise.
 *
 * A function that usually completes without waiting is a generator of `Steps<T>`. Inside it, another generator is
 * called with `yield*`, and anything that returns an `Answer` with `yield`, which gives its value. At the border of the
 * world of generators (a driver's methods, a coroutine's body) `run` turns it into an `Answer`. An `async` function is
 * for what waits as a rule.
 *
 * A yield hands its answer to `run` and takes the value back, also if there is nothing to wait for. On the way of every
 * command it is left out then (`if (pending !== undefined) yield pending`); elsewhere `yield` alone reads better. A
 * function that has nothing to wait for but in rare cases is a plain one, and hands the rare case over to steps.
 *
 * Steps that wait go on in the call that ends their wait, the innermost first, and keep little meanwhile: a request has
 * several such borders, and thousands of requests may wait.
 */
import { Wait, type Waiting, whenSettled } from './wait.ts';

/** The value, or a promise of it if something has to be waited for. Await it, or ask `isPromise`. */
export type Answer<T> = T | Promise<T>;

/** The answer of a request without a value: undefined if it is done already. */
export type Pending = Promise<void> | undefined;

/** A part of a request that ends with a `T`. It yields answers, and is sent their values. */
// oxlint-disable-next-line typescript/no-explicit-any -- what is sent depends on what was yielded
export type Steps<T> = Generator<unknown, T, any>;

/**
 * Whether an answer has to be waited for. Most answers are no objects, which `typeof` tells without a look at
 * prototypes.
 */
export function isPromise<T>(answer: Answer<T>): answer is Promise<T> {
  return typeof answer === 'object' && (answer instanceof Wait || answer instanceof Promise);
}

/** The one `next` of all generators: looked up in each by name it would cost more than the call. */
const next: (this: Steps<unknown>, sent: unknown) => IteratorResult<unknown, unknown> = Object.getPrototypeOf(
  function* () {}.prototype,
).next;

/**
 * Runs steps to their end: at once if nothing has to be waited for, else as a promise. Throws or rejects as they do.
 * Steps may return the last answer that they wait for instead of yielding it.
 */
export function run(steps: Steps<void> | Steps<Pending>): Pending;
export function run<T>(steps: Steps<T>): Answer<T>;
export function run<T>(steps: Steps<T>): Answer<T> {
  let result = next.call(steps, undefined) as IteratorResult<unknown, T>;
  while (result.done !== true) {
    if (isPromise(result.value)) return new RunningSteps(steps, result.value);
    result = next.call(steps, result.value) as IteratorResult<unknown, T>;
  }
  return result.value;
}

/** Steps that wait for `first`, and then go on to their end. */
class RunningSteps<T> extends Wait<T> implements Waiting<unknown> {
  /** Null once only the answer is waited for that they have returned. */
  #steps: Steps<T> | null;

  constructor(steps: Steps<T>, first: Promise<unknown>) {
    super();
    this.#steps = steps;
    whenSettled(first, this);
  }

  continueWith(value: unknown): void {
    this.goOn(value, false);
  }

  failWith(error: unknown): void {
    this.goOn(error, true);
  }

  /** Runs the steps up to their next wait or their end. */
  goOn(sent: unknown, isFailure: boolean): void {
    const steps = this.#steps;
    if (steps === null) {
      if (isFailure) this.fail(sent);
      else this.settle(sent as T);
      return;
    }
    let result: IteratorResult<unknown, unknown>;
    try {
      result = isFailure ? steps.throw(sent) : next.call(steps, sent);
      while (result.done !== true && !isPromise(result.value)) result = next.call(steps, result.value);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (result.done === true) this.#steps = null;
    if (isPromise(result.value)) whenSettled(result.value, this);
    else this.settle(result.value as T);
  }
}
