/**
 * The scheduler of a search: chooses, wherever a request stops, which one goes on.
 *
 * A request stops before each event of a node with breakpoints, and before each request to a file; it also waits for
 * locks and for other requests, where there is nothing to choose. The choice is made when nothing can run any more
 * without one, so that a case is a function of the scenario and of what the scheduler answers.
 */
import type { EventName } from '../block/events/events.ts';
import type { Coroutine, EventLoop } from '../block/loop/loop.ts';
import { assert } from '../util/assert.ts';
import type { FileRequest } from '../sandbox/disks/disk-log.ts';

/** A request at a stop. */
export interface Stop {
  /** Number of the request's coroutine. */
  readonly request: number;
  /** Its operation and range, as the views name them; offset and length in bytes. */
  readonly operation: string;
  readonly offset: number | undefined;
  readonly bytes: number | undefined;
  /** The step that it takes when it goes on: an event, or a request to a file. */
  readonly before:
    | { readonly kind: 'event'; readonly event: EventName; readonly node: string }
    /** The request itself, of which nothing has been done. */
    | { readonly kind: 'begin' }
    | { readonly kind: 'file'; readonly file: FileRequest };
}

/** One strategy, in one case. */
export interface Scheduler {
  /**
   * One of `stops`, oldest stop first, by its index; null: none, the case stays as it is. `current` is the request that
   * ran last, 0 at first.
   */
  choose(stops: readonly Stop[], current: number): number | null;
}

/** The requests at stops in one case. */
export class Stops {
  readonly #loop: EventLoop;
  readonly #scheduler: Scheduler;
  readonly #waiting: { readonly stop: Stop; readonly goOn: () => void }[] = [];
  #isArmed = false;
  #isOver = false;
  #current = 0;

  constructor(loop: EventLoop, scheduler: Scheduler) {
    this.#loop = loop;
    this.#scheduler = scheduler;
  }

  /** Stops the running request until it is chosen. Undefined outside of requests. */
  stop(before: Stop['before']): Promise<void> | undefined {
    const coroutine = this.#loop.current;
    if (coroutine === null || coroutine.cancelled) return undefined;
    return this.#loop.parkOutside({ kind: 'bottom-half' }, (arrived) => this.#add(coroutine, before, arrived));
  }

  /** The case is over: of requests that it has left at stops, as one that crashes or is given up does, none goes on. */
  end(): void {
    this.#isOver = true;
  }

  #add({ id, operation, offset, bytes }: Coroutine, before: Stop['before'], goOn: () => void): () => void {
    const entry = { stop: { request: id, operation, offset, bytes, before }, goOn };
    this.#waiting.push(entry);
    this.#arm();
    return () => {
      const index = this.#waiting.indexOf(entry);
      if (index >= 0) this.#waiting.splice(index, 1);
    };
  }

  /** Node comes to it when the loop sleeps, and never before. */
  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => this.#choose());
  }

  #choose(): void {
    this.#isArmed = false;
    if (this.#isOver || this.#waiting.length === 0) return;
    const index = this.#scheduler.choose(
      this.#waiting.map(({ stop }) => stop),
      this.#current,
    );
    if (index === null) return this.end();
    const [chosen] = this.#waiting.splice(index, 1);
    assert(chosen !== undefined, 'a scheduler chooses one of the stops');
    this.#current = chosen.stop.request;
    if (this.#waiting.length > 0) this.#arm();
    chosen.goOn();
  }
}
