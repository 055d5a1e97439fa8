/** The last step of a request: the call of the driver, with the flags that it does not know emulated. */
import type { BlockNode } from '../node.ts';
import { Req } from '../flags.ts';
import { BlockError } from '../error.ts';
import { Errno } from '../../util/errno.ts';
import { flush } from './flush.ts';
import { preadv } from './read.ts';
import { pwritev } from './write.ts';

/** Reads an aligned, bounded range. A filter without a method of its own passes it to its child. */
export function driverPreadv(node: BlockNode, offset: number, data: Buffer, flags: number): Promise<void> {
  const { driver } = node;
  if (driver.preadv !== undefined) return driver.preadv(node, offset, data, flags);
  const filtered = node.filteredChild;
  if (filtered === null) throw new BlockError(Errno.ENOTSUP);
  return preadv(filtered, offset, data, flags);
}

/** Writes an aligned, bounded range. FUA that the driver does not know becomes a flush afterwards. */
export async function driverPwritev(node: BlockNode, offset: number, data: Buffer, flags: number): Promise<void> {
  const { driver } = node;
  const emulateFua = (flags & Req.FUA) !== 0 && (node.supportedWriteFlags & Req.FUA) === 0;
  const driverFlags = flags & node.supportedWriteFlags;
  if (driver.pwritev !== undefined) {
    await driver.pwritev(node, offset, data, driverFlags);
  } else {
    const filtered = node.filteredChild;
    if (filtered === null) throw new BlockError(Errno.ENOTSUP);
    await pwritev(filtered, offset, data, driverFlags);
  }
  if (emulateFua) await flush(node);
}

/** Writes a range compressed; ENOTSUP unless the driver can, or filters one that can. */
export async function driverPwritevCompressed(node: BlockNode, offset: number, data: Buffer): Promise<void> {
  if (node.driver.pwritevCompressed === undefined) throw new BlockError(Errno.ENOTSUP);
  await node.driver.pwritevCompressed(node, offset, data);
}
