/** Parts of one request that run at the same time, each as a coroutine of its own. */
import { assert } from '../../util/assert.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { labelOfPart, waitsForParts } from './coroutine.ts';
import type { EventLoop } from './loop.ts';

/**
 * Starts the parts in their order, each up to its first wait, and waits until all have ended. Returns the errno of
 * each, 0 for success.
 */
export function* sideBySide(loop: EventLoop, parts: readonly (() => Pending)[]): Steps<number[]> {
  const main = loop.current;
  assert(main !== null, 'a request runs in a coroutine');
  const label = labelOfPart(main);
  const errnos = parts.map(() => 0);
  let busy = parts.length;
  let isWaiting = false;
  let bug: unknown;
  for (const [index, part] of parts.entries()) {
    yield loop.begin(label, part, (error) => {
      if (error instanceof BlockError) errnos[index] = error.errno;
      else bug ??= error;
      busy -= 1;
      if (busy === 0 && isWaiting) loop.wake(main);
    });
  }
  if (busy > 0) {
    isWaiting = true;
    yield loop.park(waitsForParts);
  }
  if (bug !== undefined) throw bug;
  return errnos;
}
