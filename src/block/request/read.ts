/** Reads: check, pad, wait for overlapping writers, fragment, zeroes behind the end of the node. */
import { alignDown, alignUp, isAligned, minNonZero } from '../../util/align.ts';
import type { Pending } from '../../util/steps.ts';
import { Req } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkDataRequest } from './check.ts';
import { blockCluster, copyOnRead, isAllocatedWhole } from './copy-on-read.ts';
import { driverPreadv } from './driver-io.ts';
import { type Padding, paddingFor } from './padding.ts';
import type { TrackedRequest } from './serialise.ts';
import { whileTraced } from './traced.ts';
import { later } from '../../util/answer.ts';

const INT_MAX = 0x7fffffff;

/** Reads `data.length` bytes at any offset. What lies behind the node's end reads as zeroes. */
export function preadv(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  checkDataRequest(node, offset, data.length);
  // A request of no bytes cannot be aligned; it has nothing to read either.
  if (data.length === 0 && !isAligned(offset, node.limits.requestAlignment)) return undefined;
  return node.trace.active ? tracedPreadv(child, offset, data, flags) : paddedPreadv(child, offset, data, flags);
}

function tracedPreadv(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  return whileTraced(child.node, 'read', offset, data.length, () => paddedPreadv(child, offset, data, flags));
}

function paddedPreadv(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  const requestFlags = node.copyOnRead > 0 ? flags | Req.COPY_ON_READ : flags;
  const padding = paddingFor(node, offset, data.length);
  if (padding === null) return trackedPreadv(child, offset, data, requestFlags);

  return paddedRead(child, offset, data, requestFlags, padding);
}

/** Reads whole blocks and cuts the range out of them. */
function paddedRead(child: ChildLink, offset: number, data: Buffer, flags: number, padding: Padding): Pending {
  const padded = padding.merged
    ? padding.buffer
    : child.node.context.allocate(padding.head + data.length + padding.tail);
  const pending = trackedPreadv(child, offset - padding.head, padded, flags);
  const cutOut = (): undefined => {
    padded.copy(data, 0, padding.head, padding.head + data.length);
  };
  return pending === undefined ? cutOut() : pending.then(cutOut);
}

function trackedPreadv(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  const request = node.requests.begin('read', offset, data.length);
  let pending: Pending;
  try {
    pending = alignedPreadv(child, request, offset, data, flags);
  } catch (error) {
    node.requests.end(request);
    throw error;
  }
  if (pending !== undefined) return node.requests.endAfter(request, pending);
  node.requests.end(request);
  return undefined;
}

/** Reads an aligned range under a request that is tracked already. */
export function alignedPreadv(
  child: ChildLink,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Pending {
  const { node } = child;
  if ((flags & Req.COPY_ON_READ) !== 0) return copyingPreadv(child, request, offset, data, flags);
  const wait = node.requests.waitForSerialising(request);
  if (wait !== undefined) return later(wait, boundedPreadv, node, offset, data, flags);
  return boundedPreadv(node, offset, data, flags);
}

async function copyingPreadv(
  child: ChildLink,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Promise<void> {
  const { node } = child;
  // Touching the same cluster counts as an overlap: the copy's read and write must not have a guest write in between.
  await node.requests.makeSerialising(request, blockCluster(node));
  const driverFlags = flags & ~Req.COPY_ON_READ;
  if (!(await isAllocatedWhole(node, offset, data.length))) {
    await copyOnRead(child, offset, data, driverFlags);
  } else if ((driverFlags & Req.PREFETCH) === 0) {
    await boundedPreadv(node, offset, data, driverFlags);
  }
}

/** Reads what the node has in pieces that the driver takes; what lies behind its end is zero. */
function boundedPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const align = node.limits.requestAlignment;
  const maxTransfer = alignDown(minNonZero(node.limits.maxTransfer, INT_MAX), align);
  const readable = alignUp(Math.max(0, node.getLength() - offset), align);
  if (data.length <= readable && data.length <= maxTransfer) return driverPreadv(node, offset, data, flags);
  return fragmentedPreadv(node, offset, data, flags, Math.min(data.length, readable), maxTransfer);
}

async function fragmentedPreadv(
  node: BlockNode,
  offset: number,
  data: Buffer,
  flags: number,
  readBytes: number,
  maxTransfer: number,
): Promise<void> {
  for (let done = 0; done < readBytes; ) {
    const bytes = Math.min(readBytes - done, maxTransfer);
    await driverPreadv(node, offset + done, data.subarray(done, done + bytes), flags);
    done += bytes;
  }
  data.fill(0, readBytes);
}
