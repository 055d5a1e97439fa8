/** Read-only nodes: when a node may become one, or has to. */
import { invalidArgument } from '../error.ts';
import type { BlockNode } from './node.ts';

/** Throws EINVAL if a node must not become read-only. */
export function checkReadOnlyChange(node: BlockNode, readOnly: boolean): void {
  if (readOnly && node.copyOnRead > 0) {
    throw invalidArgument(`Can't set node '${node.nodeName}' to r/o with copy-on-read enabled`);
  }
}
