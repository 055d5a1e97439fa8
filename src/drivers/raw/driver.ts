/** raw: the bytes of the file as they are, or a window of them. Found by `probe.ts`. */
import type { Driver } from '../../block/driver.ts';
import { BlockError, invalidArgument, withContext } from '../../block/error.ts';
import { debugNode } from '../../block/debug/port.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { Event } from '../../block/events/events.ts';
import { MAX_LENGTH, Perm, Req, Role, SECTOR_BYTES, Status } from '../../block/flags.ts';
import { type Options, absorbOptions } from '../../block/options/options.ts';
import { openChild } from '../../block/open/open.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { refreshFilename } from '../../block/graph/refresh-filename.ts';
import { driverInfo } from '../../block/request/info.ts';
import { peek } from '../../block/request/peek.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { preadv } from '../../block/request/read.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';

/** The part of the file that was asked for, in bytes. */
interface RawWindow {
  readonly offset: bigint;
  readonly size: bigint | null;
}

/** The part of the file that the image is. */
interface RawState {
  readonly offsetBytes: number;
  /** Null: up to the end of the file, wherever that is. */
  readonly sizeBytes: number | null;
  /** The length of the window now; less than `sizeBytes` if the file has become shorter. */
  lengthBytes: number;
}

type RawNode = BlockNode<RawState>;

/** How much of an image is looked at to guess its format, and so how much of a guessed one is protected. */
const PROBE_BYTES = 512;

function readWindow(options: Options, { context }: RawNode): RawWindow {
  const { offset = 0n, size = null } = absorbOptions(options, { offset: 'size64', size: 'size64' }, context);
  return { offset, size };
}

/** The state for a window, checked against the file. EINVAL if it reaches behind the file's end. */
function applyWindow(node: RawNode, { offset, size }: RawWindow): RawState {
  const fileBytes = fileLength(node);
  if (offset > fileBytes) {
    const message = `Offset (${offset}) cannot be greater than size of the containing file (${fileBytes})`;
    throw invalidArgument(message);
  }
  const offsetBytes = Number(offset);
  if (size !== null && fileBytes - offsetBytes < size) {
    throw invalidArgument(
      `The sum of offset (${offset}) and size (${size}) has to be smaller or equal to ` +
        `the  actual size of the containing file (${fileBytes})`,
    );
  }
  const sizeBytes = size === null ? null : Number(size);
  // Lengths are rounded up to sectors; a window that is none would leak what lies behind it.
  if (sizeBytes !== null && !isAligned(sizeBytes, SECTOR_BYTES)) {
    throw invalidArgument(`Specified size is not multiple of ${SECTOR_BYTES}`);
  }
  return { offsetBytes, sizeBytes, lengthBytes: sizeBytes ?? fileBytes - offsetBytes };
}

function fileLength(node: RawNode): number {
  return withContext('Could not get image size', () => fileOf(node).node.getLength());
}

/** Where a range of the image is in the file. ENOSPC for a write behind the window, EINVAL for a read. */
function inFile(node: RawNode, offset: number, bytes: number, isWrite: boolean): number {
  const { offsetBytes, sizeBytes, lengthBytes } = node.state;
  if (sizeBytes !== null && (offset > lengthBytes || bytes > lengthBytes - offset)) {
    throw new BlockError(isWrite ? Errno.ENOSPC : Errno.EINVAL);
  }
  if (offset > MAX_LENGTH - offsetBytes) throw new BlockError(Errno.EINVAL);
  return offset + offsetBytes;
}

/**
 * A guessed format must not be changed by what is written: a guest could make its raw disk look like another format,
 * and have the next user of the image read any file of the host as its backing file.
 */
function checkHead(node: RawNode, offset: number, data: Buffer): void {
  if (offset >= PROBE_BYTES || data.length === 0) return;
  const format = node.context.drivers.probe(data.subarray(0, PROBE_BYTES), '');
  if (format?.formatName !== node.driver.formatName) throw new BlockError(Errno.EPERM);
}

/** The rest of a request whose event has to wait. Most need not, and do without these steps. */
function* after(told: Promise<void>, transfer: typeof preadv, ...request: Parameters<typeof preadv>): Steps<void> {
  yield told;
  yield transfer(...request);
}

function warnOfGuess(node: RawNode): void {
  const { node: file } = fileOf(node);
  refreshFilename(file);
  const { warn } = node.context;
  warn(`WARNING: Image format was not specified for '${file.filename}' and probing guessed raw.`);
  warn(
    '         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be ' +
      'restricted.',
  );
  warn("         Specify the 'raw' format explicitly to remove the restrictions.");
}

