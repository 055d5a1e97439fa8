/** Limits of a node: what its children and its driver ask of requests. */
import { alignDown, minNonZero } from '../../util/align.ts';
import { BlockError, invalidArgument } from '../error.ts';
import { MAX_ALIGNMENT, Role } from '../flags.ts';
import { type BlockNode, type Limits, MAX_TRANSFER_BYTES, noLimits } from './node.ts';

const PAGE_BYTES = 4096;

/** Sets `node.limits` anew, from the children's and by the driver. Throws EINVAL if an alignment is out of reach. */
export function refreshLimits(node: BlockNode): void {
  const limits = noLimits();
  node.limits = limits;

  let hasChild = false;
  for (const child of node.children) {
    if ((child.role & (Role.DATA | Role.FILTERED | Role.COW)) === 0) continue;
    merge(limits, child.node.limits);
    hasChild = true;
  }
  if (!hasChild) {
    limits.minMemAlignment = 512;
    limits.optMemAlignment = PAGE_BYTES;
  }
  node.driver.refreshLimits?.(node);
  setTransferBytes(limits);
  if (node.limits.requestAlignment > MAX_ALIGNMENT) {
    throw invalidArgument('Driver requires too large request alignment');
  }
}

/** Sets the longest transfer, which follows from the limits that the driver has set. */
export function setTransferBytes(limits: Limits): void {
  limits.transferBytes = alignDown(minNonZero(limits.maxTransfer, MAX_TRANSFER_BYTES), limits.requestAlignment);
}

/** `refreshLimits` that ignores a BlockError: for use after changes that cannot be rolled back. */
export function refreshLimitsIfPossible(node: BlockNode): void {
  try {
    refreshLimits(node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

/**
 * Alignment of requests and limits of zero writes do not pass from child to parent: the pipeline of the child sees to
 * them.
 */
function merge(limits: Limits, child: Limits): void {
  limits.pdiscardAlignment = Math.max(limits.pdiscardAlignment, child.pdiscardAlignment);
  limits.optTransfer = Math.max(limits.optTransfer, child.optTransfer);
  limits.maxTransfer = minNonZero(limits.maxTransfer, child.maxTransfer);
  limits.optMemAlignment = Math.max(limits.optMemAlignment, child.optMemAlignment);
  limits.minMemAlignment = Math.max(limits.minMemAlignment, child.minMemAlignment);
}
