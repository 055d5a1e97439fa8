/**
 * Writes, of data and of zeroes: check, pad with read-modify-write, serialise, fragment, and the events in between.
 *
 * Every write passes through `alignedWrite`, which needs a tracked request. One with edges that share blocks with other
 * data is serialising before that, so that nothing is written to those blocks between their read and their write.
 */
import { alignDown, divRoundUp, isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { isAllZero } from '../../util/pattern.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { Open, Req, REQUEST_MAX_BYTES, SECTOR_BYTES } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkRequest } from './check.ts';
import { canZero, driverPwritev, driverPwritevCompressed, transferBytes } from './driver-io.ts';
import { blockCluster } from './info.ts';
import { noPadding, type Padding, paddingFor, tailBlock } from './padding.ts';
import { alignedRead } from './read.ts';
import type { TrackedKind, TrackedRequest } from './serialise.ts';
import { runTracked } from './traced.ts';
import { zeroRange } from './zero.ts';

/** Writes `data` at any offset; `flags` are bits of `Req`. */
export function pwritev(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  checkRequest(node, offset, data.length, REQUEST_MAX_BYTES);
  if ((flags & Req.NO_FALLBACK) !== 0) checkFallback(node, offset, data.length);
  // A request of no bytes cannot be aligned; it has nothing to write either.
  if (data.length === 0 && !isAligned(offset, node.limits.requestAlignment)) return undefined;
  const padding = paddingFor(node, offset, data.length);
  const { head, tail } = padding ?? noPadding;
  const tracked = node.requests.begin('write', offset - head, head + data.length + tail);
  const steps =
    padding === null
      ? alignedWrite(node, tracked, offset, data, data.length, flags)
      : paddedWrite(node, tracked, padding, data, flags);
  return runTracked(node, tracked, 'write', offset, data.length, steps);
}

/**
 * Makes `bytes` at `offset` read as zeroes; `flags` may hold MAY_UNMAP, NO_FALLBACK, FUA. MAY_UNMAP does not count
 * where the node was opened without discards.
 */
export function pwriteZeroes(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  const mayUnmap = (child.node.openFlags & Open.UNMAP) !== 0;
  return pwriteZeroesOfUser(child, offset, bytes, mayUnmap ? flags : flags & ~Req.MAY_UNMAP);
}

/** `pwriteZeroes` for a backend's user, whose MAY_UNMAP counts always (observed with qemu-io 7.2.22). */
export function pwriteZeroesOfUser(child: ChildLink, offset: number, bytes: number, flags: number): Pending {
  const { node } = child;
  checkRequest(node, offset, bytes);
  if ((flags & Req.NO_FALLBACK) !== 0) checkFallback(node, offset, bytes);
  if (bytes === 0 && !isAligned(offset, node.limits.requestAlignment)) return undefined;
  const padding = paddingFor(node, offset, bytes);
  const tracked = node.requests.begin('write', offset, bytes);
  if (padding !== null) {
    return runTracked(node, tracked, 'write_zeroes', offset, bytes, paddedZeroes(node, tracked, padding, flags));
  }
  const steps =
    bytes === 0 ? () => undefined : alignedWrite(node, tracked, offset, null, bytes, flags | Req.ZERO_WRITE);
  return runTracked(node, tracked, 'write_zeroes', offset, bytes, steps);
}

/** ENOTSUP for a misaligned request that must not fall back to read-modify-write. */
function checkFallback({ limits }: BlockNode, offset: number, bytes: number): void {
  const align = limits.requestAlignment;
  if (!(isAligned(offset, align) && isAligned(bytes, align))) throw new BlockError(Errno.ENOTSUP);
}

/** A write whose edges share blocks with other data: those are read, and written back with it. */
function* paddedWrite(
  node: BlockNode,
  request: TrackedRequest,
  padding: Padding,
  data: Buffer,
  flags: number,
): Steps<void> {
  yield* readEdges(node, request, padding);
  const padded = putBetween(node, padding, data);
  yield* alignedWrite(node, request, request.offset, padded, padded.length, flags);
}

/** The data of a padded write: its edge blocks as they were read, and `data` between them. */
function putBetween(node: BlockNode, padding: Padding, data: Buffer): Buffer {
  const { head, tail, merged, buffer } = padding;
  const padded = merged ? buffer : node.context.allocate(head + data.length + tail);
  if (!merged) {
    buffer.copy(padded, 0, 0, head);
    if (tail > 0) buffer.copy(padded, padded.length - tail, buffer.length - tail);
  }
  data.copy(padded, head);
  return padded;
}

/** Zeroes edge blocks by read-modify-write, and the whole blocks between them by a zero write. */
function* paddedZeroes(node: BlockNode, request: TrackedRequest, padding: Padding, flags: number): Steps<void> {
  const { offset, bytes } = request;
  const { head, tail, merged, buffer } = padding;
  const align = node.limits.requestAlignment;
  let start = offset;
  let rest = bytes;
  yield* readEdges(node, request, padding);
  buffer.fill(0, head, buffer.length - tail);
  if (head > 0 || merged) {
    const edge = merged ? buffer : buffer.subarray(0, align);
    yield* alignedWrite(node, request, alignDown(offset, align), edge, edge.length, flags);
    if (merged) return;
    start += align - head;
    rest -= align - head;
  }
  const whole = alignDown(rest, align);
  if (whole > 0) yield* alignedWrite(node, request, start, null, whole, flags | Req.ZERO_WRITE);
  if (rest > whole) yield* alignedWrite(node, request, start + whole, tailBlock(node, padding), align, flags);
}

/**
 * Makes a padded write serialising and reads its edge blocks, so that they can be written back.
 *
 * A read that fails does not fail the write: it goes on with zeroes in the padding, and the events that would have come
 * after the read do not. So does QEMU 7.2, where the result of this step is not looked at.
 */
function* readEdges(node: BlockNode, request: TrackedRequest, padding: Padding): Steps<void> {
  yield node.requests.makeSerialising(request, node.limits.requestAlignment);
  try {
    yield* readEdgeBlocks(node, request, padding);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

function* readEdgeBlocks(node: BlockNode, request: TrackedRequest, padding: Padding): Steps<void> {
  const align = node.limits.requestAlignment;
  const { head, tail, merged, buffer } = padding;
  if (head > 0 || merged) {
    const tailToo = merged && tail > 0;
    if (head > 0) yield node.debugEvent(Event.PWRITEV_RMW_HEAD);
    if (tailToo) yield node.debugEvent(Event.PWRITEV_RMW_TAIL);
    yield alignedRead(node, request, request.overlapOffset, merged ? buffer : buffer.subarray(0, align), 0);
    if (head > 0) yield node.debugEvent(Event.PWRITEV_RMW_AFTER_HEAD);
    if (tailToo) yield node.debugEvent(Event.PWRITEV_RMW_AFTER_TAIL);
    if (merged) return;
  }
  if (tail > 0) {
    yield node.debugEvent(Event.PWRITEV_RMW_TAIL);
    const lastBlock = request.overlapOffset + request.overlapBytes - align;
    yield alignedRead(node, request, lastBlock, tailBlock(node, padding), 0);
    yield node.debugEvent(Event.PWRITEV_RMW_AFTER_TAIL);
  }
}

/** Writes an aligned range under a request that is tracked already; `data` is null for zeroes. */
function* alignedWrite(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer | null,
  bytes: number,
  flags: number,
): Steps<void> {
  if (node.refusesChanges) throw new BlockError(Errno.EPERM);
  let succeeded = false;
  try {
    let pending = prepareWrite(node, request, flags);
    if (pending !== undefined) yield pending;
    pending = writeContent(node, offset, data, bytes, flags);
    if (pending !== undefined) yield pending;
    succeeded = true;
  } finally {
    const told = node.debugEvent(Event.PWRITEV_DONE);
    if (told !== undefined) yield told;
    finishWrite(node, request.kind, offset, bytes, succeeded);
  }
}

/** Writes data, or zeroes where it is null, in the way that its flags and the node ask for. */
function writeContent(node: BlockNode, offset: number, data: Buffer | null, bytes: number, flags: number): Pending {
  if (data === null || (node.detectZeroes !== 'off' && wantsZeroDetection(node, data, flags))) {
    const unmap = data !== null && node.detectZeroes === 'unmap' ? Req.MAY_UNMAP : 0;
    const told = node.debugEvent(Event.PWRITEV_ZERO);
    return run(zeroRange(told, node, offset, bytes, flags | unmap | Req.ZERO_WRITE));
  }
  if ((flags & Req.WRITE_COMPRESSED) !== 0) return driverPwritevCompressed(node, offset, data);
  const told = node.debugEvent(Event.PWRITEV);
  if (told !== undefined || data.length > node.limits.transferBytes)
    return run(writePieces(told, node, offset, data, flags));
  return driverPwritev(node, offset, data, flags);
}

function wantsZeroDetection(node: BlockNode, data: Buffer, flags: number): boolean {
  return (flags & Req.ZERO_WRITE) === 0 && canZero(node) && isAllZero(data);
}

/**
 * Writes in pieces that the driver takes, once `told` has ended. Where FUA becomes a flush, one flush after the last
 * piece is enough.
 */
function* writePieces(told: Pending, node: BlockNode, offset: number, data: Buffer, flags: number): Steps<void> {
  yield told;
  const maxTransfer = transferBytes(node);
  const emulatedFua = Req.FUA & ~node.supportedWriteFlags;
  let end = 0;
  do {
    const start = end;
    end = Math.min(start + maxTransfer, data.length);
    const pieceFlags = end === data.length ? flags : flags & ~emulatedFua;
    yield driverPwritev(node, offset + start, data.subarray(start, end), pieceFlags);
  } while (end < data.length);
}

/** Begins a request that changes a node: EPERM if it may not, and waiting for those that it overlaps. */
export function prepareWrite(node: BlockNode, request: TrackedRequest, flags: number): Pending {
  if (node.isReadOnly) throw new BlockError(Errno.EPERM);
  if ((flags & Req.SERIALISING) === 0) return node.requests.waitForSerialising(request);
  if ((flags & Req.NO_WAIT) === 0) return node.requests.makeSerialising(request, blockCluster(node));
  if (!node.requests.tryMakeSerialising(request, blockCluster(node))) throw new BlockError(Errno.EBUSY);
  return undefined;
}

/** Ends a request that changes a node: notes that there is something to flush, and that the node is longer. */
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
  const endSector = divRoundUp(offset + bytes, SECTOR_BYTES);
  if (kind === 'truncate' || endSector > node.totalSectors) node.totalSectors = endSector;
}
