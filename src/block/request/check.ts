/** The first step of a request: whether its range can exist at all. */
import { BlockError } from '../error.ts';
import { MAX_LENGTH, REQUEST_MAX_BYTES } from '../flags.ts';
import { Errno } from '../../util/errno.ts';

/** Throws EIO unless `[offset, offset + bytes)` lies in the range of offsets that a node can have. */
export function checkRange(offset: number, bytes: number): void {
  if (offset < 0 || bytes < 0 || offset > MAX_LENGTH - bytes) throw new BlockError(Errno.EIO);
}

/** As `checkRange`, for requests that carry data, which are at most `REQUEST_MAX_BYTES` long. */
export function checkDataRange(offset: number, bytes: number): void {
  checkRange(offset, bytes);
  if (bytes > REQUEST_MAX_BYTES) throw new BlockError(Errno.EIO);
}
