/** The first step of a request: whether the node is open, and whether the range can exist at all. */
import { BlockError } from '../error.ts';
import { MAX_LENGTH, QEMU_MAX_LENGTH } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { Errno } from '../../util/errno.ts';

/** Throws ENOMEDIUM for a node that was closed under the caller; `message` is its text, if not the errno's. */
export function checkOpen(node: BlockNode, message?: string): void {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM, message);
}

/**
 * The first step of a request: ENOMEDIUM for a node that is closed, EIO for more than `maxBytes`. Throws unless
 * `[offset, offset + bytes)` lies in the range of offsets that a node can have: EIO for what no node of QEMU has
 * either; EFBIG for what lies between our longest node and its, where the real program asks the host, which has no such
 * files (observed with qemu-io 7.2.22 on ext4).
 */
export function checkRequest(node: BlockNode, offset: number, bytes: number, maxBytes = QEMU_MAX_LENGTH): void {
  checkOpen(node);
  if (bytes > maxBytes || offset < 0 || bytes < 0 || offset > QEMU_MAX_LENGTH - bytes) throw new BlockError(Errno.EIO);
  if (offset > MAX_LENGTH - bytes) throw new BlockError(Errno.EFBIG);
}
