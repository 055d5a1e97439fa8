/** Copy on read: what a read finds in a backing file is written to the node, cluster by cluster. */
import { alignDown, alignUp, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { isAllZero } from '../../util/zero.ts';
import type { DriverInfo } from '../driver.ts';
import { BlockError } from '../error.ts';
import { Event } from '../events/events.ts';
import { MAX_ALIGNMENT, Req, REQUEST_MAX_BYTES } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { canZero, driverPreadv, driverPwritev } from './driver-io.ts';
import { isAllocated } from './status.ts';
import { zeroRange } from './zero.ts';

const MAX_BOUNCE_BYTES = 16 * 1024 * 1024;

/** What the driver says of the node, a filter what its child says. ENOTSUP if none does. */
export function driverInfo(node: BlockNode): DriverInfo {
  if (node.driver.getInfo !== undefined) {
    const info = node.driver.getInfo(node);
    if (info.clusterBytes > MAX_ALIGNMENT) throw new BlockError(Errno.EINVAL);
    return info;
  }
  if (node.filteredChild === null) throw new BlockError(Errno.ENOTSUP);
  return driverInfo(node.filteredChild.node);
}

function clusterBytes(node: BlockNode): number {
  try {
    return driverInfo(node).clusterBytes;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return 0;
  }
}

/** The node's cluster size in bytes, or its request alignment if it has no clusters. */
export function blockCluster(node: BlockNode): number {
  const bytes = clusterBytes(node);
  return bytes === 0 ? node.limits.requestAlignment : bytes;
}

/** Whether every byte of the range is allocated in this node. */
export async function isAllocatedWhole(node: BlockNode, offset: number, bytes: number): Promise<boolean> {
  const status = await isAllocated(node, offset, bytes);
  return status.allocated && status.bytes === bytes;
}

/** Reads a range, writing those of its clusters that the node does not have. The request must be serialising. */
export async function copyOnRead(child: ChildLink, offset: number, data: Buffer, flags: number): Promise<void> {
  const { node } = child;
  const maxTransfer = minNonZero(node.limits.maxTransfer, REQUEST_MAX_BYTES);
  const cluster = clusterBytes(node) || 1;
  const prefetch = (flags & Req.PREFETCH) !== 0;
  let position = alignDown(offset, cluster);
  let rest = alignUp(offset + data.length, cluster) - position;
  let skip = offset - position;
  let progress = 0;

  while (rest > 0) {
    const wanted = Math.min(rest, maxTransfer);
    const found = await allocationOrNone(node, position, wanted);
    const { allocated } = found;
    const bytes = allocated ? found.bytes : Math.min(found.bytes, MAX_BOUNCE_BYTES);
    // The image ends in the middle of the last cluster.
    if (bytes === 0) break;
    // A cluster of subclusters has runs before and behind what is wanted; there qemu-io 7.2 crashes.
    const before = Math.min(skip, bytes);
    const wantedBytes = prefetch ? 0 : Math.max(0, Math.min(bytes - before, data.length - progress));

    if (!allocated) {
      const bounce = node.context.allocate(bytes);
      await driverPreadv(node, position, bounce, 0);
      await node.debugEvent(Event.COR_WRITE);
      await writeCopy(node, position, bounce);
      bounce.copy(data, progress, before, before + wantedBytes);
    } else if (wantedBytes > 0) {
      await driverPreadv(node, offset + progress, data.subarray(progress, progress + wantedBytes), 0);
    }
    position += bytes;
    rest -= bytes;
    progress += bytes - before;
    skip -= before;
  }
}

/** An error of the question counts as "not allocated": the read that follows will say it better. */
async function allocationOrNone(node: BlockNode, offset: number, bytes: number) {
  try {
    return await isAllocated(node, offset, bytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return { allocated: false, bytes };
  }
}

async function writeCopy(node: BlockNode, offset: number, data: Buffer): Promise<void> {
  if (canZero(node) && isAllZero(data)) {
    await zeroRange(node, offset, data.length, Req.WRITE_UNCHANGED);
  } else {
    await driverPwritev(node, offset, data, Req.WRITE_UNCHANGED);
  }
}
