/** Flush: from a node's own caches down to the host's stable storage. */
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Open, Perm } from '../flags.ts';
import type { WaitReason } from '../loop/loop.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { recorded, traceWait } from './traced.ts';

const waitsForFlush: WaitReason = { kind: 'flush' };

/** Puts everything that was written before this call on stable storage, as far as the cache mode asks for it. */
export function flush(node: BlockNode): Pending {
  if (node.isReadOnly || node.closed) return undefined;
  const steps = flushInTurn(node);
  return run(node.trace.active ? recorded(node, { operation: 'flush', offset: 0, bytes: 0 }, steps) : steps);
}

/** Flushes a node when a write to it has ended. */
export function flushAfter(node: BlockNode, writing: Pending): Pending {
  return writing === undefined ? flush(node) : run(flushWhenWritten(node, writing));
}

function* flushWhenWritten(node: BlockNode, writing: Promise<void>): Steps<void> {
  yield writing;
  yield flush(node);
}

/**
 * One flush of a node at a time; those that come meanwhile wait for their turn.
 *
 * Every write of a cache that is off comes here: it is one generator, and what has not to be waited for is not yielded.
 */
function* flushInTurn(node: BlockNode): Steps<void> {
  const generation = node.writeGeneration;
  // Flushes of a node that has nothing of its own to write come to the same in any order.
  const witness = node.driver.flushToOs === undefined ? null : node.loop.witness;
  witness?.locks(node.flushQueue, `flush of ${node.nodeName}`);
  node.inFlight += 1;
  while (node.flushActive) {
    traceWait(node, waitsForFlush);
    yield node.flushQueue.wait(waitsForFlush);
  }
  node.flushActive = true;
  try {
    if (node.driver.flush !== undefined) {
      yield node.driver.flush(node);
    } else {
      let pending = node.primaryChild?.node.debugEvent(Event.FLUSH_TO_OS);
      if (pending !== undefined) yield pending;
      // What the driver caches goes to the host even with cache=unsafe.
      pending = node.driver.flushToOs?.(node);
      if (pending !== undefined) yield pending;

      if ((node.openFlags & Open.NO_FLUSH) === 0 && node.flushedGeneration !== generation) {
        pending = node.primaryChild?.node.debugEvent(Event.FLUSH_TO_DISK);
        if (pending !== undefined) yield pending;
        // What the driver wrote may have shown that the image is corrupt.
        checkOpen(node);
        pending = node.driver.flushToDisk?.(node);
        if (pending !== undefined) yield pending;
      }
      pending = flushChildren(node, 0, null);
      if (pending !== undefined) yield pending;
    }
    node.flushedGeneration = generation;
  } finally {
    node.flushActive = false;
    const isPassedOn = node.flushQueue.wakeOne() !== null;
    witness?.unlocks(node.flushQueue, isPassedOn);
    node.inFlight -= 1;
  }
}

/**
 * Flushes those of a node's children that may have been written to, from number `first` on. All of them are flushed,
 * also after one has failed; the first error, which may be `failure`, counts.
 */
function flushChildren(node: BlockNode, first: number, failure: BlockError | null): Pending {
  const { children } = node;
  let failed = failure;
  for (let index = first; index < children.length; index += 1) {
    const child = children[index];
    if (child === undefined || (child.perm & (Perm.WRITE | Perm.WRITE_UNCHANGED)) === 0) continue;
    try {
      const pending = flush(child.node);
      if (pending !== undefined) return run(flushChildrenAfter(pending, node, index + 1, failed));
    } catch (error) {
      failed ??= failureOf(error);
    }
  }
  if (failed !== null) throw failed;
  return undefined;
}

/** The rest of `flushChildren` behind a child that has to wait. */
function* flushChildrenAfter(
  pending: Promise<void>,
  node: BlockNode,
  next: number,
  failure: BlockError | null,
): Steps<void> {
  let failed = failure;
  try {
    yield pending;
  } catch (error) {
    failed ??= failureOf(error);
  }
  yield flushChildren(node, next, failed);
}

function failureOf(error: unknown): BlockError {
  if (error instanceof BlockError) return error;
  throw error;
}
