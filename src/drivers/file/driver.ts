/** file, host_device and host_cdrom: the host's files, block devices and drives. Found by `name.ts`. */
import { constants } from 'node:fs';
import { type Driver, fallbackOptions } from '../../block/driver.ts';
import { Status } from '../../block/flags.ts';
import { hasDisc } from '../../sys/block-device.ts';
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

  async open(node, options, flags) {
    openHostFile(node, options, flags, regularFile);
  },

  createOptions: async () => fileCreateOptions,
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
  createOptions: async () => fallbackOptions,
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
    createOptions: async () => fallbackOptions,
    create: async (...request) => (await import('../../block/create.ts')).createFallback('host_cdrom', ...request),

    async open(node, options, flags) {
      openHostFile(node, options, flags, drive);
    },

    isInserted: (node) => hasDisc(node.state.fd),
  };
})();
