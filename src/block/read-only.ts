/** Read-only nodes: when a node may become one, or has to. */
import { Errno } from '../util/errno.ts';
import { BlockError } from './error.ts';
import { Open } from './flags.ts';
import type { BlockNode } from './node.ts';

/** Throws EINVAL if a node must not become read-only. */
export function checkReadOnlyChange(node: BlockNode, readOnly: boolean): void {
  if (readOnly && node.copyOnRead > 0) {
    throw new BlockError(Errno.EINVAL, `Can't set node '${node.nodeName}' to r/o with copy-on-read enabled`);
  }
}

/**
 * For drivers that can open their image only for reading: makes the node read-only if the user allowed that
 * (`auto-read-only`). Throws EACCES with `message` if not.
 */
export function applyAutoReadOnly(node: BlockNode, message = 'Image is read-only'): void {
  if (node.isReadOnly) return;
  if ((node.openFlags & Open.AUTO_READ_ONLY) === 0 || node.copyOnRead > 0) throw new BlockError(Errno.EACCES, message);
  node.openFlags &= ~Open.READ_WRITE;
}
