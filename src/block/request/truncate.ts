/** Truncate: a node made longer or shorter. */
import { Errno } from '../../util/errno.ts';
import type { Preallocation } from '../driver.ts';
import { BlockError, invalidArgument, withContext } from '../error.ts';
import { Req, SECTOR_BYTES } from '../flags.ts';
import type { ChildLink } from '../graph/node.ts';
import { finishWrite, prepareWrite } from './write.ts';
import { whileTraced } from './traced.ts';

/**
 * Sets a node's length in bytes. `exact`: not longer than asked for, either. The errors' texts are those that the user
 * reads.
 */
export async function truncate(
  child: ChildLink,
  bytes: number,
  exact: boolean,
  preallocation: Preallocation,
  flags: number,
): Promise<void> {
  const { node } = child;
  if (node.closed) throw new BlockError(Errno.ENOMEDIUM, 'No medium inserted');
  if (bytes < 0) throw invalidArgument('Image size cannot be negative');
  // No upper bound here: who cannot make a node that long says so in its own words (the host: "File too large").
  const oldBytes = withContext('Failed to get old image size', () => node.getLength());
  if (node.isReadOnly) throw new BlockError(Errno.EACCES, 'Image is read-only');

  const resize = (): Promise<void> => trackedTruncate(child, oldBytes, bytes, exact, preallocation, flags);
  await (node.trace.active ? whileTraced(node, 'truncate', bytes, 0, resize) : resize());
}

async function trackedTruncate(
  child: ChildLink,
  oldBytes: number,
  bytes: number,
  exact: boolean,
  preallocation: Preallocation,
  flags: number,
): Promise<void> {
  const { node } = child;
  const newBytes = Math.max(0, bytes - oldBytes);
  const request = node.requests.begin('truncate', bytes - newBytes, newBytes);
  try {
    // Nobody may write to the new area while it is made: preallocation would overwrite it.
    if (newBytes > 0) await node.requests.makeSerialising(request, 1);
    await withContext('Failed to prepare request for truncation', async () => prepareWrite(node, request, 0));
    await truncateDriver(child, oldBytes, newBytes, bytes, exact, preallocation, flags);
    const finalBytes = refreshedLength(child, bytes);
    finishWrite(node, request.kind, finalBytes - newBytes, newBytes, true);
  } finally {
    node.requests.end(request);
  }
}

async function truncateDriver(
  { node }: ChildLink,
  oldBytes: number,
  newBytes: number,
  bytes: number,
  exact: boolean,
  preallocation: Preallocation,
  flags: number,
): Promise<void> {
  let driverFlags = flags;
  const backing = node.cowChild;
  if (newBytes > 0 && backing !== null) {
    const backingBytes = withContext('Could not get backing file size', () => backing.node.getLength());
    // Left unallocated, the new area would show what the backing file has there.
    if (backingBytes > oldBytes) driverFlags |= Req.ZERO_WRITE;
  }
  if (node.driver.truncate !== undefined) {
    if ((driverFlags & ~node.supportedTruncateFlags) !== 0) {
      throw new BlockError(Errno.ENOTSUP, 'Block driver does not support requested flags');
    }
    await node.driver.truncate(node, bytes, exact, preallocation, driverFlags);
    return;
  }
  if (node.filteredChild === null) {
    throw new BlockError(Errno.ENOTSUP, 'Image format driver does not support resize');
  }
  await truncate(node.filteredChild, bytes, exact, preallocation, driverFlags);
}

function refreshedLength({ node }: ChildLink, bytes: number): number {
  withContext('Could not refresh total sector count', () => node.refreshTotalSectors(Math.floor(bytes / SECTOR_BYTES)));
  return node.totalSectors * SECTOR_BYTES;
}
