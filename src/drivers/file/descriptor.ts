/** Opening the descriptor of a host file: access mode, O_DIRECT, and the messages of what can go wrong. */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { BlockError, errorWithErrno, invalidArgument } from '../../block/error.ts';
import { Open, Perm } from '../../block/flags.ts';
import { isReadOnlyDevice } from '../../sys/block-device.ts';
import { Errno, hostErrno, strerror } from '../../util/errno.ts';

const WRITERS = Perm.WRITE | Perm.WRITE_UNCHANGED | Perm.RESIZE;

/**
 * The flags of open(2) for a node's flags. With auto-read-only the file is writable only while a parent has a
 * permission to write.
 */
export function hostFlagsFor(openFlags: number, perm: number): number {
  const isAuto = (openFlags & Open.AUTO_READ_ONLY) !== 0;
  const isWritable = isAuto ? (perm & WRITERS) !== 0 : (openFlags & Open.READ_WRITE) !== 0;
  const access = isWritable ? constants.O_RDWR : constants.O_RDONLY;
  return (openFlags & Open.NO_CACHE) !== 0 ? access | constants.O_DIRECT : access;
}

/** Opens a host file. Throws with QEMU's texts; EROFS counts as EACCES, which asks the caller to try read-only. */
export function openDescriptor(path: string, hostFlags: number): number {
  const fd = openOrExplain(path, hostFlags);
  if ((hostFlags & constants.O_RDWR) !== 0 && fstatSync(fd).isBlockDevice() && isReadOnlyDevice(fd)) {
    closeSync(fd);
    throw errorWithErrno(Errno.EACCES, 'The device is not writable');
  }
  return fd;
}

function openOrExplain(path: string, hostFlags: number): number {
  if (path.startsWith(FD_SET_PREFIX)) throw noSuchFdSet(path, hostFlags);
  try {
    return openSync(path, isPipe(path) ? hostFlags | constants.O_NONBLOCK : hostFlags);
  } catch (error) {
    const errno = hostErrno(error);
    if (errno === Errno.EINVAL && (hostFlags & constants.O_DIRECT) !== 0 && opens(path, hostFlags)) {
      throw new BlockError(errno, `Could not open '${path}': filesystem does not support O_DIRECT`);
    }
    const message = `Could not open '${path}': ${strerror(errno)}`;
    throw new BlockError(errno === Errno.EROFS ? Errno.EACCES : errno, message);
  }
}

/**
 * Whether a name is that of a named pipe, whose open would wait for a process at its other end, only to be refused
 * then.
 */
function isPipe(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFIFO() === true;
}

/**
 * Names of descriptors that a monitor has been given. There is no monitor here: the texts are those of qemu-io 7.2.22.
 */
const FD_SET_PREFIX = '/dev/fdset/';
const INT_MAX = 0x7fffffff;

function noSuchFdSet(path: string, hostFlags: number): BlockError {
  const number = /^\s*\+?(\d+)$/.exec(path.slice(FD_SET_PREFIX.length))?.[1];
  if (number === undefined || Number(number) > INT_MAX) {
    return invalidArgument(`Could not parse fdset ${path}`);
  }
  return errorWithErrno(Errno.ENOSYS, `Could not dup FD for ${path} flags ${hostFlags.toString(16)}`);
}

/** Whether it would open without O_DIRECT. */
function opens(path: string, hostFlags: number): boolean {
  try {
    closeSync(openSync(path, hostFlags & ~constants.O_DIRECT));
    return true;
  } catch {
    return false;
  }
}
