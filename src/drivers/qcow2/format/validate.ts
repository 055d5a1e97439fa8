/** Checks of header and table fields before they are trusted, and of the texts in them. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Geometry } from './geometry.ts';

const INT64_MAX = 2 ** 63;

/**
 * The fault of a table at `offset`, or null: it has to begin at a cluster and must not
 * be longer than `maxBytes`. `offset` may be a rounded value beyond 2^53.
 */
export function tableProblem(
  { clusterBytes }: Pick<Geometry, 'clusterBytes'>,
  offset: number,
  entryCount: number,
  entryBytes: number,
  maxBytes: number,
  name: string,
): BlockError | null {
  if (entryCount > Math.floor(maxBytes / entryBytes)) return new BlockError(Errno.EFBIG, `${name} too large`);
  if (offset >= INT64_MAX - entryCount * entryBytes || offset % clusterBytes !== 0) {
    return new BlockError(Errno.EINVAL, `${name} offset invalid`);
  }
  return null;
}

/** A text field that may be longer than its text: it ends at the first NUL, as in C. */
export function untilNul(data: Buffer): Buffer {
  const end = data.indexOf(0);
  return end < 0 ? data : data.subarray(0, end);
}
