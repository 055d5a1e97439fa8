/** Reads: check, pad, wait for overlapping writers, fragment, zeroes behind the end of the node. */
import { alignDown, alignUp, isAligned, minNonZero } from '../../util/align.ts';
import { Req } from '../flags.ts';
import { allocateAligned } from '../memory.ts';
import type { BlockNode, ChildLink } from '../node.ts';
import { checkDataRange } from './check.ts';
import { blockCluster, copyOnRead, isAllocatedWhole } from './copy-on-read.ts';
import { driverPreadv } from './driver-io.ts';
import { checkOpen } from './flush.ts';
import { paddingFor } from './padding.ts';
import type { TrackedRequest } from './serialise.ts';
import { beginTrace, endTrace } from './traced.ts';

const INT_MAX = 0x7fffffff;

/** Reads `data.length` bytes at any offset. What lies behind the node's end reads as zeroes. */
export async function preadv(child: ChildLink, offset: number, data: Buffer, flags: number): Promise<void> {
  const { node } = child;
  checkOpen(node);
  checkDataRange(offset, data.length);
  // A request of no bytes cannot be aligned; it has nothing to read either.
  if (data.length === 0 && !isAligned(offset, node.limits.requestAlignment)) return;

  const traced = node.trace.active;
  if (traced) beginTrace(node, 'read', offset, data.length);
  node.inFlight += 1;
  let failure: unknown;
  try {
    const requestFlags = node.copyOnRead > 0 ? flags | Req.COPY_ON_READ : flags;
    const padding = paddingFor(node, offset, data.length);
    if (padding === null) {
      await trackedPreadv(child, offset, data, requestFlags);
    } else {
      const padded = padding.merged ? padding.buffer : allocateAligned(padding.head + data.length + padding.tail);
      await trackedPreadv(child, offset - padding.head, padded, requestFlags);
      padded.copy(data, 0, padding.head, padding.head + data.length);
    }
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    node.inFlight -= 1;
    if (traced) endTrace(node, 'read', failure);
  }
}

async function trackedPreadv(child: ChildLink, offset: number, data: Buffer, flags: number): Promise<void> {
  const { requests } = child.node;
  const request = requests.begin('read', offset, data.length);
  try {
    await alignedPreadv(child, request, offset, data, flags);
  } finally {
    requests.end(request);
  }
}

/** Reads an aligned range under a request that is tracked already. */
export async function alignedPreadv(
  child: ChildLink,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Promise<void> {
  const { node } = child;
  if ((flags & Req.COPY_ON_READ) !== 0) {
    // Touching the same cluster counts as an overlap: the copy's read and write must not have a guest write in between.
    await node.requests.makeSerialising(request, blockCluster(node));
    const driverFlags = flags & ~Req.COPY_ON_READ;
    if (!(await isAllocatedWhole(node, offset, data.length))) {
      await copyOnRead(child, offset, data, driverFlags);
      return;
    }
    if ((driverFlags & Req.PREFETCH) !== 0) return;
    await fragmentedPreadv(node, offset, data, driverFlags);
    return;
  }
  const wait = node.requests.waitForSerialising(request);
  if (wait !== undefined) await wait;
  await fragmentedPreadv(node, offset, data, flags);
}

async function fragmentedPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Promise<void> {
  const align = node.limits.requestAlignment;
  const maxTransfer = alignDown(minNonZero(node.limits.maxTransfer, INT_MAX), align);
  const readable = alignUp(Math.max(0, node.getLength() - offset), align);
  if (data.length <= readable && data.length <= maxTransfer) {
    await driverPreadv(node, offset, data, flags);
    return;
  }
  const readBytes = Math.min(data.length, readable);
  for (let done = 0; done < readBytes; ) {
    const bytes = Math.min(readBytes - done, maxTransfer);
    await driverPreadv(node, offset + done, data.subarray(done, done + bytes), flags);
    done += bytes;
  }
  data.fill(0, readBytes);
}

