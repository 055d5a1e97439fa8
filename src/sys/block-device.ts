/** ioctls of block devices and of XFS. */
import { Errno } from '../util/errno.ts';
import { asNotSupported } from './fallocate.ts';
import { libc } from './libc.ts';

const BLKROGET = 0x125e;
const BLKSSZGET = 0x1268;
const CDROM_DRIVE_STATUS = 0x5326;
const CDS_DISC_OK = 4;
/** The slot of a changer that is in use. */
const CDSL_CURRENT = 0x7fffffff;
const BLKDISCARD = 0x1277;
const BLKZEROOUT = 0x127f;
/** `_IOR('X', 30, struct dioattr)`: three 32-bit numbers, the second the smallest direct I/O. */
const XFS_IOC_DIOINFO = 0x800c581e;

function number(fd: number, request: number, bytes: number, position: number): number | null {
  const library = libc();
  const answer = Buffer.alloc(bytes);
  if (library === null || library.ioctl(fd, request, answer) < 0) return null;
  return answer.readUInt32LE(position);
}

/**
 * The logical block size of a device in bytes, or the smallest direct I/O of a file on XFS; null if neither is known.
 */
export function directIoAlignment(fd: number): number | null {
  return number(fd, XFS_IOC_DIOINFO, 12, 4) ?? number(fd, BLKSSZGET, 4, 0);
}

/** Whether a block device refuses writes, whatever the permissions of its file say. */
export function isReadOnlyDevice(fd: number): boolean {
  return (number(fd, BLKROGET, 4, 0) ?? 0) !== 0;
}

/** Whether a device is a drive for optical discs, with or without one in it. */
export function isDiscDrive(fd: number): boolean {
  return driveStatus(fd) >= 0;
}

/** Whether a drive says that it has a readable disc. */
export function hasDisc(fd: number): boolean {
  return driveStatus(fd) === CDS_DISC_OK;
}

/** The status that a drive reports; negative if the device is no drive. */
function driveStatus(fd: number): number {
  return libc()?.ioctlValue(fd, CDROM_DRIVE_STATUS, CDSL_CURRENT) ?? -1;
}

function rangeCall(fd: number, request: number, offset: number, bytes: number): number {
  const library = libc();
  if (library === null) return Errno.ENOTSUP;
  const range = Buffer.alloc(16);
  range.writeBigUInt64LE(BigInt(offset), 0);
  range.writeBigUInt64LE(BigInt(bytes), 8);
  for (;;) {
    if (library.ioctl(fd, request, range) === 0) return 0;
    const errno = library.errno();
    if (errno !== Errno.EINTR) return asNotSupported(errno);
  }
}

/** Discards a range of a block device. 0, or a positive errno. */
export function discardDeviceRange(fd: number, offset: number, bytes: number): number {
  return rangeCall(fd, BLKDISCARD, offset, bytes);
}

/** Zeroes a range of a block device. 0, or a positive errno. */
export function zeroDeviceRange(fd: number, offset: number, bytes: number): number {
  return rangeCall(fd, BLKZEROOUT, offset, bytes);
}
