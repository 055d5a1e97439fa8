/** A wait for one value that continues what waits for it at once, without a job of Node in between. */

/** A part of a request that goes on when a wait is over. */
export interface Waiting<T> {
  continueWith(value: T): void;
  failWith(error: unknown): void;
}

/** A failure that nothing waited for when it came. */
class Unseen {
  readonly error: unknown;
  readonly #rejection: Promise<never>;

  constructor(error: unknown) {
    this.error = error;
    this.#rejection = Promise.reject(error);
  }

  see(): unknown {
    this.#rejection.catch(() => {});
    return this.error;
  }
}

/**
 * A promise that continues those that wait for it in the call that settles it. It may be awaited as any other; only
 * then are promises of Node made.
 *
 * Thousands may last at the same time: it has two fields, and private methods would be a third.
 */
export class Wait<T> implements Promise<T> {
  #state: 'waiting' | 'done' | 'failed' = 'waiting';
  /** Those that wait, then the value or the failure. */
  #content: unknown = null;

  get [Symbol.toStringTag](): string {
    return 'Wait';
  }

  /** Ends the wait, once. */
  settle(value: T): void {
    const waiting = this.#content as Waiting<T> | Waiting<T>[] | null;
    this.#state = 'done';
    this.#content = value;
    if (waiting === null) return;
    if (Array.isArray(waiting)) for (const one of waiting) one.continueWith(value);
    else waiting.continueWith(value);
  }

  /** Ends the wait with a failure. One that nothing waits for ends the program, as that of a promise does. */
  fail(error: unknown): void {
    const waiting = this.#content as Waiting<T> | Waiting<T>[] | null;
    this.#state = 'failed';
    this.#content = waiting === null ? new Unseen(error) : error;
    if (waiting === null) return;
    if (Array.isArray(waiting)) for (const one of waiting) one.failWith(error);
    else waiting.failWith(error);
  }

  /** Continues `waiting` when the wait is over, which may be at once; in the order of the calls. */
  whenOver(waiting: Waiting<T>): void {
    const content = this.#content;
    if (this.#state === 'done') waiting.continueWith(content as T);
    else if (this.#state === 'failed') waiting.failWith(content instanceof Unseen ? content.see() : content);
    else if (content === null) this.#content = waiting;
    else if (Array.isArray(content)) content.push(waiting);
    else this.#content = [content, waiting];
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise is what it is
  then<A = T, B = never>(
    onDone?: ((value: T) => A | PromiseLike<A>) | null,
    onFailed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return promiseOf(this).then(onDone, onFailed);
  }

  catch<B = never>(onFailed?: ((error: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return promiseOf(this).catch(onFailed);
  }

  finally(onOver?: (() => void) | null): Promise<T> {
    return promiseOf(this).finally(onOver);
  }
}

function promiseOf<T>(wait: Wait<T>): Promise<T> {
  return new Promise((resolve, reject) => wait.whenOver({ continueWith: resolve, failWith: reject }));
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
