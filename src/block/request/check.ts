/** The first step of a request: whether its range can exist at all. */
import { BlockError } from '../error.ts';
import { MAX_LENGTH, REQUEST_MAX_BYTES } from '../flags.ts';
import type { BlockNode } from '../node.ts';
import { Errno } from '../../util/errno.ts';

/** Throws EIO unless `[offset, offset + bytes)` lies in the range of offsets that a node can have. */
export function checkRange(offset: number, bytes: number): void {
  if (offset < 0 || bytes < 0 || offset > MAX_LENGTH - bytes) throw new BlockError(Errno.EIO);
}

/**
 * The first step of a request that carries data, which is at most `REQUEST_MAX_BYTES` long: ENOMEDIUM for a node that is
 * closed, EIO as `checkRange`. One function, since every request on every node passes here.
 */
export function checkDataRequest(node: BlockNode, offset: number, bytes: number): void {
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM);
  if (offset < 0 || bytes > REQUEST_MAX_BYTES || offset > MAX_LENGTH - bytes) throw new BlockError(Errno.EIO);
}
