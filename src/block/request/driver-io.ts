/** The last step of a request: the call of the driver, with the flags that it does not know emulated. */
import type { Pending } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import { Req } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { Errno } from '../../util/errno.ts';
import { checkOpen, flush } from './flush.ts';
import { preadv } from './read.ts';
import { pwritev } from './write.ts';
import { later } from '../../util/answer.ts';

function filteredOrRefuse(node: BlockNode): ChildLink {
  const filtered = node.filteredChild;
  if (filtered === null) throw new BlockError(Errno.ENOTSUP);
  return filtered;
}

/** Reads an aligned, bounded range. A filter without a method of its own passes it to its child. */
export function driverPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  checkOpen(node);
  const { driver } = node;
  if (driver.preadv !== undefined) return driver.preadv(node, offset, data, flags);
  return preadv(filteredOrRefuse(node), offset, data, flags);
}

/** Writes an aligned, bounded range. FUA that the driver does not know becomes a flush afterwards. */
export function driverPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Pending {
  checkOpen(node);
  const { driver, supportedWriteFlags } = node;
  const driverFlags = flags & supportedWriteFlags;
  const pending =
    driver.pwritev !== undefined
      ? driver.pwritev(node, offset, data, driverFlags)
      : pwritev(filteredOrRefuse(node), offset, data, driverFlags);
  if ((flags & ~supportedWriteFlags & Req.FUA) === 0) return pending;
  return pending === undefined ? flush(node) : later(pending, flush, node);
}

/** Whether the driver can zero a range without being given zeroes; a filter leaves that to its child. */
export function canZero(node: BlockNode): boolean {
  return node.driver.pwriteZeroes !== undefined || node.filteredChild !== null;
}

/** Writes a range compressed; ENOTSUP unless the driver can. */
export function driverPwritevCompressed(node: BlockNode, offset: number, data: Buffer): Pending {
  if (node.driver.pwritevCompressed === undefined) throw new BlockError(Errno.ENOTSUP);
  return node.driver.pwritevCompressed(node, offset, data);
}
