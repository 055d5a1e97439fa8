/**
 * The requests that breakpoints suspend, found by tag.
 *
 * A request that hits several breakpoints with one event is suspended once by each: it has a suspension for each tag
 * and goes on when all of them were resumed, in whatever order:
 *
 *     pwritev fires     suspended by B, suspended by A    waits
 *     resume A          suspended by B                    waits
 *     resume B                                            goes on
 */
import type { SuspendedRequest } from '../../block/debug/port.ts';
import { type DebugEvent, eventName } from '../../block/events/events.ts';
import { viewOf } from '../../block/loop/in-flight.ts';
import type { Coroutine, EventLoop } from '../../block/loop/loop.ts';
import type { Steps } from '../../util/steps.ts';
import type { BlkdebugNode } from './state.ts';

/** One request stopped at one event, by one or more breakpoints. */
export class StoppedRequest {
  readonly coroutine: Coroutine;
  readonly event: string;
  /** The suspensions that remain, in the order in which the breakpoints were hit. */
  readonly suspensions = new Set<Suspension>();

  /** `place` is an event, or a request to the file in words. */
  constructor(coroutine: Coroutine, place: DebugEvent | string) {
    this.coroutine = coroutine;
    this.event = typeof place === 'string' ? place : eventName(place);
  }

  /** Parks the running coroutine, which is the one of this request, until nothing suspends it. */
  *wait(loop: EventLoop): Steps<void> {
    for (let [first] = this.suspensions; first !== undefined; [first] = this.suspensions) {
      yield loop.park({ kind: 'breakpoint', tag: first.view.tag, event: this.event });
    }
  }
}

/** One request suspended by one breakpoint. */
export class Suspension {
  readonly stopped: StoppedRequest;
  /** The suspension as commands and views show it. A request that waits keeps its label. */
  readonly view: SuspendedRequest;

  constructor(tag: string, stopped: StoppedRequest, sinceNs: number) {
    this.stopped = stopped;
    this.view = { tag, ...viewOf(stopped.coroutine), event: stopped.event, sinceNs };
  }
}

/** All suspensions of a node, by tag and in order of time. */
export class SuspendedRequests {
  readonly #all = new Set<Suspension>();
  readonly #byTag = new Map<string, Suspension[]>();

  /** Whether a request is suspended under this tag. */
  has(tag: string): boolean {
    return this.#byTag.has(tag);
  }

  /** All suspensions. */
  newestFirst(): Suspension[] {
    return [...this.#all].reverse();
  }

  /** Adds a suspension as the newest. */
  add(suspension: Suspension): void {
    const { tag } = suspension.view;
    suspension.stopped.suspensions.add(suspension);
    this.#all.add(suspension);
    const sameTag = this.#byTag.get(tag);
    if (sameTag === undefined) this.#byTag.set(tag, [suspension]);
    else sameTag.push(suspension);
  }

  /** Removes the newest suspension of a tag, and gives it; undefined if there is none. */
  removeNewest(tag: string): Suspension | undefined {
    const suspension = this.#byTag.get(tag)?.at(-1);
    if (suspension !== undefined) this.remove(suspension);
    return suspension;
  }

  /** Removes a suspension of this node. The caller enters the request, which goes on if that was its last one. */
  remove(suspension: Suspension): void {
    const { tag } = suspension.view;
    suspension.stopped.suspensions.delete(suspension);
    this.#all.delete(suspension);
    const sameTag = this.#byTag.get(tag);
    if (sameTag === undefined) return;
    if (sameTag.at(-1) === suspension) sameTag.pop();
    else sameTag.splice(sameTag.indexOf(suspension), 1);
    if (sameTag.length === 0) this.#byTag.delete(tag);
  }
}

/** Suspends the running request, which waits in `stopped`, under a tag. */
export function suspend(node: BlkdebugNode, tag: string, stopped: StoppedRequest): void {
  node.state.suspended.add(new Suspension(tag, stopped, node.loop.clock.nowNs()));
  node.context.say(`blkdebug: Suspended request '${tag}'`);
  node.trace.emit(stopped.coroutine.id, node.nodeName, { kind: 'suspend', tag, event: stopped.event });
}
