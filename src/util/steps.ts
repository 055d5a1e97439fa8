/** Requests written as generators: what they yield they wait for, and what never yields never costs a promise. */
import type { Answer } from './answer.ts';

/** A part of a request. It yields promises, and is sent what they resolve to. */
// oxlint-disable-next-line typescript/no-explicit-any -- what is sent depends on what was yielded
export type Steps<T> = Generator<Promise<unknown>, T, any>;

/** Runs to the end: at once if nothing has to be waited for, else a promise. */
export function run(steps: Steps<void>): Promise<void> | undefined;
export function run<T>(steps: Steps<T>): Answer<T>;
export function run<T>(steps: Steps<T>): Answer<T> {
  const first = steps.next();
  return first.done === true ? first.value : runOn(steps, first.value);
}

async function runOn<T>(steps: Steps<T>, first: Promise<unknown>): Promise<T> {
  let waiting = first;
  for (;;) {
    let result: IteratorResult<Promise<unknown>, T>;
    try {
      const value = await waiting;
      result = steps.next(value);
    } catch (error) {
      result = steps.throw(error);
    }
    if (result.done === true) return result.value;
    waiting = result.value;
  }
}
