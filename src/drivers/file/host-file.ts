/** Methods common to all host files and devices: reads, writes, permissions, limits. */
import { closeSync, fstatSync } from 'node:fs';
import type { Driver } from '../../block/driver.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { asBlockError, BlockError } from '../../block/error.ts';
import { Req, SECTOR_BYTES } from '../../block/flags.ts';
import { flushAfter } from '../../block/request/flush.ts';
import { alignedBuffer, isBufferAligned } from '../../sys/aligned-memory.ts';
import { readRange, writeRange } from '../../sys/positional-io.ts';
import { lengthOf } from '../../sys/seek.ts';
import { syncData } from '../../sys/sync.ts';
import { hostFlagsFor, openDescriptor } from './descriptor.ts';
import { directIoNeeds } from './direct-io.ts';
import { takeReopenOptions } from './open.ts';
import { hostCall, hostCalls, isDirect, type FileNode, type FileState, type Replacement } from './state.ts';
import { truncateHostFile } from './truncate.ts';
import { discardHostRange, zeroHostRange } from './zero.ts';
import { hostErrno } from '../../util/errno.ts';

const PAGE_BYTES = 4096;
/** Longer reads and writes are many calls of the host: between them progress is told, and Node may have a turn. */
const MOVED_AT_ONCE = 16 << 20;

/** The methods that file, host_device and host_cdrom share. */
export const hostFile: Omit<Driver<FileState>, 'formatName' | 'open'> = {
  needsFilename: true,
  mutableOptions: ['x-check-cache-dropped'],

  async close(node) {
    closeSync(node.state.fd);
  },

  async reopenPrepare(reopen) {
    takeReopenOptions(reopen.options);
    reopen.node.state.reopenFlags = reopen.flags;
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
    if (isDirect(state)) node.context.useAllocator(alignedBuffer);
    const needs = directIoNeeds(state.fd, state.hostFlags);
    state.memoryAlignment = needs.memory;
    limits.requestAlignment = needs.request;
    limits.minMemAlignment = needs.memory;
    limits.optMemAlignment = Math.max(needs.memory, PAGE_BYTES);
  },

  getLength(node) {
    try {
      return lengthOf(node.state.fd);
    } catch (error) {
      throw asBlockError(error);
    }
  },

  hostFile(node) {
    const { dev, ino } = fstatSync(node.state.fd);
    return { dev, ino };
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

  preadv: (node, offset, data) =>
    data.length <= MOVED_AT_ONCE
      ? hostCall(node, readInto, offset, data)
      : run(hostCalls(node, longRead(node, offset, data))),
  pwritev(node, offset, data, flags) {
    const writing =
      data.length <= MOVED_AT_ONCE
        ? hostCall(node, writeFrom, offset, data)
        : run(hostCalls(node, longWrite(node, offset, data)));
    return (flags & Req.FUA) === 0 ? writing : flushAfter(node, writing);
  },
  peek: peekAt,
  pwriteZeroes(node, offset, bytes, flags) {
    // A file that is being made longer is not written to behind its end: some hosts would lose that.
    const isLonger = offset + bytes > node.totalSectors * SECTOR_BYTES;
    const waiting = isLonger ? node.requests.serialiseToEnd(offset) : undefined;
    return waiting === undefined
      ? zeroHostRange(node, { offset, bytes }, flags)
      : run(zeroAfter(waiting, node, { offset, bytes }, flags));
  },
  pdiscard: (node, offset, bytes) => discardHostRange(node, { offset, bytes }),

  flushToDisk: (node) => hostCall(node, syncFile, undefined, undefined),
  truncate: (node, bytes, options) => hostCall(node, truncateHostFile, bytes, options),
};

/** Reads, and is done then, whatever else is in flight. */
function peekAt(node: FileNode, offset: number, data: Buffer): Pending {
  try {
    readInto(node, offset, data);
  } catch (error) {
    throw asBlockError(error);
  }
  return undefined;
}

function* zeroAfter(waiting: Promise<void>, ...zeroing: Parameters<typeof zeroHostRange>): Steps<void> {
  yield waiting;
  yield zeroHostRange(...zeroing);
}

function* longRead(node: FileNode, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; done += MOVED_AT_ONCE) {
    readInto(node, offset + done, data.subarray(done, done + MOVED_AT_ONCE));
    yield node.loop.breathe();
  }
}

function* longWrite(node: FileNode, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; done += MOVED_AT_ONCE) {
    writeFrom(node, offset + done, data.subarray(done, done + MOVED_AT_ONCE));
    yield node.loop.breathe();
  }
}

/**
 * Puts on stable storage what was written. Once that has failed it fails for good: it is not known which data was lost.
 */
function syncFile({ state }: FileNode): void {
  if (state.lostWriteErrno !== 0) throw new BlockError(state.lostWriteErrno);
  try {
    syncData(state.fd);
  } catch (error) {
    const errno = hostErrno(error);
    // The page cache forgets what it could not write; only O_DIRECT does not pass through it.
    if (!isDirect(state)) state.lostWriteErrno = errno;
    throw new BlockError(errno);
  }
}

/** Fills `data`, with zeroes behind the end of the file. */
function readInto({ state, context }: FileNode, offset: number, data: Buffer): void {
  const isUsable = state.memoryAlignment === 1 || isBufferAligned(data, state.memoryAlignment);
  const target = isUsable ? data : alignedBuffer(data.length);
  const count = readRange(state.fd, target, offset, isDirect(state));
  context.onTransfer?.(count);
  // The end of the file is in the middle of the last block.
  if (count < target.length) target.fill(0, count);
  if (!isUsable) target.copy(data);
}

function writeFrom({ state, context }: FileNode, offset: number, data: Buffer): void {
  let source = data;
  if (state.memoryAlignment !== 1 && !isBufferAligned(data, state.memoryAlignment)) {
    source = alignedBuffer(data.length);
    data.copy(source);
  }
  writeRange(state.fd, source, offset);
  context.onTransfer?.(data.length);
}

/** A descriptor for new permissions or flags: null if the one that there is will do. */
function replacementFor(node: FileNode, perm: number): Replacement | null {
  const { state } = node;
  const hostFlags = hostFlagsFor(state.reopenFlags ?? node.openFlags, perm) | state.fixedHostFlags;
  if (hostFlags === state.hostFlags) return null;
  const fd = openDescriptor(node.filename, hostFlags);
  try {
    // A descriptor that direct I/O does not work with must not take the place of the old one.
    directIoNeeds(fd, hostFlags);
    return { fd, hostFlags };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
