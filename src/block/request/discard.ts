/** Discards: a hint that a range is not needed, cut to what the driver takes. */
import { alignDown, isAligned, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { BlockError, isNotSupported } from '../error.ts';
import { Open } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkOpen, checkRequest } from './check.ts';
import { driverPdiscard } from './driver-io.ts';
import { forgetDataRange } from './status.ts';
import type { TrackedRequest } from './serialise.ts';
import { runTracked } from './traced.ts';
import { finishWrite, prepareWrite } from './write.ts';

/** Discards a range at any offset. Does nothing where discards are switched off or the driver has none. */
export function pdiscard(child: ChildLink, offset: number, bytes: number): Pending {
  const { node } = child;
  checkOpen(node);
  if (node.refusesChanges) throw new BlockError(Errno.EPERM);
  checkRequest(node, offset, bytes);
  if ((node.openFlags & Open.UNMAP) === 0 || node.driver.pdiscard === undefined) return undefined;
  forgetDataRange(node, offset, bytes);
  const tracked = node.requests.begin('discard', offset, bytes);
  return runTracked(node, tracked, 'discard', offset, bytes, discard(node, tracked));
}

function* discard(node: BlockNode, request: TrackedRequest): Steps<void> {
  const { kind, offset, bytes } = request;
  let succeeded = false;
  try {
    yield prepareWrite(node, request, 0);
    yield* discardPieces(node, offset, bytes);
    succeeded = true;
  } finally {
    finishWrite(node, kind, offset, bytes, succeeded);
  }
}

/** Unaligned edges are passed on too: some devices collect them, the others say ENOTSUP. */
function* discardPieces(node: BlockNode, offset: number, bytes: number): Steps<void> {
  const unit = node.limits.requestAlignment;
  const align = Math.max(node.limits.pdiscardAlignment, unit);
  const maxDiscard = alignDown(minNonZero(node.limits.maxPdiscard, Number.MAX_SAFE_INTEGER), align);
  if (maxDiscard < unit) {
    node.context.warn(`max-discard ${node.limits.maxPdiscard} is below the alignment of discards, ${align}`);
    throw new BlockError(Errno.EINVAL);
  }
  let head = offset % align;
  let tail = (offset + bytes) % align;
  let start = offset;
  let rest = bytes;

  while (rest > 0) {
    let piece = rest;
    if (head > 0) {
      piece = Math.min(rest, align - head);
      if (!isAligned(piece, unit)) piece %= unit;
      head = (head + piece) % align;
    } else if (tail > 0) {
      if (piece > align) {
        piece -= tail;
      } else if (!isAligned(tail, unit) && tail > unit) {
        tail %= unit;
        piece -= tail;
      }
    }
    piece = Math.min(piece, maxDiscard);
    try {
      yield driverPdiscard(node, start, piece);
    } catch (error) {
      if (!isNotSupported(error)) throw error;
    }
    start += piece;
    rest -= piece;
  }
}
