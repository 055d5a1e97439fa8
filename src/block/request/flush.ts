/** Flush: from a node's own caches down to the host's stable storage. */
import { Errno } from '../../util/errno.ts';
import type { Pending } from '../driver.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events.ts';
import { Open, Perm } from '../flags.ts';
import type { WaitReason } from '../loop.ts';
import { childEvent, type BlockNode } from '../node.ts';
import { traceWait, whileTraced } from './traced.ts';

const waitsForFlush: WaitReason = { kind: 'flush' };

/** Puts everything that was written before this call on stable storage, as far as the cache mode asks for it. */
export function flush(node: BlockNode): Pending {
  if (node.isReadOnly || node.closed) return undefined;
  return node.trace.active ? whileTraced(node, 'flush', 0, 0, () => startFlush(node)) : startFlush(node);
}

function startFlush(node: BlockNode): Pending {
  return isImmediate(node) ? flushImmediately(node) : flushInTurn(node);
}

/** Whether nothing of the flush can wait before the driver's own call, and the children of the node come to nothing more. */
function isImmediate(node: BlockNode): boolean {
  const { driver } = node;
  if (node.flushActive || driver.flush !== undefined || driver.flushToOs !== undefined) return false;
  return node.children.length <= 1 && node.primaryChild?.node.driver.debugEvent === undefined;
}

/** As `flushInTurn` for a node that passes that check: the same steps without a promise where none is needed. */
function flushImmediately(node: BlockNode): Pending {
  const generation = node.writeGeneration;
  node.inFlight += 1;
  node.flushActive = true;
  const primary = node.primaryChild?.node;
  primary?.noteEvent(Event.FLUSH_TO_OS);
  let pending: Pending;
  try {
    if (mayReachDisk(node, generation)) {
      primary?.noteEvent(Event.FLUSH_TO_DISK);
      pending = node.driver.flushToDisk?.(node);
    }
    if (pending === undefined) {
      const child = node.children[0];
      pending = child !== undefined && isWritten(child.perm) ? flush(child.node) : undefined;
    } else {
      pending = pending.then(() => flushChildren(node));
    }
  } catch (error) {
    endFlush(node);
    throw error;
  }
  if (pending !== undefined) return endFlushAfter(node, generation, pending);
  node.flushedGeneration = generation;
  endFlush(node);
  return undefined;
}

async function flushInTurn(node: BlockNode): Promise<void> {
  node.inFlight += 1;
  const generation = node.writeGeneration;
  while (node.flushActive) {
    traceWait(node, waitsForFlush);
    await node.flushQueue.wait(waitsForFlush);
  }
  node.flushActive = true;
  await endFlushAfter(node, generation, flushOnce(node, generation));
}

async function endFlushAfter(node: BlockNode, generation: number, pending: Promise<void>): Promise<void> {
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

async function flushOnce(node: BlockNode, generation: number): Promise<void> {
  const { driver } = node;
  if (driver.flush !== undefined) {
    await driver.flush(node);
    return;
  }
  const primary = node.primaryChild;

  // What the driver caches goes to the host even with cache=unsafe.
  await childEvent(primary, Event.FLUSH_TO_OS);
  await driver.flushToOs?.(node);

  if (mayReachDisk(node, generation)) {
    await childEvent(primary, Event.FLUSH_TO_DISK);
    // What the driver wrote may have shown that the image is corrupt.
    checkOpen(node);
    await driver.flushToDisk?.(node);
  }
  await flushChildren(node);
}

function mayReachDisk(node: BlockNode, generation: number): boolean {
  return (node.openFlags & Open.NO_FLUSH) === 0 && node.flushedGeneration !== generation;
}

function isWritten(perm: number): boolean {
  return (perm & (Perm.WRITE | Perm.WRITE_UNCHANGED)) !== 0;
}

/** Every child that this node may write to is flushed, also after one has failed; the first error counts. */
async function flushChildren(node: BlockNode): Promise<void> {
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
