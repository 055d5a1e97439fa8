/** Writes, of data and of zeroes: check, pad with read-modify-write, serialise, fragment, and the events in between. */
import { alignDown, isAligned, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { isAllZero } from '../../util/zero.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Open, Req, SECTOR_BYTES } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkDataRequest, checkRange } from './check.ts';
import { blockCluster } from './copy-on-read.ts';
import { canZero, driverPwritev, driverPwritevCompressed } from './driver-io.ts';
import { checkOpen } from './flush.ts';
import { type Padding, paddingFor, readPadding, tailBlock } from './padding.ts';
import type { TrackedKind, TrackedRequest } from './serialise.ts';
import { whileTraced } from './traced.ts';
import { zeroRange } from './zero.ts';
import { later } from '../../util/answer.ts';

const INT_MAX = 0x7fffffff;

/** Writes `data` at any offset; `flags` are bits of `Req`. */
export function pwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  checkDataRequest(node, offset, data.length);
  if (!isAlignedEnough(node, offset, data.length, flags)) return undefined;
  return node.trace.active ? tracedPwritev(child, offset, data, flags) : paddedPwritev(child, offset, data, flags);
}

function tracedPwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  return whileTraced(child.node, 'write', offset, data.length, () => paddedPwritev(child, offset, data, flags));
}

/**
 * Makes `bytes` at `offset` read as zeroes; `flags` may hold MAY_UNMAP, NO_FALLBACK, FUA. MAY_UNMAP does not count where
 * the node was opened without discards.
 */
export function pwriteZeroes(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  const mayUnmap = (child.node.openFlags & Open.UNMAP) !== 0;
  return pwriteZeroesOfUser(child, offset, bytes, mayUnmap ? flags : flags & ~Req.MAY_UNMAP);
}

/** The same for a request of a backend's user: its MAY_UNMAP counts always (observed with qemu-io 7.2.22). */
export function pwriteZeroesOfUser(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  const { node } = child;
  const zeroFlags = flags | Req.ZERO_WRITE;
  checkOpen(node);
  checkRange(offset, bytes);
  if (!isAlignedEnough(node, offset, bytes, zeroFlags)) return undefined;
  return node.trace.active
    ? tracedZeroes(child, offset, bytes, zeroFlags)
    : zeroesInTurn(child, offset, bytes, zeroFlags);
}

function tracedZeroes(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  return whileTraced(child.node, 'write_zeroes', offset, bytes, () => zeroesInTurn(child, offset, bytes, flags));
}

function zeroesInTurn(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  const { node } = child;
  const request = node.requests.begin('write', offset, bytes);
  const align = node.limits.requestAlignment;
  if (bytes === 0 || !isAligned(offset, align) || !isAligned(bytes, align)) {
    return node.requests.endAfter(request, paddedZeroes(child, request, offset, bytes, flags));
  }
  let pending: Pending;
  try {
    pending = alignedPwritev(node, request, offset, null, bytes, flags);
  } catch (error) {
    node.requests.end(request);
    throw error;
  }
  if (pending !== undefined) return node.requests.endAfter(request, pending);
  node.requests.end(request);
  return undefined;
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

function paddedPwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  const padding = paddingFor(node, offset, data.length);
  if (padding !== null) return readModifyWrite(child, offset, data, flags, padding);
  const request = node.requests.begin('write', offset, data.length);
  let pending: Pending;
  try {
    pending = alignedPwritev(node, request, offset, data, data.length, flags);
  } catch (error) {
    node.requests.end(request);
    throw error;
  }
  if (pending !== undefined) return node.requests.endAfter(request, pending);
  node.requests.end(request);
  return undefined;
}

/** A write whose edges share blocks with other data: those are read, and written back with it. */
async function readModifyWrite(
  child: ChildLink,
  offset: number,
  data: Buffer,
  flags: number,
  padding: Padding,
): Promise<void> {
  const { node } = child;
  const paddedOffset = offset - padding.head;
  const paddedBytes = padding.head + data.length + padding.tail;
  const request = node.requests.begin('write', paddedOffset, paddedBytes);
  try {
    await node.requests.makeSerialising(request, node.limits.requestAlignment);
    await readPadding(child, request, padding);
    const padded = padding.merged ? padding.buffer : node.context.allocate(paddedBytes);
    if (!padding.merged) {
      padding.buffer.copy(padded, 0, 0, padding.head);
      if (padding.tail > 0) {
        padding.buffer.copy(padded, paddedBytes - padding.tail, padding.buffer.length - padding.tail);
      }
    }
    data.copy(padded, padding.head);
    await alignedPwritev(node, request, paddedOffset, padded, paddedBytes, flags);
  } finally {
    node.requests.end(request);
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
      await alignedPwritev(node, request, alignDown(offset, align), edge, edge.length, dataFlags);
      if (padding.merged) return;
      start += edge.length - padding.head;
      rest -= edge.length - padding.head;
    }
  }
  if (rest >= align) {
    const middle = alignDown(rest, align);
    await alignedPwritev(node, request, start, null, middle, flags);
    start += middle;
    rest -= middle;
  }
  if (rest > 0 && padding !== null) {
    await alignedPwritev(node, request, start, tailBlock(node, padding), align, dataFlags);
  }
}

