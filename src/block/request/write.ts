/** Writes, of data and of zeroes: check, pad with read-modify-write, serialise, fragment, and the events in between. */
import { alignDown, isAligned, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { isAllZero } from '../../util/zero.ts';
import type { Pending } from '../driver.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events.ts';
import { Open, Req, SECTOR_BYTES } from '../flags.ts';
import { allocateAligned } from '../memory.ts';
import type { BlockNode, ChildLink } from '../node.ts';
import { checkDataRequest, checkRange } from './check.ts';
import { blockCluster } from './copy-on-read.ts';
import { canZero, driverPwritev, driverPwritevCompressed } from './driver-io.ts';
import { checkOpen } from './flush.ts';
import { type Padding, paddingFor, readPadding, tailBlock } from './padding.ts';
import { isPlainRange, trackLate } from './plain.ts';
import type { Coroutine } from '../loop.ts';
import type { TrackedKind, TrackedRequest } from './serialise.ts';
import { whileTraced } from './traced.ts';
import { zeroAtOnce, zeroRange } from './zero.ts';
import { later } from '../../util/answer.ts';

const INT_MAX = 0x7fffffff;

/** Writes `data` at any offset; `flags` are bits of `Req`. */
export function pwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  if (!node.trace.active && isPlainWrite(node, offset, data, flags)) return plainPwritev(node, offset, data, flags);
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
  if (isPlainZeroing(node, offset, bytes, flags)) return plainZeroes(node, offset, bytes, flags);
  const request = node.requests.begin('write', offset, bytes);
  return node.requests.endAfter(request, paddedZeroes(child, request, offset, bytes, flags));
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
  if (isPlainWrite(node, offset, data, flags)) return plainPwritev(node, offset, data, flags);
  const padding = paddingFor(node, offset, data.length);
  if (padding !== null) return readModifyWrite(child, offset, data, flags, padding);
  const request = node.requests.begin('write', offset, data.length);
  return node.requests.endAfter(request, alignedPwritev(node, request, offset, data, data.length, flags));
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
    const padded = padding.merged ? padding.buffer : allocateAligned(paddedBytes);
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

/** Whether a write is one call of the driver with an event before and behind it, and nothing else. */
function isPlainWrite(node: BlockNode, offset: number, data: Buffer, flags: number): boolean {
  const isSpecial = (flags & ~(Req.FUA | Req.WRITE_UNCHANGED)) !== 0 || node.detectZeroes !== 'off';
  return !isSpecial && !node.isReadOnly && !node.refusesChanges && isPlainRange(node, offset, data.length);
}

/** As `alignedPwritev` for a plain write: the same steps without a promise where none is needed. */
function plainPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const { current } = node.loop;
  const before = node.debugEvent(Event.PWRITEV);
  let pending: Pending;
  try {
    pending =
      before === undefined
        ? driverPwritev(node, offset, data, flags)
        : later(before, driverPwritev, node, offset, data, flags);
  } catch (error) {
    pending = Promise.reject(error);
  }
  return endPlainWrite(node, current, offset, data.length, pending);
}

/**
 * Whether zeroes are one call of the driver, which must not fall back, with an event before and behind it. Only while
 * there is no other request: a driver that makes its file longer by this may have to keep others out.
 */
function isPlainZeroing(node: BlockNode, offset: number, bytes: number, flags: number): boolean {
  const { limits, supportedZeroFlags } = node;
  const plainFlags = Req.NO_FALLBACK | Req.ZERO_WRITE | Req.MAY_UNMAP;
  if (bytes === 0 || !node.loop.alone) return false;
  if ((flags & Req.NO_FALLBACK) === 0 || (flags & ~plainFlags) !== 0) return false;
  if ((supportedZeroFlags & Req.NO_FALLBACK) === 0 || node.driver.pwriteZeroes === undefined) return false;
  if (node.isReadOnly || node.refusesChanges || node.requests.hasSerialising) return false;
  const align = Math.max(limits.pwriteZeroesAlignment, limits.requestAlignment);
  return isAligned(offset, align) && isAligned(bytes, align) && bytes <= minNonZero(limits.maxPwriteZeroes, INT_MAX);
}

/** As `paddedZeroes` for what passes that check. */
function plainZeroes(node: BlockNode, offset: number, bytes: number, flags: number): Pending {
  const { current } = node.loop;
  const before = node.debugEvent(Event.PWRITEV_ZERO);
  let pending: Pending;
  try {
    pending =
      before === undefined
        ? zeroAtOnce(node, offset, bytes, flags)
        : later(before, zeroRange, node, offset, bytes, flags);
  } catch (error) {
    pending = Promise.reject(error);
  }
  return endPlainWrite(node, current, offset, bytes, pending);
}

/** What follows a plain write's call of the driver. */
function endPlainWrite(
  node: BlockNode,
  current: Coroutine | null,
  offset: number,
  bytes: number,
  pending: Pending,
): Pending {
  if (pending !== undefined) {
    return trackLate(node, current, 'write', offset, bytes, endWrite(node, 'write', offset, bytes, pending));
  }
  const done = node.debugEvent(Event.PWRITEV_DONE);
  if (done !== undefined) {
    const finished = later(done, finishWrite, node, 'write', offset, bytes, true);
    return trackLate(node, current, 'write', offset, bytes, finished);
  }
  finishWrite(node, 'write', offset, bytes, true);
  return undefined;
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
): Promise<void> {
  if (node.refusesChanges) throw new BlockError(Errno.EPERM);
  return endWrite(node, request.kind, offset, bytes, performWrite(node, request, offset, data, bytes, flags));
}

async function performWrite(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer | null,
  bytes: number,
  flags: number,
): Promise<void> {
  await prepareWrite(node, request, flags);
  if (data === null || wantsZeroDetection(node, data, flags)) {
    const unmap = data !== null && node.detectZeroes === 'unmap' ? Req.MAY_UNMAP : 0;
    await node.debugEvent(Event.PWRITEV_ZERO);
    await zeroRange(node, offset, bytes, flags | unmap | Req.ZERO_WRITE);
  } else if ((flags & Req.WRITE_COMPRESSED) !== 0) {
    await driverPwritevCompressed(node, offset, data);
  } else {
    await node.debugEvent(Event.PWRITEV);
    await fragmentedPwritev(node, offset, data, flags);
  }
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

async function fragmentedPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Promise<void> {
  const maxTransfer = largestTransfer(node);
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
