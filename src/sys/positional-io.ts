/** Reads and writes of whole ranges, by the synchronous positional calls. */
import { readSync, writeSync } from 'node:fs';
import { Errno, hostErrno, HostError } from '../util/errno.ts';
import { libc } from './libc.ts';

/**
 * Reads up to `data.length` bytes and returns how many there were before the end of the file. With O_DIRECT (`direct`),
 * EINVAL after a short read counts as the end: the rest begins at an offset that is not aligned.
 */
export function readRange(fd: number, data: Uint8Array, offset: number, direct: boolean): number {
  let done = 0;
  while (done < data.length) {
    const count = readAt(fd, done === 0 ? data : data.subarray(done), offset + done);
    if (count === 0) break;
    if (count > 0) {
      done += count;
    } else if (count === -Errno.EINVAL && direct && done > 0) {
      break;
    } else if (count !== -Errno.EINTR) {
      throw new HostError(-count);
    }
  }
  return done;
}

/** Writes all of `data`. A host that takes no more without an error is EINVAL. */
export function writeRange(fd: number, data: Uint8Array, offset: number): void {
  for (let done = 0; done < data.length; ) {
    const count = writeAt(fd, done === 0 ? data : data.subarray(done), offset + done);
    if (count === 0) throw new HostError(Errno.EINVAL);
    if (count > 0) done += count;
    else if (count !== -Errno.EINTR) throw new HostError(-count);
  }
}

/** One call; how many bytes it read, or a negative errno. */
function readAt(fd: number, data: Uint8Array, offset: number): number {
  const host = libc();
  if (host !== null) {
    const count = host.pread(fd, data, data.length, offset);
    return count < 0 ? -host.errno() : count;
  }
  try {
    return readSync(fd, data, 0, data.length, offset);
  } catch (error) {
    return -hostErrno(error);
  }
}

function writeAt(fd: number, data: Uint8Array, offset: number): number {
  const host = libc();
  if (host !== null) {
    const count = host.pwrite(fd, data, data.length, offset);
    return count < 0 ? -host.errno() : count;
  }
  try {
    return writeSync(fd, data, 0, data.length, offset);
  } catch (error) {
    return -hostErrno(error);
  }
}
