/**
 * Padding of a request to the node's alignment.
 *
 *     |<---- align ---->|                 |<---- align ---->|
 *     |<- head ->|<---------- request --------->|<- tail -->|
 *
 * The edge blocks are `headBlock` and `tailBlock`, each one alignment long. A request that fits in one or two whole
 * blocks is `merged`: then all of it is one buffer that is read in one go.
 */
import type { BlockNode } from '../graph/node.ts';
import type { ChildLink } from '../graph/node.ts';
import { Event } from '../events/events.ts';
import { BlockError } from '../error.ts';
import { alignedPreadv } from './read.ts';
import type { TrackedRequest } from './serialise.ts';

/** The edge blocks that a request shares with data beside it. Bytes, less than one alignment at each end. */
export interface Padding {
  /** Bytes of the first block before the request, 0 if it begins on a boundary. */
  readonly head: number;
  /** Bytes of the last block behind the request. */
  readonly tail: number;
  /** One block, or both edge blocks one behind the other. */
  readonly buffer: Buffer;
  /** The request with its padding is exactly `buffer`. */
  readonly merged: boolean;
}

/** The padding that a range needs on this node; null if it is aligned. */
export function paddingFor(node: BlockNode, offset: number, bytes: number): Padding | null {
  const align = node.limits.requestAlignment;
  if (align === 1) return null;
  const head = offset % align;
  const beyond = (offset + bytes) % align;
  const tail = beyond === 0 ? 0 : align - beyond;
  if (head === 0 && tail === 0) return null;
  const padded = head + bytes + tail;
  const bufferBytes = padded > align && head > 0 && tail > 0 ? 2 * align : align;
  return { head, tail, buffer: node.context.allocate(bufferBytes), merged: padded === bufferBytes };
}

/** The last block of the padding's buffer, where the tail is. */
export function tailBlock(node: BlockNode, padding: Padding): Buffer {
  return padding.buffer.subarray(padding.buffer.length - node.limits.requestAlignment);
}

/**
 * Reads the edge blocks of a padded write, so that they can be written back. `request` must be serialising.
 *
 * A read that fails does not fail the write: it goes on with zeroes in the padding, and the events that would have come
 * after the read do not. So does QEMU 7.2, where the result of this step is not looked at.
 */
export async function readPadding(child: ChildLink, request: TrackedRequest, padding: Padding): Promise<void> {
  try {
    await readEdges(child, request, padding);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

async function readEdges(child: ChildLink, request: TrackedRequest, padding: Padding): Promise<void> {
  const { node } = child;
  const align = node.limits.requestAlignment;
  const { head, tail, merged, buffer } = padding;
  if (head > 0 || merged) {
    const tailToo = merged && tail > 0;
    if (head > 0) await node.debugEvent(Event.PWRITEV_RMW_HEAD);
    if (tailToo) await node.debugEvent(Event.PWRITEV_RMW_TAIL);
    await alignedPreadv(child, request, request.overlapOffset, merged ? buffer : buffer.subarray(0, align), 0);
    if (head > 0) await node.debugEvent(Event.PWRITEV_RMW_AFTER_HEAD);
    if (tailToo) await node.debugEvent(Event.PWRITEV_RMW_AFTER_TAIL);
    if (merged) return;
  }
  if (tail > 0) {
    await node.debugEvent(Event.PWRITEV_RMW_TAIL);
    const lastBlock = request.overlapOffset + request.overlapBytes - align;
    await alignedPreadv(child, request, lastBlock, tailBlock(node, padding), 0);
    await node.debugEvent(Event.PWRITEV_RMW_AFTER_TAIL);
  }
}
