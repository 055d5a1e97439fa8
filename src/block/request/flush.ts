/** Flush: from a node's own caches down to the host's stable storage. */
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Open, Perm } from '../flags.ts';
import type { WaitReason } from '../loop/loop.ts';
import type { Witness } from '../loop/witness.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { runRequest, traceWait } from './traced.ts';

const waitsForFlush: WaitReason = { kind: 'flush' };

/** Puts everything that was written before this call on stable storage, as far as the cache mode asks for it. */
export function flush(node: BlockNode): Pending {
  if (node.isReadOnly || node.closed) return undefined;
  return runRequest(node, 'flush', 0, 0, () => flushInTurn(node));
}

/** Flushes a node when a write to it has ended. */
export function flushAfter(node: BlockNode, writing: Pending): Pending {
  return writing === undefined ? flush(node) : run(flushWhenWritten(node, writing));
}

function* flushWhenWritten(node: BlockNode, writing: Promise<void>): Steps<void> {
  yield writing;
  yield flush(node);
}

/** Flushes of a node that has nothing of its own to write come to the same in any order: no witness need see them. */
function witnessOfFlush({ driver, loop }: BlockNode): Witness | null {
  return driver.flushToOs === undefined ? null : loop.witness;
}

/** One flush of a node at a time; those that come meanwhile wait for their turn. */
function flushInTurn(node: BlockNode): Pending {
  const generation = node.writeGeneration;
  witnessOfFlush(node)?.locks(node.flushQueue, `flush of ${node.nodeName}`);
  node.inFlight += 1;
  return node.flushActive ? run(flushLater(node, generation)) : flushNow(node, generation);
}

function* flushLater(node: BlockNode, generation: number): Steps<void> {
  while (node.flushActive) {
    traceWait(node, waitsForFlush);
    yield node.flushQueue.wait(waitsForFlush);
  }
  yield flushNow(node, generation);
}

function flushNow(node: BlockNode, generation: number): Pending {
  node.flushActive = true;
  let flushing: Pending;
  try {
    flushing = flushOnce(node, generation);
  } catch (error) {
    endFlush(node);
    throw error;
  }
  if (flushing !== undefined) return run(endFlushAfter(node, generation, flushing));
  node.flushedGeneration = generation;
  endFlush(node);
  return undefined;
}

function* endFlushAfter(node: BlockNode, generation: number, flushing: Promise<void>): Steps<void> {
  try {
    yield flushing;
    node.flushedGeneration = generation;
  } finally {
    endFlush(node);
  }
}

function endFlush(node: BlockNode): void {
  node.flushActive = false;
  const isPassedOn = node.flushQueue.wakeOne() !== null;
  witnessOfFlush(node)?.unlocks(node.flushQueue, isPassedOn);
  node.inFlight -= 1;
}

// One flush is these steps, each of which goes on to the next. They are no generator: every write of a cache that is
// off comes here, and has nothing to wait for.

function flushOnce(node: BlockNode, generation: number): Pending {
  if (node.driver.flush !== undefined) return node.driver.flush(node);
  const told = node.primaryChild?.node.debugEvent(Event.FLUSH_TO_OS);
  return told === undefined ? flushToOs(node, generation) : run(after(told, () => flushToOs(node, generation)));
}

/** The driver's own caches go to the host even with cache=unsafe. */
function flushToOs(node: BlockNode, generation: number): Pending {
  const writing = node.driver.flushToOs?.(node);
  return writing === undefined
    ? announceDisk(node, generation)
    : run(after(writing, () => announceDisk(node, generation)));
}

function announceDisk(node: BlockNode, generation: number): Pending {
  if ((node.openFlags & Open.NO_FLUSH) !== 0 || node.flushedGeneration === generation) return flushChildren(node);
  const told = node.primaryChild?.node.debugEvent(Event.FLUSH_TO_DISK);
  return told === undefined ? flushToDisk(node) : run(after(told, () => flushToDisk(node)));
}

function flushToDisk(node: BlockNode): Pending {
  // What the driver wrote may have shown that the image is corrupt.
  checkOpen(node);
  const syncing = node.driver.flushToDisk?.(node);
  return syncing === undefined ? flushChildren(node) : run(after(syncing, () => flushChildren(node)));
}

function* after(pending: Promise<void>, next: () => Pending): Steps<void> {
  yield pending;
  yield next();
}

/** Every child that this node may write to is flushed. */
function flushChildren(node: BlockNode): Pending {
  let only: BlockNode | null = null;
  for (let index = 0; index < node.children.length; index += 1) {
    const child = node.children[index];
    if (child === undefined || !isWritten(child)) continue;
    if (only !== null) return run(flushSeveral(node));
    only = child.node;
  }
  return only === null ? undefined : flush(only);
}

/** Goes on after one has failed; the first error counts. */
function* flushSeveral({ children }: BlockNode): Steps<void> {
  let failure: BlockError | null = null;
  for (let index = 0; index < children.length; index += 1) {
    const child = children[index];
    if (child === undefined || !isWritten(child)) continue;
    try {
      yield flush(child.node);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      failure ??= error;
    }
  }
  if (failure !== null) throw failure;
}

function isWritten({ perm }: ChildLink): boolean {
  return (perm & (Perm.WRITE | Perm.WRITE_UNCHANGED)) !== 0;
}
