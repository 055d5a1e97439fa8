/** fallocate(2): reserving, zeroing and punching out ranges of a file. */
import { Errno } from '../util/errno.ts';
import { libc } from './libc.ts';

/**
 * Modes of fallocate (linux/falloc.h); 0 reserves, and makes the file longer where the range reaches behind its end.
 */
export const Fallocate = {
  RESERVE: 0,
  PUNCH_HOLE: 0x02 | 0x01,
  ZERO_RANGE: 0x10,
} as const;

/**
 * 0, or a positive errno. ENOTSUP stands for every way in which a host says that it has no such call; that includes a
 * host whose C library could not be loaded.
 */
export function fallocate(fd: number, mode: number, offset: number, bytes: number): number {
  const library = libc();
  if (library === null) return Errno.ENOTSUP;
  for (;;) {
    if (library.fallocate(fd, mode, offset, bytes) === 0) return 0;
    const errno = library.errno();
    if (errno !== Errno.EINTR) return asNotSupported(errno);
  }
}

/** Maps the errno numbers by which file systems and devices say "I have no such call" to ENOTSUP. */
export function asNotSupported(errno: number): number {
  const none: readonly number[] = [Errno.ENODEV, Errno.ENOSYS, Errno.ENOTSUP, Errno.ENOTTY];
  return none.includes(errno) ? Errno.ENOTSUP : errno;
}
