/** Checks of what a header or a table says, before it is believed. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Qcow2Image } from '../tables/image.ts';

const INT64_MAX = 2 ** 63;

/**
 * What is wrong with a table that the image says to be at `offset`, or null: it has to begin at a cluster and must not
 * be longer than `maxBytes`. `offset` may be a rounded value beyond 2^53.
 */
export function tableProblem(
  image: Qcow2Image,
  offset: number,
  entryCount: number,
  entryBytes: number,
  maxBytes: number,
  name: string,
): BlockError | null {
  if (entryCount > Math.floor(maxBytes / entryBytes)) return new BlockError(Errno.EFBIG, `${name} too large`);
  if (offset >= INT64_MAX - entryCount * entryBytes || offset % image.clusterBytes !== 0) {
    return new BlockError(Errno.EINVAL, `${name} offset invalid`);
  }
  return null;
}
