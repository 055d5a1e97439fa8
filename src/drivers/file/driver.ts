/** file, host_device and host_cdrom: the host's files, block devices and drives. */
import { closeSync, constants, openSync, type Stats, statSync } from 'node:fs';
import { type Driver, fallbackOptions } from '../../block/driver.ts';
import { stripProtocol } from '../../block/open/filename.ts';
import { Status } from '../../block/flags.ts';
import { hasDisc, isDiscDrive } from '../../sys/block-device.ts';
import { extentAt } from '../../sys/seek.ts';
import { alignUp } from '../../util/align.ts';
import { hostFile } from './host-file.ts';
import { deleteHostFile, fileCreateOptions } from './new-file.ts';
import { type FileKind, openHostFile } from './open.ts';
import type { FileState } from './state.ts';

const regularFile: FileKind = { isDevice: false, fixedHostFlags: 0 };
const device: FileKind = { isDevice: true, fixedHostFlags: 0 };
/** A drive that may be empty: opened without waiting for a disc. */
const drive: FileKind = { isDevice: true, fixedHostFlags: constants.O_NONBLOCK };

/** The host's regular files. */
export const file: Driver<FileState> = {
  ...hostFile,
  formatName: 'file',
  protocolName: 'file',
  parseFilename: (filename, options) => stripProtocol(filename, 'file:', options),

  async open(node, options, flags) {
    openHostFile(node, options, flags, regularFile);
  },

  createOptions: fileCreateOptions,
  create: async (...request) => (await import('./create-file.ts')).createHostFile(...request),
  deleteFile: deleteHostFile,

  blockStatus(node, wantZero, offset, bytes) {
    const base = { map: offset, file: node };
    const data = { ...base, flags: Status.DATA | Status.OFFSET_VALID, bytes };
    if (!wantZero) return data;
    const extent = extentAt(node.state.fd, offset);
    if (extent === null) return data;
    const flags = (extent.isData ? Status.DATA : Status.ZERO) | Status.OFFSET_VALID;
    if (extent.end === null) return { ...base, flags, bytes };
    const extentBytes = extent.end - offset;
    // Data may end with the file, in the middle of a block.
    return { ...base, flags, bytes: alignUp(extentBytes, node.limits.requestAlignment) };
  },
};

/** A device has no holes that the host would tell of: all of it is data. */
export const hostDevice: Driver<FileState> = {
  ...hostFile,
  formatName: 'host_device',
  protocolName: 'host_device',
  probeDevice: scoreOfDevice,
  parseFilename: (filename, options) => stripProtocol(filename, 'host_device:', options),
  createOptions: fallbackOptions,
  create: async (...request) => (await import('../../block/create.ts')).createFallback('host_device', ...request),

  async open(node, options, flags) {
    openHostFile(node, options, flags, device);
  },
};

/** A drive for optical discs. It is neither zeroed nor discarded, and knows nothing of itself for `info`. */
export const hostCdrom: Driver<FileState> = (() => {
  const { pdiscard: _pdiscard, pwriteZeroes: _pwriteZeroes, getInfo: _getInfo, ...common } = hostFile;
  return {
    ...common,
    formatName: 'host_cdrom',
    protocolName: 'host_cdrom',
    hasVariableLength: true,
    probeDevice: scoreOfDrive,
    parseFilename: (filename, options) => stripProtocol(filename, 'host_cdrom:', options),
    createOptions: fallbackOptions,
    create: async (...request) => (await import('../../block/create.ts')).createFallback('host_cdrom', ...request),

    async open(node, options, flags) {
      openHostFile(node, options, flags, drive);
    },

    isInserted: (node) => hasDisc(node.state.fd),
  };
})();

/** How surely a name without a prefix is a device: certainly, if that is what the host has there. */
function scoreOfDevice(filename: string): number {
  // Leaves room for the driver of drives.
  if (filename.startsWith('/dev/cdrom')) return 50;
  const stat = statOrNull(filename);
  return stat !== null && (stat.isBlockDevice() || stat.isCharacterDevice()) ? 100 : 0;
}

function scoreOfDrive(filename: string): number {
  if (statOrNull(filename)?.isBlockDevice() !== true) return 0;
  let fd: number;
  try {
    fd = openSync(filename, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return 0;
  }
  try {
    return isDiscDrive(fd) ? 100 : 0;
  } finally {
    closeSync(fd);
  }
}

function statOrNull(filename: string): Stats | null {
  try {
    return statSync(filename);
  } catch {
    return null;
  }
}
