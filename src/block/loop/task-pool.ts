/** The parts of one request that are under way at the same time: a bounded number of coroutines. */
import { assert } from '../../util/assert.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { type Coroutine, labelOfPart, type RequestLabel, waitsForParts } from './coroutine.ts';
import type { EventLoop } from './loop.ts';

/** The pool of one request. */
export class TaskPool {
  readonly #loop: EventLoop;
  readonly #main: Coroutine;
  readonly #label: RequestLabel;
  readonly #maxBusy: number;
  #busy = 0;
  #isWaiting = false;
  #failure: unknown = undefined;

  /** At most `maxBusy` parts are under way at a time: as many as the parts of a request of qcow2 by default. */
  constructor(loop: EventLoop, maxBusy = 8) {
    assert(loop.current !== null, 'a request runs in a coroutine');
    this.#loop = loop;
    this.#maxBusy = maxBusy;
    this.#main = loop.current;
    this.#label = labelOfPart(this.#main);
  }

  /** Whether some part has failed, so that no more should be started. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Starts a part, when there is room for it. Returns as soon as it waits for something. */
  *start(part: () => Pending): Steps<void> {
    if (this.#busy >= this.#maxBusy) yield this.#waitForOne();
    this.#busy += 1;
    yield this.#loop.begin(this.#label, part, (error) => this.#end(error));
  }

  #end(error: unknown): void {
    this.#busy -= 1;
    if (error !== undefined) this.#failure ??= error;
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#loop.wake(this.#main);
  }

  #waitForOne(): Promise<void> {
    this.#isWaiting = true;
    return this.#loop.park(waitsForParts);
  }

  /** Waits until all parts have ended. */
  *drain(): Steps<void> {
    while (this.#busy > 0) yield this.#waitForOne();
  }

  /** Throws the first failure of a part. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}