export const raw: Driver<RawState> = {
  formatName: 'raw',
  isFormat: true,
  hasVariableLength: true,
  mutableOptions: ['offset', 'size'],
  strongOptions: ['offset', 'size'],

  createOptions: async () => [{ name: 'size', type: 'size', help: 'the length of the disk' }],
  create: async (...request) => (await import('../../block/create.ts')).createFile(...request),

  async open(node, options) {
    const window = readWindow(options, node);
    const isWindow = window.offset !== 0n || window.size !== null;
    const role = Role.PRIMARY | (isWindow ? Role.DATA : Role.FILTERED);
    const file = await openChild(node, options, 'file', role);
    const { supportedWriteFlags, supportedZeroFlags, supportedTruncateFlags } = file.node;
    node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & supportedWriteFlags);
    node.supportedZeroFlags = Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & supportedZeroFlags);
    node.supportedTruncateFlags = Req.ZERO_WRITE & supportedTruncateFlags;
    if (node.probed && !node.isReadOnly) warnOfGuess(node);
    node.state = applyWindow(node, window);
    const ruled = debugNode(file.node);
    if (ruled === null) return;
    const { RawWatch } = await import('../../block/hazards/raw-watch.ts');
    ruled.watch = new RawWatch(node, ruled, () => node.state.offsetBytes);
  },

  async reopenPrepare(reopen) {
    const { node } = reopen;
    reopen.prepared = applyWindow(node, readWindow(reopen.options, node));
  },

  reopenCommit(reopen) {
    reopen.node.state = reopen.prepared as RawState;
  },

  /** WRITE and RESIZE only where a parent has them: no conflict with others without need. */
  childPermissions(node, child, role, perm, shared) {
    const own = defaultPermissions(node, child, role, perm, shared);
    const passed = Perm.WRITE | Perm.RESIZE;
    return { perm: (own.perm & ~passed) | (perm & passed), shared: own.shared };
  },

  /** A guessed image is written in whole sectors, so that the first one can be checked. */
  refreshLimits(node) {
    if (node.probed) node.limits.requestAlignment = SECTOR_BYTES;
  },

  getLength(node) {
    const { state } = node;
    const behindOffset = Math.max(0, fileOf(node).node.getLength() - state.offsetBytes);
    state.lengthBytes = state.sizeBytes === null ? behindOffset : Math.min(state.lengthBytes, behindOffset);
    return state.lengthBytes;
  },

  getInfo: (node) => driverInfo(fileOf(node).node),

  preadv(node, offset, data, flags) {
    const file = fileOf(node);
    const position = inFile(node, offset, data.length, false);
    const told = file.node.debugEvent(Event.READ_AIO);
    return told === undefined
      ? preadv(file, position, data, flags)
      : run(after(told, preadv, file, position, data, flags));
  },

  peek: (node, offset, data) => run(peek(fileOf(node).node, offset + node.state.offsetBytes, data)),
  inspector: async (node) => new (await import('./inspect-raw.ts')).RawInspector(node),

  pwritev(node, offset, data, flags) {
    const file = fileOf(node);
    if (node.probed) checkHead(node, offset, data);
    const position = inFile(node, offset, data.length, true);
    const told = file.node.debugEvent(Event.WRITE_AIO);
    return told === undefined
      ? pwritev(file, position, data, flags)
      : run(after(told, pwritev, file, position, data, flags));
  },

  pwriteZeroes(node, offset, bytes, flags) {
    return pwriteZeroes(fileOf(node), inFile(node, offset, bytes, true), bytes, flags);
  },

  pdiscard(node, offset, bytes) {
    return pdiscard(fileOf(node), inFile(node, offset, bytes, true), bytes);
  },

  blockStatus(node, _wantZero, offset, bytes) {
    return {
      flags: Status.RAW | Status.OFFSET_VALID,
      bytes,
      map: offset + node.state.offsetBytes,
      file: fileOf(node).node,
    };
  },

  truncate(node, bytes, options) {
    const { state } = node;
    if (state.sizeBytes !== null) throw new BlockError(Errno.ENOTSUP, 'Cannot resize fixed-size raw disks');
    if (2 ** 63 - bytes < state.offsetBytes) throw invalidArgument('Disk size too large for the chosen offset');
    state.lengthBytes = bytes;
    return truncate(fileOf(node), bytes + state.offsetBytes, options);
  },
};
