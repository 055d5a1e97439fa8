/** The first step of a request: whether the node is open, and whether the range can exist at all. */
import { BlockError } from '../error.ts';
import { MAX_LENGTH, QEMU_MAX_LENGTH, REQUEST_MAX_BYTES } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { Errno } from '../../util/errno.ts';

/** Throws ENOMEDIUM for a node that was closed under the caller. */
export function checkOpen(node: BlockNode): void {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM);
}

/**
 * Throws unless `[offset, offset + bytes)` lies in the range of offsets that a node can have: EIO for what no node of
 * QEMU has either; EFBIG for what lies between our longest node and its, where the real program asks the host, which
 * has no such files (observed with qemu-io 7.2.22 on ext4).
 */
export function checkRange(offset: number, bytes: number): void {
  if (offset < 0 || bytes < 0 || offset > QEMU_MAX_LENGTH - bytes) throw new BlockError(Errno.EIO);
  if (offset > MAX_LENGTH - bytes) throw new BlockError(Errno.EFBIG);
}

/**
 * The first step of a request that carries data: ENOMEDIUM for a node that is closed, EIO for more than
 * `REQUEST_MAX_BYTES`, otherwise as `checkRange`.
 */
export function checkDataRequest(node: BlockNode, offset: number, bytes: number): void {
  checkOpen(node);
  if (bytes > REQUEST_MAX_BYTES) throw new BlockError(Errno.EIO);
  checkRange(offset, bytes);
}
