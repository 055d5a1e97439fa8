/** file, host_device and host_cdrom: the host's files, block devices and drives. */
import { closeSync, constants, fdatasyncSync, fstatSync, statSync } from 'node:fs';
import type { Driver } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { stripProtocol } from '../../block/filename.ts';
import { Open, Req, Status } from '../../block/flags.ts';
import { setAllocator } from '../../block/memory.ts';
import { absorbOptions, type Options } from '../../block/options.ts';
import { alignedBuffer, isBufferAligned } from '../../sys/aligned-memory.ts';
import { hasDisc } from '../../sys/block-device.ts';
import { hostErrno } from '../../sys/host-error.ts';
import { libc } from '../../sys/libc.ts';
import { hasFileLocks } from '../../sys/locks.ts';
import { readRange, writeRange } from '../../sys/positional-io.ts';
import { extentAt, lengthOf } from '../../sys/seek.ts';
import { alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { hostFlagsFor, openDescriptor } from './descriptor.ts';
import { directIoNeeds } from './direct-io.ts';
import { FileLocks } from './locks.ts';
import { asBlockError, hostCall, hostResult, type FileNode, type FileState } from './state.ts';
import { truncateHostFile } from './truncate.ts';
import { discardHostRange, zeroHostRange } from './zero.ts';

const PAGE_BYTES = 4096;

const runtimeOptions = {
  filename: 'string',
  aio: 'string',
  'aio-max-batch': 'number',
  locking: 'string',
  'pr-manager': 'string',
  'drop-cache': 'bool',
  'x-check-cache-dropped': 'bool',
} as const;

const AIO_MODES = ['threads', 'native', 'io_uring'];
const LOCKING_MODES = ['auto', 'on', 'off'];

function oneOf(value: string | undefined, values: readonly string[], fallback: string): string {
  if (value === undefined) return fallback;
  if (!values.includes(value)) throw new BlockError(Errno.EINVAL, `invalid parameter value: ${value}`);
  return value;
}

function defaultAio(flags: number): string {
  if ((flags & Open.NATIVE_AIO) !== 0) return 'native';
  return (flags & Open.IO_URING) !== 0 ? 'io_uring' : 'threads';
}

function isDirect({ hostFlags }: Pick<FileState, 'hostFlags'>): boolean {
  return (hostFlags & constants.O_DIRECT) !== 0;
}

let missingLibcIsKnown = false;

/** Says once what the program lacks without the C library. */
function warnOfMissingLibc(node: FileNode): void {
  if (libc() !== null || missingLibcIsKnown) return;
  missingLibcIsKnown = true;
  node.context.warn('qemu-io: warning: the C library cannot be loaded: no locks on images, no holes, no O_DIRECT probing');
}

function openLocks(node: FileNode, fd: number, locking: string): FileLocks | null {
  if (locking === 'off') return null;
  if (hasFileLocks(fd)) return new FileLocks();
  if (locking === 'on') {
    throw new BlockError(Errno.ENOTSUP, 'locking=on was specified, but this host has no locks on open file descriptions');
  }
  warnOfMissingLibc(node);
  return null;
}

async function openHostFile(
  node: FileNode,
  options: Options,
  flags: number,
  isDevice: boolean,
  extraHostFlags = 0,
): Promise<void> {
  const parsed = absorbOptions(options, runtimeOptions);
  const aio = oneOf(parsed.aio, AIO_MODES, defaultAio(flags));
  const locking = oneOf(parsed.locking, LOCKING_MODES, 'auto');
  if (parsed['pr-manager'] !== undefined) {
    throw new BlockError(Errno.EINVAL, `No persistent reservation manager with id '${parsed['pr-manager']}'`);
  }
  const path = parsed.filename ?? '';
  const hostFlags = hostFlagsFor(flags, 0);
  const fd = openDescriptor(path, hostFlags | extraHostFlags);
  try {
    if (aio === 'native' && !isDirect({ hostFlags })) {
      const message = 'aio=native was specified, but it requires cache.direct=on, which was not specified.';
      throw new BlockError(Errno.EINVAL, message);
    }
    const stat = fstatSync(fd);
    checkKind(node, isDevice, isDevice ? stat.isCharacterDevice() || stat.isBlockDevice() : stat.isFile());
    node.state = {
      fd,
      hostFlags,
      isDevice,
      locks: openLocks(node, fd, locking),
      reopenFlags: null,
      pending: null,
      canDiscard: true,
      // Zeroes that a device makes below the page cache leave old data in it.
      canZeroRange: !stat.isBlockDevice() || (flags & Open.NO_CACHE) !== 0,
      canReserve: !isDevice,
      lostWriteErrno: 0,
      memoryAlignment: 1,
    };
    node.supportedZeroFlags = Req.MAY_UNMAP | Req.NO_FALLBACK;
    // What a longer file has behind its old end is zero.
    if (stat.isFile()) node.supportedTruncateFlags = Req.ZERO_WRITE;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function checkKind(node: FileNode, isDevice: boolean, isRight: boolean): void {
  if (isRight) return;
  const wanted = isDevice ? 'either a character or block device' : 'a regular file';
  throw new BlockError(Errno.EINVAL, `'${node.driver.formatName}' driver requires '${node.filename}' to be ${wanted}`);
}

/** A descriptor for new permissions or flags: null if the one that there is will do. */
function replacementFor(node: FileNode, perm: number): { fd: number; hostFlags: number } | null {
  const { state } = node;
  const hostFlags = hostFlagsFor(state.reopenFlags ?? node.openFlags, perm);
  if (hostFlags === state.hostFlags) return null;
  return { fd: openDescriptor(node.filename, hostFlags), hostFlags };
}

function applyNeeds(node: FileNode, fd: number, hostFlags: number): void {
  const needs = directIoNeeds(fd, hostFlags);
  node.limits.requestAlignment = needs.request;
  node.state.memoryAlignment = needs.memory;
}

const hostFile: Omit<Driver<FileState>, 'formatName' | 'open'> = {
  needsFilename: true,
  mutableOptions: ['x-check-cache-dropped'],
  hasVariableLength: true,

  async close(node) {
    closeSync(node.state.fd);
  },

  async reopenPrepare(reopen) {
    const { node, options } = reopen;
    // The other options stay where they are: what has changed among them is refused by the block layer.
    absorbOptions(options, { 'drop-cache': 'bool', 'x-check-cache-dropped': 'bool' });
    node.state.reopenFlags = reopen.flags;
  },

  reopenCommit({ node }) {
    node.state.reopenFlags = null;
  },

  reopenAbort({ node }) {
    node.state.reopenFlags = null;
  },

  checkPermissions(node, perm, shared) {
    const { state } = node;
    const replacement = replacementFor(node, perm);
    try {
      // A descriptor that works for no direct I/O must not take the place of one that does.
      if (replacement !== null) applyNeeds(node, replacement.fd, replacement.hostFlags);
      state.locks?.check(state.fd, perm, shared, node.filename);
      if (replacement !== null) state.locks?.copyTo(replacement.fd, perm, shared);
    } catch (error) {
      if (replacement !== null) closeSync(replacement.fd);
      state.locks?.abort(state.fd);
      throw error;
    }
    state.pending = replacement;
  },

  setPermissions(node, perm, shared) {
    const { state } = node;
    if (state.pending !== null) {
      closeSync(state.fd);
      state.fd = state.pending.fd;
      state.hostFlags = state.pending.hostFlags;
      state.pending = null;
    }
    state.locks?.commit(state.fd, perm, shared);
  },

  abortPermissions(node) {
    const { state } = node;
    if (state.pending !== null) closeSync(state.pending.fd);
    state.pending = null;
    state.locks?.abort(state.fd);
  },

  refreshLimits(node) {
    const { state, limits } = node;
    if (isDirect(state)) setAllocator(alignedBuffer);
    applyNeeds(node, state.fd, state.hostFlags);
    limits.minMemAlignment = state.memoryAlignment;
    limits.optMemAlignment = Math.max(state.memoryAlignment, PAGE_BYTES);
  },

  getLength(node) {
    try {
      return lengthOf(node.state.fd);
    } catch (error) {
      throw asBlockError(error);
    }
  },

  getAllocatedBytes(node) {
    try {
      // In units of 512 bytes, whatever the file system's blocks are.
      return fstatSync(node.state.fd).blocks * 512;
    } catch (error) {
      throw asBlockError(error);
    }
  },

  getInfo: () => ({ clusterBytes: 0, vmStateOffset: 0 }),

  preadv(node, offset, data) {
    const { state } = node;
    return hostCall(node, () => {
      const isUsable = state.memoryAlignment === 1 || isBufferAligned(data, state.memoryAlignment);
      const target = isUsable ? data : alignedBuffer(data.length);
      const count = readRange(state.fd, target, offset, isDirect(state));
      // The end of the file is in the middle of the last block.
      target.fill(0, count);
      if (!isUsable) target.copy(data);
    });
  },

  pwritev(node, offset, data) {
    const { state } = node;
    return hostCall(node, () => {
      let source = data;
      if (state.memoryAlignment !== 1 && !isBufferAligned(data, state.memoryAlignment)) {
        source = alignedBuffer(data.length);
        data.copy(source);
      }
      writeRange(state.fd, source, offset);
    });
  },

  pwriteZeroes(node, offset, bytes, flags) {
    return hostResult(node, () => zeroHostRange(node, offset, bytes, flags));
  },

  pdiscard(node, offset, bytes) {
    return hostResult(node, () => discardHostRange(node, offset, bytes));
  },

  flushToDisk(node) {
    const { state } = node;
    return hostCall(node, () => {
      if (state.lostWriteErrno !== 0) throw new BlockError(state.lostWriteErrno);
      try {
        fdatasyncSync(state.fd);
      } catch (error) {
        const errno = hostErrno(error);
        // The page cache forgets what it could not write; only O_DIRECT does not pass through it.
        if (!isDirect(state)) state.lostWriteErrno = errno;
        throw new BlockError(errno);
      }
    });
  },

  async truncate(node, bytes, exact, preallocation) {
    await hostCall(node, () => truncateHostFile(node, bytes, exact, preallocation));
  },

  async blockStatus(node, wantZero, offset, bytes) {
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

export const file: Driver<FileState> = {
  ...hostFile,
  formatName: 'file',
  protocolName: 'file',
  parseFilename: (filename, options) => stripProtocol(filename, 'file:', options),
  open: (node, options, flags) => openHostFile(node, options, flags, false),
};

/** How surely a name without a prefix is a device: certainly, if that is what the host has there. */
function probeDevice(filename: string): number {
  try {
    const stat = statSync(filename);
    return stat.isBlockDevice() || stat.isCharacterDevice() ? 100 : 0;
  } catch {
    return 0;
  }
}

export const hostDevice: Driver<FileState> = {
  ...hostFile,
  formatName: 'host_device',
  protocolName: 'host_device',
  probeDevice,
  parseFilename: (filename, options) => stripProtocol(filename, 'host_device:', options),
  open: (node, options, flags) => openHostFile(node, options, flags, true),
};

/** A drive that may be empty. It is opened without waiting for a disc, and neither zeroed nor discarded. */
export const hostCdrom: Driver<FileState> = (() => {
  const { pdiscard: _pdiscard, pwriteZeroes: _pwriteZeroes, ...drive } = hostFile;
  return {
    ...drive,
    formatName: 'host_cdrom',
    protocolName: 'host_cdrom',
    parseFilename: (filename, options) => stripProtocol(filename, 'host_cdrom:', options),
    open: (node, options, flags) => openHostFile(node, options, flags, true, constants.O_NONBLOCK),
    isInserted: (node) => hasDisc(node.state.fd),
  };
})();
