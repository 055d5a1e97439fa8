/**
 * The last step of a request: the call of the driver, with the flags that it does not know emulated.
 *
 * Here is asserted what `block/driver.ts` promises to the data methods. A request may have waited before it comes here,
 * so each call throws ENOMEDIUM for a node that was closed meanwhile: its image was found to be corrupt.
 */
import { alignDown } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Open, Req } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { flushAfter } from './flush.ts';

/** Nodes that a read passes through on one stack of calls: a chain of backing files may be deeper than the stack. */
const NODES_PER_STACK = 64;

/**
 * The bytes of a piece of a request that is too long for the driver: whole blocks, at least one, and otherwise no more
 * than `maxBytes`. EINVAL where not even one block goes through (qemu-io 7.2 aborts there).
 */
export function transferBytes({ limits, context }: BlockNode, maxBytes = limits.transferBytes): number {
  const { requestAlignment, maxTransfer } = limits;
  if (limits.transferBytes === 0) {
    context.warn(`max-transfer ${maxTransfer} is below the alignment of requests, ${requestAlignment}`);
    throw new BlockError(Errno.EINVAL);
  }
  const blocks = alignDown(Math.min(limits.transferBytes, maxBytes), requestAlignment);
  return Math.max(blocks, requestAlignment);
}

/** Goes on when the calls so far have returned. No other coroutine runs in between. */
async function onFreshStack(request: () => Pending): Promise<void> {
  await Promise.resolve();
  await request();
}

/** The check of a node that comes before its driver gets a range of whole blocks, of at most `maxBytes` bytes. */
function checkRange(node: BlockNode, offset: number, bytes: number, maxBytes = Number.POSITIVE_INFINITY): void {
  const align = node.limits.requestAlignment;
  const isAligned = offset % align === 0 && bytes % align === 0;
  assert(isAligned && bytes <= maxBytes, 'a request to a driver is aligned, and within its limits');
  checkOpen(node);
}

/** Reads an aligned range of at most `limits.transferBytes` bytes. ENOTSUP by a driver that cannot be read. */
export function driverPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const { driver, height } = node;
  checkRange(node, offset, data.length, node.limits.transferBytes);
  assert((flags & ~node.supportedReadFlags) === 0, 'the flags of a read are those that its driver knows');
  if (driver.preadv === undefined) throw new BlockError(Errno.ENOTSUP);
  if (height >= NODES_PER_STACK && height % NODES_PER_STACK === 0)
    return onFreshStack(() => driver.preadv?.(node, offset, data, flags));
  return driver.preadv(node, offset, data, flags);
}

/**
 * Writes an aligned range of at most `limits.transferBytes` bytes. FUA that the driver does not know becomes a flush
 * afterwards. ENOTSUP by a driver that cannot be written.
 */
export function driverPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  const { driver, supportedWriteFlags, openFlags, context } = node;
  checkRange(node, offset, data.length, node.limits.transferBytes);
  if (driver.pwritev === undefined) throw new BlockError(Errno.ENOTSUP);
  // In cache mode unsafe: from 10.0 on not even the driver's own caches are flushed.
  const ignoresFua = (openFlags & Open.NO_FLUSH) !== 0 && context.compat.has('fuaInFile');
  const wanted = ignoresFua ? flags & ~Req.FUA : flags;
  const writing = driver.pwritev(node, offset, data, wanted & supportedWriteFlags);
  return (wanted & ~supportedWriteFlags & Req.FUA) === 0 ? writing : flushAfter(node, writing);
}

/** Whether the driver can zero a range without being given zeroes. */
export function canZero(node: BlockNode): boolean {
  return node.driver.pwriteZeroes !== undefined;
}

/**
 * Zeroes an aligned range of at most `limits.maxPwriteZeroes` bytes, with the flags that the driver knows. ENOTSUP by a
 * driver that cannot.
 */
export function driverPwriteZeroes(node: BlockNode, offset: number, bytes: number, flags: number): Pending {
  const { maxPwriteZeroes } = node.limits;
  checkRange(node, offset, bytes, maxPwriteZeroes === 0 ? undefined : maxPwriteZeroes);
  if (node.driver.pwriteZeroes === undefined) throw new BlockError(Errno.ENOTSUP);
  return node.driver.pwriteZeroes(node, offset, bytes, flags & node.supportedZeroFlags);
}

/** Writes an aligned range of any length compressed; ENOTSUP unless the driver can. */
export function driverPwritevCompressed(node: BlockNode, offset: number, data: Buffer): Pending {
  checkRange(node, offset, data.length);
  if (node.driver.pwritevCompressed === undefined) throw new BlockError(Errno.ENOTSUP);
  return node.driver.pwritevCompressed(node, offset, data);
}

/**
 * Discards a range at any offset, of at most `limits.maxPdiscard` bytes. ENOTSUP by a driver that cannot, or not this
 * range.
 */
export function driverPdiscard(node: BlockNode, offset: number, bytes: number): Pending {
  const { maxPdiscard } = node.limits;
  assert(maxPdiscard === 0 || bytes <= maxPdiscard, 'a discard by a driver is within max-discard');
  checkOpen(node);
  if (node.driver.pdiscard === undefined) throw new BlockError(Errno.ENOTSUP);
  return node.driver.pdiscard(node, offset, bytes);
}