/** Writes an aligned range under a request that is tracked already; `data` is null for zeroes. */
function alignedPwritev(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer | null,
  bytes: number,
  flags: number,
): Pending {
  if (node.refusesChanges) throw new BlockError(Errno.EPERM);
  let pending: Pending;
  try {
    const wait = prepareWrite(node, request, flags);
    pending =
      wait === undefined
        ? performWrite(node, offset, data, bytes, flags)
        : later(wait, performWrite, node, offset, data, bytes, flags);
  } catch (error) {
    pending = Promise.reject(error);
  }
  if (pending !== undefined) return endWrite(node, request.kind, offset, bytes, pending);
  const done = node.debugEvent(Event.PWRITEV_DONE);
  if (done !== undefined) return later(done, finishWrite, node, request.kind, offset, bytes, true);
  finishWrite(node, request.kind, offset, bytes, true);
  return undefined;
}

function performWrite(node: BlockNode, offset: number, data: Buffer | null, bytes: number, flags: number): Pending {
  if (data === null || wantsZeroDetection(node, data, flags)) {
    const unmap = data !== null && node.detectZeroes === 'unmap' ? Req.MAY_UNMAP : 0;
    const zeroFlags = flags | unmap | Req.ZERO_WRITE;
    const told = node.debugEvent(Event.PWRITEV_ZERO);
    return told === undefined
      ? zeroRange(node, offset, bytes, zeroFlags)
      : later(told, zeroRange, node, offset, bytes, zeroFlags);
  }
  if ((flags & Req.WRITE_COMPRESSED) !== 0) return driverPwritevCompressed(node, offset, data);
  const told = node.debugEvent(Event.PWRITEV);
  return told === undefined
    ? fragmentedPwritev(node, offset, data, flags)
    : later(told, fragmentedPwritev, node, offset, data, flags);
}

/** What follows the driver's part of a write, whether that went well or not. */
async function endWrite(
  node: BlockNode,
  kind: TrackedKind,
  offset: number,
  bytes: number,
  pending: Promise<void>,
): Promise<void> {
  let failure: unknown;
  let succeeded = false;
  try {
    await pending;
    succeeded = true;
  } catch (error) {
    failure = error;
  }
  await node.debugEvent(Event.PWRITEV_DONE);
  finishWrite(node, kind, offset, bytes, succeeded);
  if (!succeeded) throw failure;
}

function wantsZeroDetection(node: BlockNode, data: Buffer, flags: number): boolean {
  if (node.detectZeroes === 'off' || (flags & Req.ZERO_WRITE) !== 0) return false;
  return canZero(node) && isAllZero(data);
}

/** The longest write in bytes that the driver takes in one go. */
function largestTransfer({ limits }: BlockNode): number {
  return alignDown(minNonZero(limits.maxTransfer, INT_MAX), limits.requestAlignment);
}

function fragmentedPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const maxTransfer = largestTransfer(node);
  if (data.length <= maxTransfer) return driverPwritev(node, offset, data, flags);
  return writePieces(node, offset, data, flags, maxTransfer);
}

async function writePieces(
  node: BlockNode,
  offset: number,
  data: Buffer,
  flags: number,
  maxTransfer: number,
): Promise<void> {
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
export function prepareWrite(node: BlockNode, request: TrackedRequest, flags: number): Pending {
  if (node.isReadOnly) throw new BlockError(Errno.EPERM);
  if ((flags & Req.SERIALISING) === 0) return node.requests.waitForSerialising(request);
  if ((flags & Req.NO_WAIT) === 0) return node.requests.makeSerialising(request, blockCluster(node));
  if (!node.requests.tryMakeSerialising(request, blockCluster(node))) throw new BlockError(Errno.EBUSY);
  return undefined;
}

/** What every request that changes a node does last: note that there is something to flush, and a longer node. */
export function finishWrite(
  node: BlockNode,
  kind: TrackedKind,
  offset: number,
  bytes: number,
  succeeded: boolean,
): void {
  node.writeGeneration += 1;
  if (node.onChanged !== null && bytes > 0 && kind !== 'truncate') node.onChanged(offset, bytes);
  if (!succeeded || kind === 'discard') return;
  const endSector = Math.ceil((offset + bytes) / SECTOR_BYTES);
  if (kind === 'truncate' || endSector > node.totalSectors) node.totalSectors = endSector;
}
