/** Geometry of a node: the size of its clusters and where its VM state is. */
import { Errno } from '../../util/errno.ts';
import type { DriverInfo } from '../driver.ts';
import { BlockError } from '../error.ts';
import { MAX_ALIGNMENT } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';

/**
 * The node's geometry as its driver says it. ENOTSUP by one that has none, EINVAL for clusters beyond `MAX_ALIGNMENT`.
 */
export function driverInfo(node: BlockNode): DriverInfo {
  if (node.driver.getInfo === undefined) throw new BlockError(Errno.ENOTSUP);
  const info = node.driver.getInfo(node);
  if (info.clusterBytes > MAX_ALIGNMENT) throw new BlockError(Errno.EINVAL);
  return info;
}

/** The node's cluster size in bytes; 0 if it has no clusters. */
export function clusterBytes(node: BlockNode): number {
  return infoOrNull(node)?.clusterBytes ?? 0;
}

/**
 * The unit of a copy on read in bytes: a cluster, from QEMU 8.2 on a subcluster; 0 if there are none.
 */
export function copiedBytes(node: BlockNode): number {
  const info = infoOrNull(node);
  if (info === null) return 0;
  const subcluster = node.context.compat.has('copiesSubclusters') ? info.subclusterBytes : undefined;
  return subcluster ?? info.clusterBytes;
}

function infoOrNull(node: BlockNode): DriverInfo | null {
  try {
    return driverInfo(node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return null;
  }
}

/** The node's cluster size in bytes, or its request alignment if it has no clusters. */
export function blockCluster(node: BlockNode): number {
  return clusterBytes(node) || node.limits.requestAlignment;
}
