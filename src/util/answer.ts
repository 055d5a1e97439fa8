/** Results that are mostly there when a call returns. A promise for each would cost more than what the call does. */

import { type Answer, isPromise } from './steps.ts';
export type { Answer } from './steps.ts';

/** Goes on with a result: at once if it is there. What `next` throws, is thrown or rejected accordingly. */
export function andThen<T>(answer: Answer<T>, next: (value: T) => Promise<void> | undefined): Promise<void> | undefined;
export function andThen<T, U>(answer: Answer<T>, next: (value: T) => Answer<U>): Answer<U>;
export function andThen<T, U>(answer: Answer<T>, next: (value: T) => Answer<U>): Answer<U> {
  return isPromise(answer) ? answer.then(next) : next(answer);
}

/**
 * Calls `step` with `args` once `wait` is over. Where a function makes a closure for that itself, the engine keeps the
 * closure's variables on the heap from the function's first line on, also in the many calls that wait for nothing.
 */
export function later<A extends unknown[], T>(
  wait: Promise<unknown>,
  step: (...args: A) => T,
  ...args: A
): Promise<Awaited<T>> {
  return wait.then(() => step(...args)) as Promise<Awaited<T>>;
}

/** Does `step`, and `end` behind it whatever comes of it. */
export function lastly(step: () => Promise<void> | undefined, end: () => void): Promise<void> | undefined;
export function lastly<T>(step: () => Answer<T>, end: () => void): Answer<T>;
export function lastly<T>(step: () => Answer<T>, end: () => void): Answer<T> {
  let answer: Answer<T>;
  try {
    answer = step();
  } catch (error) {
    end();
    throw error;
  }
  if (isPromise(answer)) return answer.finally(end);
  end();
  return answer;
}

/** What `step` throws, as a rejection. */
export function caught(step: () => Promise<void> | undefined): Promise<void> | undefined;
export function caught<T>(step: () => Answer<T>): Answer<T>;
export function caught<T>(step: () => Answer<T>): Answer<T> {
  try {
    return step();
  } catch (error) {
    return Promise.reject(error);
  }
}
