/**
 * Locks on single bytes of a file that belong to the open file description (OFD locks), so that a close elsewhere does
 * not drop them.
 */
import { Errno } from '../util/errno.ts';
import { libc } from './libc.ts';

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const FLOCK_BYTES = 32;

/** `struct flock` of 64-bit Linux: type, whence, padding, start, length, pid. Lengths in bytes. */
function flock(type: number, byte: number): Buffer {
  const lock = Buffer.alloc(FLOCK_BYTES);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(byte), 8);
  lock.writeBigInt64LE(1n, 16);
  return lock;
}

function apply(fd: number, type: number, byte: number): number {
  const library = libc();
  if (library === null) return Errno.ENOSYS;
  return library.fcntl(fd, F_OFD_SETLK, flock(type, byte)) === -1 ? library.errno() : 0;
}

let available: boolean | undefined;

/** Whether the host has such locks; asked of `fd` the first time. */
export function hasFileLocks(fd: number): boolean {
  available ??= lockConflict(fd, 0) !== Errno.EINVAL && libc() !== null;
  return available && libc() !== null;
}

/** Takes a shared lock on one byte. 0, or a positive errno (EAGAIN: another process holds an exclusive lock). */
export function lockByte(fd: number, byte: number): number {
  return apply(fd, F_RDLCK, byte);
}

/** Gives a byte back. 0, or a positive errno. */
export function unlockByte(fd: number, byte: number): number {
  return apply(fd, F_UNLCK, byte);
}

/** Whether another process has a lock on a byte: EAGAIN if so, 0 if not, or another errno. */
export function lockConflict(fd: number, byte: number): number {
  const library = libc();
  if (library === null) return Errno.ENOSYS;
  const lock = flock(F_WRLCK, byte);
  if (library.fcntl(fd, F_OFD_GETLK, lock) === -1) return library.errno();
  return lock.readInt16LE(0) === F_UNLCK ? 0 : Errno.EAGAIN;
}
