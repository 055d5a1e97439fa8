/** Reads and writes of whole ranges, by the synchronous positional calls. */
import { readSync, writeSync } from 'node:fs';
import { Errno } from '../util/errno.ts';
import { HostError, hostErrno } from './host-error.ts';

/**
 * Reads up to `data.length` bytes and returns how many there were before the end of the file.
 * With O_DIRECT (`direct`), EINVAL after a short read counts as the end: the rest begins at an offset that is not aligned.
 */
export function readRange(fd: number, data: Uint8Array, offset: number, direct: boolean): number {
  let done = 0;
  while (done < data.length) {
    try {
      const count = readSync(fd, data, done, data.length - done, offset + done);
      if (count === 0) break;
      done += count;
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
export function writeRange(fd: number, data: Uint8Array, offset: number): void {
  for (let done = 0; done < data.length; ) {
    try {
      const count = writeSync(fd, data, done, data.length - done, offset + done);
      if (count === 0) throw new HostError(Errno.EINVAL);
      done += count;
    } catch (error) {
      const errno = hostErrno(error);
      if (errno !== Errno.EINTR) throw new HostError(errno);
    }
  }
}
