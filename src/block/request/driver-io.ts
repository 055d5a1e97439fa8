/** The last step of a request: the call of the driver, with the flags that it does not know emulated. */
import { assert } from '../../util/assert.ts';
import { alignDown, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Req } from '../flags.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { flush } from './flush.ts';

const INT_MAX = 0x7fffffff;
/** Nodes that a read passes through on one stack of calls: a chain of backing files may be deeper than the stack. */
const NODES_PER_STACK = 64;

/**
 * The longest read or write in bytes that the driver takes in one go; a multiple of the request alignment. EINVAL where
 * not even one block of that alignment goes through (qemu-io 7.2 aborts there).
 */
export function largestTransfer({ limits, context }: BlockNode): number {
  const bytes = alignDown(minNonZero(limits.maxTransfer, INT_MAX), limits.requestAlignment);
  if (bytes === 0) {
    context.warn(`max-transfer ${limits.maxTransfer} is below the alignment of requests, ${limits.requestAlignment}`);
    throw new BlockError(Errno.EINVAL);
  }
  return bytes;
}

/** Whether the driver takes an aligned read or write in one go. */
export function fitsDriver({ limits }: BlockNode, bytes: number): boolean {
  return bytes <= INT_MAX && (limits.maxTransfer === 0 || bytes <= limits.maxTransfer);
}

/** The promise of the pipeline to drivers. */
export function assertAligned({ limits }: BlockNode, offset: number, bytes: number): void {
  const align = limits.requestAlignment;
  assert(offset % align === 0 && bytes % align === 0, 'a request to a driver is aligned');
}

function needsFreshStack({ height }: BlockNode): boolean {
  return height >= NODES_PER_STACK && height % NODES_PER_STACK === 0;
}

/** Goes on when the calls so far have returned. No other coroutine runs in between. */
async function onFreshStack(request: () => Pending): Promise<void> {
  await Promise.resolve();
  await request();
}

/** Reads an aligned range of at most `largestTransfer` bytes. ENOTSUP by a driver that cannot be read. */
export function driverPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  checkOpen(node);
  const { driver } = node;
  if (driver.preadv === undefined) throw new BlockError(Errno.ENOTSUP);
  if (needsFreshStack(node)) return onFreshStack(() => driver.preadv?.(node, offset, data, flags));
  return driver.preadv(node, offset, data, flags);
}

/**
 * Writes an aligned range of at most `largestTransfer` bytes. FUA that the driver does not know becomes a flush
 * afterwards. ENOTSUP by a driver that cannot be written.
 */
export function driverPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  checkOpen(node);
  const { driver, supportedWriteFlags } = node;
  if (driver.pwritev === undefined) throw new BlockError(Errno.ENOTSUP);
  const writing = driver.pwritev(node, offset, data, flags & supportedWriteFlags);
  if ((flags & ~supportedWriteFlags & Req.FUA) === 0) return writing;
  return writing === undefined ? flush(node) : run(flushAfter(node, writing));
}

function* flushAfter(node: BlockNode, writing: Promise<void>): Steps<void> {
  yield writing;
  yield flush(node);
}

/** Whether the driver can zero a range without being given zeroes. */
export function canZero(node: BlockNode): boolean {
  return node.driver.pwriteZeroes !== undefined;
}

/** Writes a range compressed; ENOTSUP unless the driver can. */
export function driverPwritevCompressed(node: BlockNode, offset: number, data: Buffer): Pending {
  if (node.driver.pwritevCompressed === undefined) throw new BlockError(Errno.ENOTSUP);
  return node.driver.pwritevCompressed(node, offset, data);
}
