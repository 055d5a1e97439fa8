/** Writes, of data and of zeroes: check, pad with read-modify-write, serialise, fragment, and the events in between. */
import { alignDown, isAligned, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { isAllZero } from '../../util/zero.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events.ts';
import { Open, Req, SECTOR_BYTES } from '../flags.ts';
import { allocateAligned } from '../memory.ts';
import type { BlockNode, ChildLink } from '../node.ts';
import { checkDataRange, checkRange } from './check.ts';
import { blockCluster } from './copy-on-read.ts';
import { driverPwritev, driverPwritevCompressed } from './driver-io.ts';
import { checkOpen } from './flush.ts';
import { paddingFor, readPadding, tailBlock } from './padding.ts';
import type { TrackedRequest } from './serialise.ts';
import { beginTrace, endTrace } from './traced.ts';
import { zeroRange } from './zero.ts';

const INT_MAX = 0x7fffffff;

/** Writes `data` at any offset; `flags` are bits of `Req`. */
export async function pwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Promise<void> {
  const { node } = child;
  checkOpen(node);
  checkDataRange(offset, data.length);
  if (!isAlignedEnough(node, offset, data.length, flags)) return;
  await tracked(child, 'write', offset, data.length, async () => {
    const padding = paddingFor(node, offset, data.length);
    if (padding === null) {
      const request = node.requests.begin('write', offset, data.length);
      try {
        await alignedPwritev(child, request, offset, data, data.length, flags);
      } finally {
        node.requests.end(request);
      }
      return;
    }
    const paddedOffset = offset - padding.head;
    const paddedBytes = padding.head + data.length + padding.tail;
    const request = node.requests.begin('write', paddedOffset, paddedBytes);
    try {
      await node.requests.makeSerialising(request, node.limits.requestAlignment);
      await readPadding(child, request, padding);
      const padded = padding.merged ? padding.buffer : allocateAligned(paddedBytes);
      if (!padding.merged) {
        padding.buffer.copy(padded, 0, 0, padding.head);
        if (padding.tail > 0) {
          padding.buffer.copy(padded, paddedBytes - padding.tail, padding.buffer.length - padding.tail);
        }
      }
      data.copy(padded, padding.head);
      await alignedPwritev(child, request, paddedOffset, padded, paddedBytes, flags);
    } finally {
      node.requests.end(request);
    }
  });
}

/** Makes `bytes` at `offset` read as zeroes; `flags` may hold MAY_UNMAP, NO_FALLBACK, FUA. */
export async function pwriteZeroes(child: ChildLink, offset: number, bytes: number, flags: number): Promise<void> {
  const { node } = child;
  const mayUnmap = (node.openFlags & Open.UNMAP) !== 0;
  const zeroFlags = (mayUnmap ? flags : flags & ~Req.MAY_UNMAP) | Req.ZERO_WRITE;
  checkOpen(node);
  checkRange(offset, bytes);
  if (!isAlignedEnough(node, offset, bytes, zeroFlags)) return;
  await tracked(child, 'write_zeroes', offset, bytes, async () => {
    const request = node.requests.begin('write', offset, bytes);
    try {
      await paddedZeroes(child, request, offset, bytes, zeroFlags);
    } finally {
      node.requests.end(request);
    }
  });
}

/**
 * Whether there is something to do. ENOTSUP for a misaligned request that must not fall back; false for one of no
 * bytes, which cannot be aligned.
 */
function isAlignedEnough(node: BlockNode, offset: number, bytes: number, flags: number): boolean {
  const align = node.limits.requestAlignment;
  if ((flags & Req.NO_FALLBACK) !== 0 && !(isAligned(offset, align) && isAligned(bytes, align))) {
    throw new BlockError(Errno.ENOTSUP);
  }
  return bytes !== 0 || isAligned(offset, align);
}

async function tracked(
  { node }: ChildLink,
  operation: string,
  offset: number,
  bytes: number,
  body: () => Promise<void>,
): Promise<void> {
  const traced = node.trace.active;
  if (traced) beginTrace(node, operation, offset, bytes);
  node.inFlight += 1;
  let failure: unknown;
  try {
    await body();
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    node.inFlight -= 1;
    if (traced) endTrace(node, operation, failure);
  }
}

/** Zeroes with edges that are not aligned: the edge blocks are read, changed and written as data. */
async function paddedZeroes(
  child: ChildLink,
  request: TrackedRequest,
  offset: number,
  bytes: number,
  flags: number,
): Promise<void> {
  const { node } = child;
  const align = node.limits.requestAlignment;
  const dataFlags = flags & ~Req.ZERO_WRITE;
  const padding = paddingFor(node, offset, bytes);
  let start = offset;
  let rest = bytes;

  if (padding !== null) {
    await node.requests.makeSerialising(request, align);
    await readPadding(child, request, padding);
    padding.buffer.fill(0, padding.head, padding.buffer.length - padding.tail);
    if (padding.head > 0 || padding.merged) {
      const edge = padding.merged ? padding.buffer : padding.buffer.subarray(0, align);
      await alignedPwritev(child, request, alignDown(offset, align), edge, edge.length, dataFlags);
      if (padding.merged) return;
      start += edge.length - padding.head;
      rest -= edge.length - padding.head;
    }
  }
  if (rest >= align) {
    const middle = alignDown(rest, align);
    await alignedPwritev(child, request, start, null, middle, flags);
    start += middle;
    rest -= middle;
  }
  if (rest > 0 && padding !== null) {
    await alignedPwritev(child, request, start, tailBlock(node, padding), align, dataFlags);
  }
}

/** Writes an aligned range under a request that is tracked already; `data` is null for zeroes. */
async function alignedPwritev(
  child: ChildLink,
  request: TrackedRequest,
  offset: number,
  data: Buffer | null,
  bytes: number,
  flags: number,
): Promise<void> {
  const { node } = child;
  let failure: unknown;
  let failed = false;
  try {
    await prepareWrite(node, request, flags);
    if (data === null || wantsZeroDetection(node, data, flags)) {
      const unmap = data !== null && node.detectZeroes === 'unmap' ? Req.MAY_UNMAP : 0;
      await node.debugEvent(Event.PWRITEV_ZERO);
      await zeroRange(node, offset, bytes, flags | unmap | Req.ZERO_WRITE);
    } else if ((flags & Req.WRITE_COMPRESSED) !== 0) {
      await driverPwritevCompressed(node, offset, data);
    } else {
      const wait = node.debugEvent(Event.PWRITEV);
      if (wait !== undefined) await wait;
      await fragmentedPwritev(node, offset, data, flags);
    }
  } catch (error) {
    failure = error;
    failed = true;
  }
  const wait = node.debugEvent(Event.PWRITEV_DONE);
  if (wait !== undefined) await wait;
  finishWrite(node, request, offset, bytes, !failed);
  if (failed) throw failure;
}

function wantsZeroDetection(node: BlockNode, data: Buffer, flags: number): boolean {
  if (node.detectZeroes === 'off' || (flags & Req.ZERO_WRITE) !== 0) return false;
  return node.driver.pwriteZeroes !== undefined && isAllZero(data);
}

async function fragmentedPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Promise<void> {
  const align = node.limits.requestAlignment;
  const maxTransfer = alignDown(minNonZero(node.limits.maxTransfer, INT_MAX), align);
  if (data.length <= maxTransfer) {
    await driverPwritev(node, offset, data, flags);
    return;
  }
  const emulatesFua = (node.supportedWriteFlags & Req.FUA) === 0;
  for (let done = 0; done < data.length; ) {
    const bytes = Math.min(data.length - done, maxTransfer);
    const isLast = done + bytes === data.length;
    // Where FUA becomes a flush, one flush after the last piece is enough.
    const pieceFlags = emulatesFua && !isLast ? flags & ~Req.FUA : flags;
    await driverPwritev(node, offset + done, data.subarray(done, done + bytes), pieceFlags);
    done += bytes;
  }
}

/** What every request that changes a node does first: EPERM if it may not, and waiting for those that it overlaps. */
export async function prepareWrite(node: BlockNode, request: TrackedRequest, flags: number): Promise<void> {
  if (node.isReadOnly) throw new BlockError(Errno.EPERM);
  if ((flags & Req.SERIALISING) === 0) {
    const wait = node.requests.waitForSerialising(request);
    if (wait !== undefined) await wait;
    return;
  }
  if ((flags & Req.NO_WAIT) === 0) {
    await node.requests.makeSerialising(request, blockCluster(node));
  } else if (!node.requests.tryMakeSerialising(request, blockCluster(node))) {
    throw new BlockError(Errno.EBUSY);
  }
}

/** What every request that changes a node does last: note that there is something to flush, and a longer node. */
export function finishWrite(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  bytes: number,
  succeeded: boolean,
): void {
  node.writeGeneration += 1;
  if (!succeeded || request.kind === 'discard') return;
  const endSector = Math.ceil((offset + bytes) / SECTOR_BYTES);
  if (request.kind === 'truncate' || endSector > node.totalSectors) node.totalSectors = endSector;
}
