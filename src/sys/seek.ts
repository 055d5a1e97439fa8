/** lseek(2): the length of a file or device, and its holes. */
import { fstatSync, readFileSync, type Stats } from 'node:fs';
import { Errno, HostError } from '../util/errno.ts';
import { libc } from './libc.ts';

const SEEK_END = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** The length in bytes of a file or block device. */
export function lengthOf(fd: number): number {
  const library = libc();
  if (library === null) return lengthWithoutLibc(fstatSync(fd));
  const length = library.lseek(fd, 0, SEEK_END);
  if (length < 0) throw new HostError(library.errno());
  return length;
}

function lengthWithoutLibc(stat: Stats): number {
  return stat.isBlockDevice() ? sectorsInSysfs(stat.rdev) * 512 : stat.size;
}

/** The length that the kernel shows for a block device, in sectors of 512 bytes. */
function sectorsInSysfs(device: number): number {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  return Number(readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'latin1'));
}

/**
 * An extent of a file: data, or a hole, from the offset asked for to `end`. `end` null: a hole up to the end of the
 * file.
 */
export interface Extent {
  readonly isData: boolean;
  readonly end: number | null;
}

/** Data or hole at an offset; null where the host cannot tell (then everything counts as data). */
export function extentAt(fd: number, offset: number): Extent | null {
  const library = libc();
  if (library === null) return null;
  const data = library.lseek(fd, offset, SEEK_DATA);
  if (data < 0) return library.errno() === Errno.ENXIO ? { isData: false, end: null } : null;
  if (data < offset) return null;
  if (data > offset) return { isData: false, end: data };
  const hole = library.lseek(fd, offset, SEEK_HOLE);
  if (hole < 0) return library.errno() === Errno.ENXIO ? { isData: false, end: null } : null;
  // A hole right here was made behind our back since the first call: say nothing rather than something old.
  return hole > offset ? { isData: true, end: hole } : null;
}
