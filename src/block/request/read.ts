/** Reads: check, pad, wait for overlapping writers, fragment, zeroes behind the end of the node. */
import { alignUp, isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { MAX_LENGTH, QEMU_MAX_LENGTH, Req, REQUEST_MAX_BYTES } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkRequest } from './check.ts';
import { copyOnRead } from './copy-on-read.ts';
import { driverPreadv, transferBytes } from './driver-io.ts';
import { blockCluster } from './info.ts';
import { noPadding, type Padding, paddingFor } from './padding.ts';
import type { TrackedRequest } from './serialise.ts';
import { isAllocatedWhole } from './status.ts';
import { runTracked } from './traced.ts';

/**
 * Reads `data.length` bytes at any offset. What lies behind the node's end reads as zeroes. `flags` are bits of `Req`.
 */
export function preadv(child: ChildLink, offset: number, data: Buffer, flags: number): Pending {
  const { node } = child;
  checkRequest(node, offset, data.length, REQUEST_MAX_BYTES);
  // A request of no bytes cannot be aligned; it has nothing to read either.
  if (data.length === 0 && !isAligned(offset, node.limits.requestAlignment)) return undefined;
  const padding = paddingFor(node, offset, data.length);
  const { head, tail } = padding ?? noPadding;
  const tracked = node.requests.begin('read', offset - head, head + data.length + tail);
  const readFlags = node.copyOnRead > 0 ? flags | Req.COPY_ON_READ : flags;
  return runTracked(node, tracked, 'read', offset, data.length, () =>
    padding === null
      ? alignedRead(node, tracked, offset, data, readFlags)
      : run(paddedRead(node, tracked, padding, data, readFlags)),
  );
}

/**
 * Reads as `preadv` does, at an offset that an image names: what lies behind the offsets that a file can have reads as
 * zeroes, as behind its end. EIO behind the offsets that QEMU has.
 */
export function readAnywhere(child: ChildLink, offset: number, data: Buffer): Pending {
  if (offset <= MAX_LENGTH - data.length) return preadv(child, offset, data, 0);
  if (offset > QEMU_MAX_LENGTH - data.length) throw new BlockError(Errno.EIO);
  data.fill(0);
  return undefined;
}

/** Reads whole blocks, and cuts the range out of them. */
function* paddedRead(
  node: BlockNode,
  request: TrackedRequest,
  { head, merged, buffer }: Padding,
  data: Buffer,
  flags: number,
): Steps<void> {
  const padded = merged ? buffer : node.context.allocate(request.bytes);
  yield alignedRead(node, request, request.offset, padded, flags);
  padded.copy(data, 0, head, head + data.length);
}

/** Reads an aligned range under a request that is tracked already. */
export function alignedRead(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Pending {
  if ((flags & Req.COPY_ON_READ) !== 0) return run(readCopying(node, request, offset, data, flags));
  const waiting = node.requests.waitForSerialising(request);
  if (waiting !== undefined) return run(readAfter(waiting, node, offset, data, flags));
  return fragmentedRead(node, offset, data, flags);
}

function* readAfter(waiting: Promise<void>, node: BlockNode, offset: number, data: Buffer, flags: number): Steps<void> {
  yield waiting;
  yield fragmentedRead(node, offset, data, flags);
}

/** Reads, and copies to the node what only its backing file has. */
function* readCopying(
  node: BlockNode,
  request: TrackedRequest,
  offset: number,
  data: Buffer,
  flags: number,
): Steps<void> {
  // Touching the same cluster counts as an overlap: the copy's read and write must not have a guest write in between.
  yield node.requests.makeSerialising(request, blockCluster(node));
  if (!(yield isAllocatedWhole(node, offset, data.length))) {
    yield* copyOnRead(node, request, offset, data, flags);
  } else if ((flags & Req.PREFETCH) === 0) {
    yield fragmentedRead(node, offset, data, flags & ~Req.COPY_ON_READ);
  }
}

/** Reads what the node has in pieces that the driver takes; what lies behind its end is zero. */
function fragmentedRead(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const missing = offset + data.length - node.getLength();
  if (missing <= 0 && data.length <= node.limits.transferBytes) return driverPreadv(node, offset, data, flags);
  const readBytes = Math.min(data.length, alignUp(Math.max(0, data.length - missing), node.limits.requestAlignment));
  data.fill(0, readBytes);
  return run(readPieces(node, offset, data.subarray(0, readBytes), flags));
}

function* readPieces(node: BlockNode, offset: number, data: Buffer, flags: number): Steps<void> {
  const pieceBytes = transferBytes(node);
  for (let start = 0; start < data.length; start += pieceBytes) {
    yield driverPreadv(node, offset + start, data.subarray(start, start + pieceBytes), flags);
  }
}
