/** Truncate: a node made longer or shorter. */
import { Errno } from '../../util/errno.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import type { TruncateOptions } from '../driver.ts';
import { BlockError, invalidArgument, withContext } from '../error.ts';
import { Req, SECTOR_BYTES } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import type { TrackedRequest } from './serialise.ts';
import { runTracked } from './traced.ts';
import { finishWrite, prepareWrite } from './write.ts';

const noMedium = 'No medium inserted';

/** Sets a node's length in bytes. The errors' texts are those that the user reads. */
export function truncate(child: ChildLink, bytes: number, options: Partial<TruncateOptions> = {}): Pending {
  const { node } = child;
  checkOpen(node, noMedium);
  if (bytes < 0) throw invalidArgument('Image size cannot be negative');
  // No upper bound here: a driver that cannot make a node that long has its own text (the host: "File too large").
  const oldBytes = withContext('Failed to get old image size', () => node.getLength());
  if (node.isReadOnly) throw new BlockError(Errno.EACCES, 'Image is read-only');
  const { exact = false, preallocation = 'off', flags = 0 } = options;
  const newBytes = Math.max(0, bytes - oldBytes);
  const tracked = node.requests.begin('truncate', bytes - newBytes, newBytes);
  const steps = resize(node, tracked, bytes, { exact, preallocation, flags });
  return runTracked(node, tracked, 'truncate', bytes, 0, steps);
}

/** Sets the length; `request` covers the new area, if there is one. */
function* resize(node: BlockNode, request: TrackedRequest, bytes: number, options: TruncateOptions): Steps<void> {
  const newBytes = request.bytes;
  // No write may reach the new area while it is made: preallocation would overwrite it.
  if (newBytes > 0) yield node.requests.makeSerialising(request, 1);
  yield withContext('Failed to prepare request for truncation', () => prepareWrite(node, request, 0));
  // A request that it waited for may have found the image corrupt.
  checkOpen(node, noMedium);
  yield* resizeByDriver(node, bytes - newBytes, bytes, options);
  const finalBytes = refreshedLength(node, bytes);
  finishWrite(node, request.kind, finalBytes - newBytes, newBytes, true);
}

function* resizeByDriver(node: BlockNode, oldBytes: number, bytes: number, options: TruncateOptions): Steps<void> {
  const { driver } = node;
  const backing = node.cowChild;
  let { flags } = options;
  if (bytes > oldBytes && backing !== null) {
    const backingBytes = withContext('Could not get backing file size', () => backing.node.getLength());
    // Left unallocated, the new area would show what the backing file has there.
    if (backingBytes > oldBytes) flags |= Req.ZERO_WRITE;
  }
  if (driver.truncate === undefined) {
    throw new BlockError(Errno.ENOTSUP, 'Image format driver does not support resize');
  }
  // A filter passes the flags on; whether they can be had its child says.
  if (driver.isFilter !== true && (flags & ~node.supportedTruncateFlags) !== 0) {
    throw new BlockError(Errno.ENOTSUP, 'Block driver does not support requested flags');
  }
  yield driver.truncate(node, bytes, { ...options, flags });
}

function refreshedLength(node: BlockNode, bytes: number): number {
  withContext('Could not refresh total sector count', () => node.refreshTotalSectors(Math.floor(bytes / SECTOR_BYTES)));
  return node.totalSectors * SECTOR_BYTES;
}
