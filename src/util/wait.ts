/** A wait for one value that continues what waits for it at once, without a job of Node in between. */

/** A part of a request that goes on when a wait is over. */
export interface Waiting<T> {
  continueWith(value: T): void;
  failWith(error: unknown): void;
}

/**
 * A promise that continues those that wait for it in the call that settles it, and costs little while it lasts. It may
 * be awaited as any other; only then is a promise of Node made of it.
 */
export class Wait<T> implements Promise<T> {
  #state: 'waiting' | 'done' | 'failed' = 'waiting';
  /** The value, or the failure. */
  #result: unknown = undefined;
  #waiting: Waiting<T> | Waiting<T>[] | null = null;
  #promise: Promise<T> | null = null;

  get [Symbol.toStringTag](): string {
    return 'Wait';
  }

  /** Ends the wait, once. */
  settle(value: T): void {
    this.#state = 'done';
    this.#result = value;
    this.#continue();
  }

  /** Ends the wait with a failure. One that nothing waits for ends the program, as that of a promise does. */
  fail(error: unknown): void {
    this.#state = 'failed';
    this.#result = error;
    if (this.#waiting === null) void this.#asPromise();
    else this.#continue();
  }

  /** Continues `waiting` when the wait is over, which may be at once; in the order of the calls. */
  whenOver(waiting: Waiting<T>): void {
    if (this.#state !== 'waiting') this.#tell(waiting);
    else if (this.#waiting === null) this.#waiting = waiting;
    else if (Array.isArray(this.#waiting)) this.#waiting.push(waiting);
    else this.#waiting = [this.#waiting, waiting];
  }

  #continue(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    if (!Array.isArray(waiting)) this.#tell(waiting);
    else for (const one of waiting) this.#tell(one);
  }

  #tell(waiting: Waiting<T>): void {
    if (this.#state === 'done') {
      waiting.continueWith(this.#result as T);
      return;
    }
    // The failure is seen now.
    this.#promise?.catch(() => {});
    waiting.failWith(this.#result);
  }

  #asPromise(): Promise<T> {
    this.#promise ??=
      this.#state === 'failed'
        ? Promise.reject(this.#result)
        : new Promise((resolve, reject) => this.whenOver({ continueWith: resolve, failWith: reject }));
    return this.#promise;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise is what it is
  then<A = T, B = never>(
    onDone?: ((value: T) => A | PromiseLike<A>) | null,
    onFailed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#asPromise().then(onDone, onFailed);
  }

  catch<B = never>(onFailed?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#asPromise().catch(onFailed);
  }

  finally(onOver?: (() => void) | null): Promise<T> {
    return this.#asPromise().finally(onOver);
  }
}

/** Continues `waiting` when `promise` is settled: at once if that is a `Wait`, else by a job of Node's. */
export function whenSettled<T>(promise: Promise<T>, waiting: Waiting<T>): void {
  if (promise instanceof Wait) promise.whenOver(waiting);
  else
    void promise.then(
      (value) => waiting.continueWith(value),
      (error: unknown) => waiting.failWith(error),
    );
}
