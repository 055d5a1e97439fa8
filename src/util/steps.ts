/**
 * Requests written as generators, read from top to bottom: what they yield they wait for, and what never has to wait
 * never costs a promise.
 *
 * A function that usually completes without waiting is a generator of `Steps<T>`. Inside it, another generator is
 * called with `yield*`, and anything that returns an `Answer` with `yield`, which gives its value. At the border of the
 * world of generators (a driver's methods, a coroutine's body) `run` turns it into an `Answer`. An `async` function is
 * for what waits as a rule.
 */

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
  return typeof answer === 'object' && answer instanceof Promise;
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
    if (isPromise(result.value)) return runOn(steps, result.value);
    result = next.call(steps, result.value) as IteratorResult<unknown, T>;
  }
  return result.value;
}

/** Runs the rest of steps that wait for `first`. */
async function runOn<T>(steps: Steps<T>, first: Promise<unknown>): Promise<T> {
  let waiting: unknown = first;
  for (;;) {
    let result: IteratorResult<unknown, T>;
    try {
      const value = isPromise(waiting) ? await waiting : waiting;
      result = steps.next(value);
    } catch (error) {
      result = steps.throw(error);
    }
    if (result.done === true) return result.value;
    waiting = result.value;
  }
}
