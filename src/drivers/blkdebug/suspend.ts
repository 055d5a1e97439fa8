/**
 * The requests that wait at breakpoints, found by tag.
 *
 * A request that hits several breakpoints with one event is held once by each: it has an entry for each tag and goes on
 * when all of them were resumed, in whatever order:
 *
 *     pwritev fires     held by B, held by A        waits
 *     resume A          held by B                   waits
 *     resume B                                      goes on
 */
import type { SuspendedRequest } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { type DebugEvent, eventByName, type EventName, eventName } from '../../block/events/events.ts';
import type { Coroutine, EventLoop } from '../../block/loop/loop.ts';
import type { RuleSettings } from '../../block/debug/rule-book.ts';
import { Errno } from '../../util/errno.ts';
import { makeRule } from './rules/index.ts';
import type { SuspendRule } from './rules/suspend.ts';
import type { BlkdebugNode } from './state.ts';

/** One request held by one breakpoint. */
export class Hold implements SuspendedRequest {
  readonly tag: string;
  readonly stop: Stop;
  readonly sinceNs: number;

  constructor(tag: string, stop: Stop, sinceNs: number) {
    this.tag = tag;
    this.stop = stop;
    this.sinceNs = sinceNs;
  }

  get requestId(): number {
    return this.stop.coroutine.id;
  }

  get operation(): string {
    return this.stop.coroutine.operation;
  }

  get offset(): number {
    return this.stop.coroutine.offset ?? 0;
  }

  get bytes(): number {
    return this.stop.coroutine.bytes ?? 0;
  }

  get event(): EventName {
    return this.stop.event;
  }
}

/** One request stopped at one event, by one or more breakpoints. */
export class Stop {
  readonly coroutine: Coroutine;
  readonly event: EventName;
  /** The breakpoints that hold it still, in the order in which they were hit. */
  readonly holds = new Set<Hold>();

  constructor(coroutine: Coroutine, event: DebugEvent) {
    this.coroutine = coroutine;
    this.event = eventName(event);
  }

  /** Parks the running coroutine, which is the one of this stop, until nothing holds it. */
  async wait(loop: EventLoop): Promise<void> {
    for (let [hold] = this.holds; hold !== undefined; [hold] = this.holds) {
      await loop.park({ kind: 'breakpoint', tag: hold.tag, event: this.event });
    }
  }
}

/** All holds of a node, by tag and in order of time. */
export class SuspendedRequests {
  readonly #all = new Set<Hold>();
  readonly #byTag = new Map<string, Hold[]>();

  /** Whether a request is held under this tag. */
  has(tag: string): boolean {
    return this.#byTag.has(tag);
  }

