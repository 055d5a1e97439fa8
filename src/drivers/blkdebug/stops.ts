/** Stops for one request: what stepping sets beside the rules of a node. Each acts once. */
import type { DebugEvent } from '../../block/events/events.ts';
import type { Coroutine } from '../../block/loop/loop.ts';

/** A stop that waits. */
export interface WaitingStop {
  readonly tag: string;
  /** The number of the request that it is for. */
  readonly request: number;
  /** Null for any event. */
  readonly event: DebugEvent | null;
}

/** The stops of one node. */
export class Stops {
  /** Those that wait, oldest first; while there are none, an event costs nothing. Only changed in here. */
  waiting: readonly WaitingStop[] = [];

  /** Adds a stop; the function takes it back, if it has not acted yet. */
  add(stop: WaitingStop): () => void {
    this.waiting = [...this.waiting, stop];
    return () => this.#remove(stop);
  }

  #remove(stop: WaitingStop): void {
    this.waiting = this.waiting.filter((other) => other !== stop);
  }

  /** Whether a stop of this tag waits. */
  has(tag: string): boolean {
    return this.waiting.some((stop) => stop.tag === tag);
  }

  /** Removes those of a tag, or all; false if there was none. */
  clear(tag: string | null): boolean {
    const before = this.waiting.length;
    this.waiting = tag === null ? [] : this.waiting.filter((stop) => stop.tag !== tag);
    return this.waiting.length < before;
  }

  /** The tag of the stop that an event of a request meets, which is used up; null if it meets none. */
  take(coroutine: Coroutine | null, event: DebugEvent): string | null {
    if (coroutine === null || coroutine.cancelled) return null;
    const met = this.waiting.find(
      (stop) => stop.request === coroutine.id && (stop.event === null || stop.event === event),
    );
    if (met === undefined) return null;
    this.#remove(met);
    return met.tag;
  }
}
