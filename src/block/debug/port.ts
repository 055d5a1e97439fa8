/**
 * The debug port of a node: breakpoints and rules, as the shell and the views use them.
 *
 * A driver that can suspend requests and inject errors (blkdebug) offers one for each of its nodes. Commands address
 * the first such node from the top down.
 */
import { Errno } from '../../util/errno.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import type { Answer } from '../../util/steps.ts';
import type { Rules, RuleWords } from './rules.ts';

/** The tag under which `resume` and `cancel` find the requests that a rule delays. */
export const DELAY_TAG = 'delay';

/** A request that one breakpoint suspends. A request that several breakpoints suspend has one of these for each. */
export interface SuspendedRequest {
  readonly tag: string;
  /** Number of the request's coroutine. */
  readonly request: number;
  readonly operation: string;
  /** The range of the guest's disk in bytes; null for a request without one (flush). */
  readonly guestOffset: number | null;
  readonly bytes: number | null;
  /** The request that it is a part of; left out for one that stands by itself. */
  readonly parent?: number;
  /** The client of an export that asked for it; left out for the shell's own requests. */
  readonly client?: string;
  /** The event that it is suspended at, or its request to the file: "file write 64k@0x50000". */
  readonly event: string;
  /** Since when, in nanoseconds of the loop's clock. */
  readonly sinceNs: number;
}

/** Where a request is to be stopped once: what stepping sets. */
export interface StopPlace {
  /** The request's number. */
  readonly request: number;
  /** Null for every event. */
  readonly event: string | null;
}

/** A stop that waits for its request. */
export interface Stop extends StopPlace {
  readonly tag: string;
}

/** A part of the file below a debug node whose change is watched. */
export interface WatchedPlace {
  /** "L2 entry", "refcount", "data". */
  readonly what: string;
  /** In bytes of the file. */
  readonly offset: number;
  readonly bytes: number;
  /** The bits of its one byte that belong to it; left out for whole bytes. */
  readonly bits?: number;
}

/** The places that a watch looks at, as they are now: tables move. */
export type WatchedPlaces = () => Answer<readonly WatchedPlace[]>;

/** Breakpoints and rules of one node. */
export interface DebugPort {
  /** The rules of the node; a breakpoint is a rule, too. */
  readonly rules: Rules;

  /**
   * Sets a breakpoint, one-shot unless `conditions` says otherwise. "*" is any event. ENOENT for an unknown event,
   * EINVAL for conditions that make no sense.
   */
  setBreakpoint(event: string, tag: string, conditions?: RuleWords): void;
  /**
   * Prints a line with `text` at an event, each time; requests go on. The number of the rule. Fails as `setBreakpoint`.
   */
  setLogPoint(event: string, text: string, conditions?: RuleWords): number;
  /**
   * Suspends every request that is about to change one of the places in the file, before it does. `words` are what the
   * user watches, and conditions. The number of the rule; EINVAL for conditions that make no sense.
   */
  setWatch(tag: string, words: RuleWords, places: WatchedPlaces): number;
  /**
   * Stops a request once, where no breakpoint need be: at its next event, or at the next that is this one. The function
   * takes the stop back. ENOENT for an unknown event.
   */
  stopAt(tag: string, place: StopPlace): () => void;
  /** The stops that have not acted yet. */
  stops(): readonly Stop[];
  /**
   * Removes the breakpoints of a tag and resumes what they suspend. ENOENT if no breakpoint of this tag was still set.
   */
  removeBreakpoints(tag: string): Promise<void>;
  /**
   * Resumes the newest request suspended under this tag; under that of delays, if none is, the one that began to wait
   * last. ENOENT if there is none.
   */
  resume(tag: string): Promise<void>;
  /** Resumes one suspended request, by its number, whatever its tag. False if it is not suspended. */
  resumeRequest(request: number): Promise<boolean>;
  /**
   * Resumes every request that is suspended now, whatever its tag, oldest first, and ends all delays. ENOENT if there
   * is none, ECANCELED if it is interrupted between two of them.
   */
  resumeAll(): Promise<void>;
  /**
   * Cancels and resumes every request suspended under this tag, or delayed: each ends with ECANCELED. ENOENT if there
   * is none.
   */
  cancel(tag: string): Promise<void>;
  /** Cancels and resumes one request that is suspended or delayed, by its number. False if it is not. */
  cancelRequest(request: number): Promise<boolean>;
  /** Whether a request is suspended under this tag, or delayed. */
  isSuspended(tag: string): boolean;
  /** Whether a breakpoint of this tag is set that can still suspend a request. */
  isArmed(tag: string): boolean;
  /** All suspended requests, newest first. */
  suspended(): readonly SuspendedRequest[];
}

/** The first node, from `top` down its primary children, that has a debug port; null if none has. */
export function debugNode(top: BlockNode): BlockNode | null {
  for (let node: BlockNode | null = top; node !== null; node = node.primaryChild?.node ?? null) {
    if (node.driver.debugPort !== undefined) return node;
  }
  return null;
}

/** The debug port of a node; undefined if its driver has none. */
export function portOf(node: BlockNode): DebugPort | undefined {
  return node.driver.debugPort?.(node);
}

/** The debug port that commands on the image of `top` address; undefined if no node has one. */
export function findDebugPort(top: BlockNode): DebugPort | undefined {
  const node = debugNode(top);
  return node === null ? undefined : portOf(node);
}

/** The debug port that commands on the image of `top` address. ENOTSUP if no node has one. */
export function debugPort(top: BlockNode): DebugPort {
  const port = findDebugPort(top);
  if (port === undefined) throw new BlockError(Errno.ENOTSUP);
  return port;
}

/** The port for setting and removing breakpoints. ENOTSUP also below a node that turned out to be corrupt. */
export function breakpointPort(top: BlockNode): DebugPort {
  const port = debugPort(top);
  const found = debugNode(top);
  for (let node = top; node !== found && node.primaryChild !== null; node = node.primaryChild.node) {
    if (node.closed) throw new BlockError(Errno.ENOTSUP);
  }
  return port;
}

/** All suspended requests of an image, newest first. */
export function suspendedRequests(top: BlockNode): readonly SuspendedRequest[] {
  return findDebugPort(top)?.suspended() ?? [];
}

/**
 * All nodes of the graph below `top` that have a debug port, itself included; the one that commands address comes
 * first.
 */
export function debugNodes(top: BlockNode): BlockNode[] {
  const first = debugNode(top);
  const nodes = new Set<BlockNode>(first === null ? [] : [first]);
  const visit = (node: BlockNode): void => {
    nodes.add(node);
    for (const child of node.children) visit(child.node);
  };
  visit(top);
  return [...nodes].filter(({ driver }) => driver.debugPort !== undefined);
}