  /** All holds; a request that several breakpoints hold is there once for each. */
  newestFirst(): Hold[] {
    return [...this.#all].reverse();
  }

  /** Notes a hold as the newest. */
  add(hold: Hold): void {
    hold.stop.holds.add(hold);
    this.#all.add(hold);
    const sameTag = this.#byTag.get(hold.tag);
    if (sameTag === undefined) this.#byTag.set(hold.tag, [hold]);
    else sameTag.push(hold);
  }

  /** Takes the newest of a tag out; undefined if there is none. */
  takeNewest(tag: string): Hold | undefined {
    const hold = this.#byTag.get(tag)?.at(-1);
    if (hold !== undefined) this.take(hold);
    return hold;
  }

  /** Takes out a hold that is in. Whoever calls it wakes the request if that was the last one. */
  take(hold: Hold): void {
    hold.stop.holds.delete(hold);
    this.#all.delete(hold);
    const sameTag = this.#byTag.get(hold.tag);
    if (sameTag === undefined) return;
    if (sameTag.at(-1) === hold) sameTag.pop();
    else sameTag.splice(sameTag.indexOf(hold), 1);
    if (sameTag.length === 0) this.#byTag.delete(hold.tag);
  }
}

/** Suspends the running request by a breakpoint that its event has hit. It waits in `stop`, for this one and others. */
export function suspendAt(node: BlkdebugNode, rule: SuspendRule, stop: Stop): void {
  node.state.suspended.add(new Hold(rule.tag, stop, node.loop.clock.nowNs()));
  node.context.say(`blkdebug: Suspended request '${rule.tag}'`);
  node.trace.emit(stop.coroutine.id, node.nodeName, { kind: 'suspend', tag: rule.tag, event: stop.event });
}

/** Lets the newest request go on that is suspended under this tag, until it waits again or ends. False if none is. */
async function resumeNewest(node: BlkdebugNode, tag: string): Promise<boolean> {
  const hold = node.state.suspended.takeNewest(tag);
  if (hold === undefined) return false;
  await letGo(node, hold);
  return true;
}

/** Lets a request go on that was taken out of the suspended ones. */
async function letGo(node: BlkdebugNode, hold: Hold): Promise<void> {
  node.context.say(`blkdebug: Resuming request '${hold.tag}'`);
  traceResume(node, hold);
  await node.loop.enter(hold.stop.coroutine);
}

function traceResume(node: BlkdebugNode, { stop, tag }: Hold): void {
  node.trace.emit(stop.coroutine.id, node.nodeName, { kind: 'resume', tag });
}

/** The debug methods of the driver contract that deal with breakpoints. */
export const breakpointMethods = {
  debugBreakpoint(node: BlkdebugNode, event: string, tag: string, conditions?: RuleSettings): void {
    if (eventByName(event) === undefined) throw new BlockError(Errno.ENOENT);
    node.state.rules.add(makeRule('suspend', new Map([...(conditions ?? []), ['event', event], ['tag', tag]]), node));
  },

  async debugResume(node: BlkdebugNode, tag: string): Promise<void> {
    if (!(await resumeNewest(node, tag))) throw new BlockError(Errno.ENOENT);
  },

  /** What is suspended anew on the way, by a breakpoint further on, stays. */
  async debugResumeAll(node: BlkdebugNode): Promise<void> {
    const { suspended } = node.state;
    const holds = suspended.newestFirst().reverse();
    if (holds.length === 0) throw new BlockError(Errno.ENOENT);
    for (const hold of holds) {
      // Another one may have taken it out, on its way.
      if (!hold.stop.holds.has(hold)) continue;
      suspended.take(hold);
      await letGo(node, hold);
    }
  },

  /**
   * Observed with qemu-io 7.2.22: suspended requests are resumed, but only breakpoints that were still set count as
   * found, so that the error comes also after "Resuming request".
   */
  async debugRemoveBreakpoint(node: BlkdebugNode, tag: string): Promise<void> {
    const found = node.state.rules.hasBreakpoint(tag);
    for (const rule of node.state.rules.breakpoints(tag)) node.state.rules.remove(rule);
    while (await resumeNewest(node, tag));
    if (!found) throw new BlockError(Errno.ENOENT);
  },

  debugIsSuspended(node: BlkdebugNode, tag: string): boolean {
    return node.state.suspended.has(tag);
  },

  debugIsArmed(node: BlkdebugNode, tag: string): boolean {
    return node.state.rules.hasBreakpoint(tag);
  },

  debugSuspended(node: BlkdebugNode): readonly SuspendedRequest[] {
    return node.state.suspended.newestFirst();
  },

  /** A cancelled request is let go by the breakpoints of other tags as well: it must not stay. */
  async debugCancel(node: BlkdebugNode, tag: string): Promise<void> {
    const { suspended } = node.state;
    let hold = suspended.takeNewest(tag);
    if (hold === undefined) throw new BlockError(Errno.ENOENT);
    for (; hold !== undefined; hold = suspended.takeNewest(tag)) {
      const { stop } = hold;
      traceResume(node, hold);
      for (const other of stop.holds) {
        suspended.take(other);
        traceResume(node, other);
      }
      node.loop.cancel(stop.coroutine);
      await node.loop.enter(stop.coroutine);
    }
  },
};
