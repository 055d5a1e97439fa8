/**
 * The C library, for the calls that Node does not have (fallocate, lseek, ioctl, locks) and for those that are most of
 * the work (pread, pwrite), where Node's checks of arguments cost more than the host.
 *
 * Loaded on first need (about 5 ms). Where it cannot be loaded (another platform, no prebuilt library) every function
 * that needs it says so by its result, and the program goes on with less: no locks, no holes.
 */
import { loadKoffi } from './koffi.ts';

/** The calls as C has them: a negative result is a failure, and `errno` tells which. */
export interface Libc {
  fallocate(fd: number, mode: number, offset: number, bytes: number): number;
  /** The number of bytes, or -1. */
  pread(fd: number, data: Uint8Array, bytes: number, offset: number): number;
  pwrite(fd: number, data: Uint8Array, bytes: number, offset: number): number;
  /** The new position, or -1. */
  fdatasync(fd: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  ioctl(fd: number, request: number, argument: Buffer): number;
  /** An ioctl whose argument is a number itself. */
  ioctlValue(fd: number, request: number, argument: number): number;
  fcntl(fd: number, command: number, argument: Buffer): number;
  /** Ends the process at once: nothing is flushed, no thread is waited for. */
  exit(status: number): void;
  /** The errno of the call before; to be asked right after it. */
  errno(): number;
  /** Where a buffer's first byte is in memory. */
  address(buffer: Uint8Array): bigint;
}

let loaded: Libc | null | undefined;

/** The C library, or null where it cannot be loaded. */
export function libc(): Libc | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

/**
 * Hosts whose structures and numbers are those that this folder writes: 64-bit, little-endian, the generic Linux ones.
 */
const ARCHITECTURES = ['x64', 'arm64', 'riscv64', 'loong64'];

function load(): Libc | null {
  if (process.platform !== 'linux' || !ARCHITECTURES.includes(process.arch)) return null;
  try {
    const koffi = loadKoffi();
    // No name: whatever C library Node itself runs on, glibc or another.
    const library = koffi.load(null);
    return {
      fallocate: library.func('int fallocate(int fd, int mode, int64 offset, int64 bytes)'),
      pread: library.func('int64 pread(int fd, _Inout_ void *data, size_t bytes, int64 offset)'),
      pwrite: library.func('int64 pwrite(int fd, void *data, size_t bytes, int64 offset)'),
      fdatasync: library.func('int fdatasync(int fd)'),
      lseek: library.func('int64 lseek(int fd, int64 offset, int whence)'),
      ioctl: library.func('int ioctl(int fd, unsigned long request, _Inout_ void *argument)'),
      ioctlValue: library.func('int ioctl(int fd, unsigned long request, long argument)'),
      fcntl: library.func('int fcntl(int fd, int command, _Inout_ void *argument)'),
      exit: library.func('void _exit(int status)'),
      errno: () => koffi.errno(),
      address: (buffer) => koffi.address(buffer),
    };
  } catch {
    return null;
  }
}

/** Makes the library look missing (false) or be looked for anew (true); for tests of what is left without it. */
export function setLibcAvailable(available: boolean): void {
  loaded = available ? undefined : null;
}
