/** Reads and writes of whole ranges, by the synchronous positional calls. */
import { readSync, writeSync } from 'node:fs';
import { Errno } from '../util/errno.ts';
import { HostError, hostErrno } from './host-error.ts';

/** Told of the bytes that were moved, about every 16 MiB. */
export type OnTransfer = (bytes: number) => void;

const STEP_BYTES = 16 << 20;

/** How much one call moves: all that is left, unless somebody wants to be told in between. */
function stepOf(leftBytes: number, onTransfer: OnTransfer | undefined): number {
  return onTransfer === undefined ? leftBytes : Math.min(leftBytes, STEP_BYTES);
}

/**
 * Reads up to `data.length` bytes and returns how many there were before the end of the file.
 * With O_DIRECT (`direct`), EINVAL after a short read counts as the end: the rest begins at an offset that is not aligned.
 */
export function readRange(
  fd: number,
  data: Uint8Array,
  offset: number,
  direct: boolean,
  onTransfer?: OnTransfer,
): number {
  let done = 0;
  while (done < data.length) {
    try {
      const count = readSync(fd, data, done, stepOf(data.length - done, onTransfer), offset + done);
      if (count === 0) break;
      done += count;
      onTransfer?.(count);
    } catch (error) {
      const errno = hostErrno(error);
      if (errno === Errno.EINTR) continue;
      if (direct && errno === Errno.EINVAL && done > 0) break;
      throw new HostError(errno);
    }
  }
  return done;
}

/** Writes all of `data`. A host that takes no more without an error is EINVAL. */
export function writeRange(fd: number, data: Uint8Array, offset: number, onTransfer?: OnTransfer): void {
  for (let done = 0; done < data.length; ) {
    try {
      const count = writeSync(fd, data, done, stepOf(data.length - done, onTransfer), offset + done);
      if (count === 0) throw new HostError(Errno.EINVAL);
      done += count;
      onTransfer?.(count);
    } catch (error) {
      const errno = hostErrno(error);
      if (errno !== Errno.EINTR) throw new HostError(errno);
    }
  }
}
