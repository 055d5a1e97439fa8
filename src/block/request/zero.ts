/** Zero writes: cut to what the driver takes, with writes of zeroes where it cannot. */
import { alignDown, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { BlockError, isNotSupported } from '../error.ts';
import { Open, Req } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { driverPwritev, driverPwriteZeroes, transferBytes } from './driver-io.ts';
import { flush } from './flush.ts';
import { forgetDataRange } from './status.ts';

/** The longest run of zeroes that is written as data in one go. */
const MAX_BOUNCE_BYTES = 16 * 1024 * 1024;

/**
 * Zeroes a range that is aligned to the node's requests, once `told` has ended. The driver gets whole blocks of its
 * zero alignment, and edges.
 */
export function* zeroRange(
  told: Pending,
  node: BlockNode,
  offset: number,
  bytes: number,
  wantedFlags: number,
): Steps<void> {
  const flags = mayUnmap(node) ? wantedFlags : wantedFlags & ~Req.MAY_UNMAP;
  if (told !== undefined) yield told;
  checkOpen(node);
  if ((flags & ~node.supportedZeroFlags & Req.NO_FALLBACK) !== 0) throw new BlockError(Errno.ENOTSUP);
  forgetDataRange(node, offset, bytes);

  const { limits } = node;
  const align = Math.max(limits.pwriteZeroesAlignment, limits.requestAlignment);
  const maxZeroes = alignDown(minNonZero(limits.maxPwriteZeroes, Number.MAX_SAFE_INTEGER), align);
  if (maxZeroes < limits.requestAlignment) {
    node.context.warn(`max-write-zero ${limits.maxPwriteZeroes} is below the alignment of zero writes, ${align}`);
    throw new BlockError(Errno.EINVAL);
  }
  const tail = (offset + bytes) % align;
  let head = offset % align;
  let start = offset;
  let rest = bytes;
  const mayFallBack = (flags & Req.NO_FALLBACK) === 0;
  let owesFlush = false;

  while (rest > 0) {
    let piece = rest;
    if (head > 0) {
      // Up to the first boundary, and short enough for a write in its place.
      piece = Math.min(rest, transferBytes(node, MAX_BOUNCE_BYTES), align - head);
      head = (head + piece) % align;
    } else if (tail > 0 && piece > align) {
      piece -= tail;
    }
    piece = Math.min(piece, maxZeroes);

    let isZeroed = true;
    try {
      const zeroing = driverPwriteZeroes(node, start, piece, flags);
      if (zeroing !== undefined) yield zeroing;
    } catch (error) {
      if (!mayFallBack || !isNotSupported(error)) throw error;
      isZeroed = false;
    }
    if (isZeroed) {
      owesFlush ||= (flags & ~node.supportedZeroFlags & Req.FUA) !== 0;
    } else {
      piece = Math.min(piece, transferBytes(node, MAX_BOUNCE_BYTES));
      // FUA that the driver does not know: one flush at the end serves all pieces.
      const emulatedFua = flags & ~node.supportedWriteFlags & Req.FUA;
      owesFlush ||= emulatedFua !== 0;
      yield driverPwritev(node, start, node.context.allocate(piece), flags & ~(Req.ZERO_WRITE | emulatedFua));
    }
    start += piece;
    rest -= piece;
  }
  if (owesFlush) yield flush(node);
}

function mayUnmap({ openFlags, context }: BlockNode): boolean {
  return (openFlags & Open.UNMAP) !== 0 || !context.compat.has('unmapNeedsDiscard');
}
