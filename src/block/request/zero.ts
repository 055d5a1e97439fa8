/** Zero writes: cut to what the driver takes, with writes of zeroes where it cannot. */
import { alignDown, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError, isNotSupported } from '../error.ts';
import { Req } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { driverPwritev } from './driver-io.ts';
import { flush } from './flush.ts';
import { forgetDataRange } from './status.ts';
import { pwriteZeroes } from './write.ts';

/** The longest run of zeroes that is written as data in one go. */
const MAX_BOUNCE_BYTES = 16 * 1024 * 1024;

/** Zeroes a range that is aligned to the node's requests. The driver gets whole blocks of its zero alignment, and edges. */
export function zeroRange(node: BlockNode, offset: number, bytes: number, flags: number): Pending {
  if ((flags & ~node.supportedZeroFlags & Req.NO_FALLBACK) !== 0) throw new BlockError(Errno.ENOTSUP);
  forgetDataRange(node, offset, bytes);

  const { limits } = node;
  const align = Math.max(limits.pwriteZeroesAlignment, limits.requestAlignment);
  const maxZeroes = alignDown(minNonZero(limits.maxPwriteZeroes, Number.MAX_SAFE_INTEGER), align);
  if (maxZeroes < limits.requestAlignment) {
    node.context.warn(`max-write-zero ${limits.maxPwriteZeroes} is below the alignment of zero writes, ${align}`);
    throw new BlockError(Errno.EINVAL);
  }
  const isOnePiece = offset % align === 0 && bytes % align === 0 && bytes <= maxZeroes;
  // One call of the driver that has no fallback needs nothing of the rest.
  if (
    isOnePiece &&
    (flags & (Req.NO_FALLBACK | Req.FUA)) === Req.NO_FALLBACK &&
    node.driver.pwriteZeroes !== undefined
  ) {
    return node.driver.pwriteZeroes(node, offset, bytes, flags & node.supportedZeroFlags);
  }
  return zeroPieces(node, offset, bytes, flags, align, maxZeroes);
}

async function zeroPieces(
  node: BlockNode,
  offset: number,
  bytes: number,
  flags: number,
  align: number,
  maxZeroes: number,
): Promise<void> {
  const { limits } = node;
  const maxTransfer = minNonZero(limits.maxTransfer, MAX_BOUNCE_BYTES);
  const tail = (offset + bytes) % align;
  let head = offset % align;
  let start = offset;
  let rest = bytes;
  let needsFlush = false;

  while (rest > 0) {
    let piece = rest;
    if (head > 0) {
      // Up to the first boundary, and short enough for a write in its place.
      piece = Math.min(rest, maxTransfer, align - head);
      head = (head + piece) % align;
    } else if (tail > 0 && piece > align) {
      piece -= tail;
    }
    piece = Math.min(piece, maxZeroes);

    if (await tryDriver(node, start, piece, flags)) {
      needsFlush ||= (flags & ~node.supportedZeroFlags & Req.FUA) !== 0;
    } else {
      piece = Math.min(piece, maxTransfer);
      needsFlush = (await writeZeroData(node, start, piece, flags)) || needsFlush;
    }
    start += piece;
    rest -= piece;
  }
  if (needsFlush) await flush(node);
}

/** False if the driver cannot and the request may fall back. */
async function tryDriver(node: BlockNode, offset: number, bytes: number, flags: number): Promise<boolean> {
  try {
    if (node.driver.pwriteZeroes !== undefined) {
      await node.driver.pwriteZeroes(node, offset, bytes, flags & node.supportedZeroFlags);
      return true;
    }
    if (node.filteredChild !== null) {
      await pwriteZeroes(node.filteredChild, offset, bytes, flags & node.supportedZeroFlags);
      return true;
    }
  } catch (error) {
    const mayFallBack = (flags & Req.NO_FALLBACK) === 0;
    if (!(mayFallBack && isNotSupported(error))) throw error;
    return false;
  }
  if ((flags & Req.NO_FALLBACK) !== 0) throw new BlockError(Errno.ENOTSUP);
  return false;
}

/** True if the FUA that was asked for is still owed: one flush at the end serves all pieces. */
async function writeZeroData(node: BlockNode, offset: number, bytes: number, flags: number): Promise<boolean> {
  const owesFlush = (flags & ~node.supportedWriteFlags & Req.FUA) !== 0;
  const writeFlags = flags & ~(Req.ZERO_WRITE | (owesFlush ? Req.FUA : 0));
  await driverPwritev(node, offset, node.context.allocate(bytes), writeFlags);
  return owesFlush;
}
