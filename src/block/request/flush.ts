/** Flush: from a node's own caches down to the host's stable storage. */
import { Errno } from '../../util/errno.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events.ts';
import { Open, Perm } from '../flags.ts';
import { childEvent, type BlockNode } from '../node.ts';

const waitsForFlush = { kind: 'flush' } as const;

/** Puts everything that was written before this call on stable storage, as far as the cache mode asks for it. */
export async function flush(node: BlockNode): Promise<void> {
  if (node.isReadOnly) return;
  node.inFlight += 1;
  try {
    const generation = node.writeGeneration;
    while (node.flushActive) await node.flushQueue.wait(waitsForFlush);
    node.flushActive = true;
    try {
      await flushOnce(node, generation);
      node.flushedGeneration = generation;
    } finally {
      node.flushActive = false;
      node.flushQueue.wakeOne();
    }
  } finally {
    node.inFlight -= 1;
  }
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

  const mayReachDisk = (node.openFlags & Open.NO_FLUSH) === 0;
  if (mayReachDisk && node.flushedGeneration !== generation) {
    await childEvent(primary, Event.FLUSH_TO_DISK);
    await driver.flushToDisk?.(node);
  }
  await flushChildren(node);
}

/** Every child that this node may write to is flushed, also after one has failed; the first error counts. */
async function flushChildren(node: BlockNode): Promise<void> {
  let first: BlockError | null = null;
  for (const child of node.children) {
    if ((child.perm & (Perm.WRITE | Perm.WRITE_UNCHANGED)) === 0) continue;
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
