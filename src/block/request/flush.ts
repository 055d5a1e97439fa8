/** Flush: from a node's own caches down to the host's stable storage. */
import { caught, later } from '../../util/answer.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Open, Perm } from '../flags.ts';
import type { WaitReason } from '../loop/loop.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { traceWait, whileTraced } from './traced.ts';

const waitsForFlush: WaitReason = { kind: 'flush' };

/** Puts everything that was written before this call on stable storage, as far as the cache mode asks for it. */
export function flush(node: BlockNode): Pending {
  if (node.isReadOnly || node.closed) return undefined;
  return node.trace.active ? tracedFlush(node) : startFlush(node);
}

function tracedFlush(node: BlockNode): Pending {
  return whileTraced(node, 'flush', 0, 0, () => startFlush(node));
}

function startFlush(node: BlockNode): Pending {
  const generation = node.writeGeneration;
  node.inFlight += 1;
  if (node.flushActive) return flushInTurn(node, generation);
  node.flushActive = true;
  let pending: Pending;
  try {
    pending = flushOnce(node, generation);
  } catch (error) {
    endFlush(node);
    throw error;
  }
  if (pending !== undefined) return endFlushAfter(node, generation, pending);
  node.flushedGeneration = generation;
  endFlush(node);
  return undefined;
}

async function flushInTurn(node: BlockNode, generation: number): Promise<void> {
  while (node.flushActive) {
    traceWait(node, waitsForFlush);
    await node.flushQueue.wait(waitsForFlush);
  }
  node.flushActive = true;
  await endFlushAfter(
    node,
    generation,
    caught(() => flushOnce(node, generation)),
  );
}

async function endFlushAfter(node: BlockNode, generation: number, pending: Pending): Promise<void> {
  try {
    await pending;
    node.flushedGeneration = generation;
  } finally {
    endFlush(node);
  }
}

function endFlush(node: BlockNode): void {
  node.flushActive = false;
  node.flushQueue.wakeOne();
  node.inFlight -= 1;
}

// One flush is these four steps. Each goes on to the next, at once or when it has waited.

function flushOnce(node: BlockNode, generation: number): Pending {
  const { driver, primaryChild } = node;
  if (driver.flush !== undefined) return driver.flush(node);
  const told = primaryChild === null ? undefined : primaryChild.node.debugEvent(Event.FLUSH_TO_OS);
  return told === undefined ? flushToOs(node, generation) : later(told, flushToOs, node, generation);
}

/** What the driver caches goes to the host even with cache=unsafe. */
function flushToOs(node: BlockNode, generation: number): Pending {
  const writing = node.driver.flushToOs?.(node);
  return writing === undefined ? announceDisk(node, generation) : later(writing, announceDisk, node, generation);
}

function announceDisk(node: BlockNode, generation: number): Pending {
  const mayReachDisk = (node.openFlags & Open.NO_FLUSH) === 0 && node.flushedGeneration !== generation;
  if (!mayReachDisk) return flushChildren(node);
  const { primaryChild } = node;
  const told = primaryChild === null ? undefined : primaryChild.node.debugEvent(Event.FLUSH_TO_DISK);
  return told === undefined ? flushToDisk(node) : later(told, flushToDisk, node);
}

function flushToDisk(node: BlockNode): Pending {
  // What the driver wrote may have shown that the image is corrupt.
  checkOpen(node);
  const syncing = node.driver.flushToDisk?.(node);
  return syncing === undefined ? flushChildren(node) : later(syncing, flushChildren, node);
}

function isWritten(perm: number): boolean {
  return (perm & (Perm.WRITE | Perm.WRITE_UNCHANGED)) !== 0;
}

/** Every child that this node may write to is flushed, also after one has failed; the first error counts. */
function flushChildren(node: BlockNode): Pending {
  let only: ChildLink | null = null;
  // Each write of a cache that is off comes here; an iterator costs more than the rest.
  const { children } = node;
  for (let index = 0; index < children.length; index += 1) {
    const child = children[index];
    if (child === undefined || !isWritten(child.perm)) continue;
    if (only !== null) return flushSeveral(node);
    only = child;
  }
  return only === null ? undefined : flush(only.node);
}

async function flushSeveral(node: BlockNode): Promise<void> {
  let first: BlockError | null = null;
  for (const child of node.children) {
    if (!isWritten(child.perm)) continue;
    try {
      await flush(child.node);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      first ??= error;
    }
  }
  if (first !== null) throw first;
}

/** Throws ENOMEDIUM for a node that was closed under the caller. */
export function checkOpen(node: BlockNode): void {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM);
}
