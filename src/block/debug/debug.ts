/** The debug methods as the shell calls them: passed down the chain to the first node that has them (blkdebug). */
import { Errno } from '../../util/errno.ts';
import type { SuspendedRequest } from '../driver.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import type { RuleSettings } from './rule-book.ts';

/** The first node, from `top` down its primary children, whose driver has breakpoints; null if none has. */
export function debugNode(top: BlockNode): BlockNode | null {
  for (let node: BlockNode | null = top; node !== null; node = node.primaryChild?.node ?? null) {
    if (node.driver.debugBreakpoint !== undefined) return node;
  }
  return null;
}

/** The same for one who sets or removes breakpoints: a node that turned out to be corrupt hides what is below it. */
function reachable(top: BlockNode): BlockNode {
  const found = required(top);
  for (let node = top; node !== found && node.primaryChild !== null; node = node.primaryChild.node) {
    if (node.closed) throw new BlockError(Errno.ENOTSUP);
  }
  return found;
}

function required(top: BlockNode): BlockNode {
  const node = debugNode(top);
  if (node === null) throw new BlockError(Errno.ENOTSUP);
  return node;
}

/**
 * Sets a breakpoint, with the conditions of a rule. ENOTSUP without a debug node, ENOENT for an unknown event, EINVAL for
 * conditions that make no sense.
 */
export function setBreakpoint(top: BlockNode, event: string, tag: string, conditions?: RuleSettings): void {
  const node = reachable(top);
  node.driver.debugBreakpoint?.(node, event, tag, conditions);
}

/** Removes breakpoints of a tag and resumes what is suspended under it. ENOENT if there is neither. */
export async function removeBreakpoint(top: BlockNode, tag: string): Promise<void> {
  const node = reachable(top);
  await node.driver.debugRemoveBreakpoint?.(node, tag);
}

/** Resumes the newest request suspended under a tag. ENOENT if there is none. */
export async function resumeRequest(top: BlockNode, tag: string): Promise<void> {
  const node = required(top);
  await node.driver.debugResume?.(node, tag);
}

/** Resumes every request that is suspended now, oldest first. ENOENT if there is none. */
export async function resumeAll(top: BlockNode): Promise<void> {
  const node = required(top);
  await node.driver.debugResumeAll?.(node);
}

/** Whether a request is suspended at a breakpoint of this tag; false without a node that has breakpoints. */
export function isSuspended(top: BlockNode, tag: string): boolean {
  const node = debugNode(top);
  return node?.driver.debugIsSuspended?.(node, tag) ?? false;
}

/** Whether a breakpoint of this tag is set that nothing has hit yet. */
export function isArmed(top: BlockNode, tag: string): boolean {
  const node = debugNode(top);
  return node?.driver.debugIsArmed?.(node, tag) ?? false;
}

/** All suspended requests, newest first. */
export function suspendedRequests(top: BlockNode): readonly SuspendedRequest[] {
  const node = debugNode(top);
  return node?.driver.debugSuspended?.(node) ?? [];
}

/** Cancels every request suspended under a tag: it ends with ECANCELED. */
export async function cancelSuspended(top: BlockNode, tag: string): Promise<void> {
  const node = required(top);
  await node.driver.debugCancel?.(node, tag);
}

/** All nodes of the graph below `top` that have rules, itself included; the one that breakpoints go to comes first. */
export function nodesWithRules(top: BlockNode): BlockNode[] {
  const first = debugNode(top);
  const nodes = new Set<BlockNode>(first === null ? [] : [first]);
  const visit = (node: BlockNode): void => {
    nodes.add(node);
    for (const child of node.children) visit(child.node);
  };
  visit(top);
  return [...nodes].filter(({ driver }) => driver.debugRules !== undefined);
}
