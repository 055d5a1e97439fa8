/** Waiting for other coroutines: a queue for a condition, and a lock. */
import { assert } from '../../util/assert.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { type Coroutine, WaitingCoroutines, type WaitReason } from './coroutine.ts';
import type { EventLoop } from './loop.ts';

/** Coroutines that wait for a condition, in order of arrival. */
export class CoroutineQueue extends WaitingCoroutines {
  readonly #loop: EventLoop;

  constructor(loop: EventLoop) {
    super();
    this.#loop = loop;
  }

  /** Parks the running coroutine until it is woken from here. */
  wait(reason: WaitReason): Promise<void> {
    const coroutine = this.#loop.current;
    assert(coroutine !== null, 'a coroutine waits');
    this.push(coroutine);
    return this.#loop.park(reason);
  }

  /** Wakes the one that has waited longest, and gives it; null if there was none. */
  wakeOne(): Coroutine | null {
    const { first } = this;
    if (first === null) return null;
    this.shift();
    this.#loop.wake(first);
    return first;
  }

  /** Wakes all, longest waiting first. */
  wakeAll(): void {
    while (this.wakeOne() !== null);
  }
}

/**
 * A lock between coroutines; on release it passes to the one that has waited longest, without being free in between.
 */
export class CoroutineMutex {
  readonly #loop: EventLoop;
  readonly #queue: CoroutineQueue;
  readonly #reason: { readonly kind: 'lock'; readonly name: string; holder: Coroutine | null };
  readonly #onWait: (reason: WaitReason) => void;
  /** True while a coroutine holds it. Only changed in here. */
  isLocked = false;

  /** `onWait` is told when a coroutine has to wait. */
  constructor(loop: EventLoop, name: string, onWait: (reason: WaitReason) => void = () => {}) {
    this.#loop = loop;
    this.#queue = new CoroutineQueue(loop);
    this.#reason = { kind: 'lock', name, holder: null };
    this.#onWait = onWait;
  }

  /** As views and a witness call it. */
  get name(): string {
    return this.#reason.name;
  }

  /** Takes the lock; undefined if it was free and is taken at once. */
  lock(): Pending {
    if (this.#loop.witness !== null) this.#loop.witness.locks(this, this.#reason.name);
    if (this.isLocked) {
      this.#onWait(this.#reason);
      return this.#queue.wait(this.#reason);
    }
    this.isLocked = true;
    this.#reason.holder = this.#loop.current;
    return undefined;
  }

  /** Runs `body` under the lock. */
  hold(body: () => Pending): Pending {
    const locking = this.lock();
    if (locking !== undefined) return run(this.#holdAfter(locking, body));
    let pending: Pending;
    try {
      pending = body();
    } catch (error) {
      this.unlock();
      throw error;
    }
    if (pending !== undefined) return run(this.#unlockAfter(pending));
    this.unlock();
    return undefined;
  }

  /** Runs steps of the same coroutine under the lock. */
  *holding<T>(steps: Steps<T>): Steps<T> {
    yield this.lock();
    try {
      return yield* steps;
    } finally {
      this.unlock();
    }
  }

  /** Runs steps without the lock, which their coroutine holds before and after them. */
  *releasing<T>(steps: Steps<T>): Steps<T> {
    this.unlock();
    try {
      return yield* steps;
    } finally {
      yield this.lock();
    }
  }

  *#holdAfter(locking: Promise<void>, body: () => Pending): Steps<void> {
    yield locking;
    try {
      yield body();
    } finally {
      this.unlock();
    }
  }

  *#unlockAfter(pending: Promise<void>): Steps<void> {
    try {
      yield pending;
    } finally {
      this.unlock();
    }
  }

  /** Gives the lock to the one that has waited longest, if there is one. */
  unlock(): void {
    const next = this.#queue.wakeOne();
    this.isLocked = next !== null;
    this.#reason.holder = next;
    if (this.#loop.witness !== null) this.#loop.witness.unlocks(this, this.isLocked);
  }
}
