/**
 * preallocate: a filter that makes its file longer in large steps, so that writes behind its end find space there. What
 * is left over is cut off again when the node is closed or gives up its permission to write.
 */
import type { TruncateOptions } from '../../block/driver.ts';
import { BlockError, invalidArgument, prependError } from '../../block/error.ts';
import { Perm, Req, SECTOR_BYTES } from '../../block/flags.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { openFileChild } from '../../block/open/open.ts';
import { absorbOptions, type Options } from '../../block/options/options.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignUp, isAligned } from '../../util/align.ts';
import { run, type Steps } from '../../util/steps.ts';

interface Settings {
  /** How much more than what is needed. */
  readonly sizeBytes: number;
  readonly alignBytes: number;
}

/** Where things end, in bytes; each null while it is not known, and all while others may change the file. */
interface PreallocateState {
  settings: Settings;
  /** The end of what was written: where the file is cut off in the end. */
  dataEnd: number | null;
  /** From here to the file's end there are zeroes. */
  zeroStart: number | null;
  /** The end of the file. */
  fileEnd: number | null;
}

type PreallocateNode = BlockNode<PreallocateState>;

const MiB = 1 << 20;

/** The driver itself. */
export const preallocate = defineFilter<PreallocateState>({
  formatName: 'preallocate',
  hasVariableLength: true,

  async open(node, options) {
    // Before there is a file its permissions are asked for.
    node.state = { settings: { sizeBytes: 0, alignBytes: 0 }, dataEnd: null, zeroStart: null, fileEnd: null };
    const { node: file } = await openFileChild(node, options, 'file');
    node.state.settings = takeSettings(options, file);
    node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & file.supportedWriteFlags);
    node.supportedZeroFlags =
      Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & file.supportedZeroFlags);
  },

  close: (node) => run(cropAtClose(node)) ?? Promise.resolve(),

  async reopenPrepare(reopen) {
    reopen.prepared = takeSettings(reopen.options, fileOf(reopen.node).node);
  },
  reopenCommit({ node, prepared }) {
    node.state.settings = prepared as Settings;
  },

  /** While this node may write and resize, no other may: it relies on knowing where the file ends. */
  childPermissions(node, child, role, perm, shared) {
    const own = defaultPermissions(node, child, role, perm, shared);
    if (!mayGrow(perm)) return own;
    const needed = Perm.WRITE | Perm.RESIZE;
    return { perm: own.perm | needed, shared: own.shared & ~needed };
  },

  checkPermissions(node, perm) {
    if (node.state.dataEnd !== null && !mayGrow(perm)) cropForOthers(node);
  },

  setPermissions(node, perm) {
    if (!mayGrow(perm)) forget(node.state);
    else if (node.state.dataEnd === null && node.file !== null) remember(node.state, node.file.node.getLength());
  },

  getLength(node) {
    const { state } = node;
    if (state.dataEnd !== null) return state.dataEnd;
    const bytes = fileOf(node).node.getLength();
    if (mayGrow(fileOf(node).perm)) remember(state, bytes);
    return bytes;
  },

  pwritev: (node, offset, data, flags) => run(write(node, offset, data, flags)),
  pwriteZeroes: (node, offset, bytes, flags) => run(writeZeroes(node, offset, bytes, flags)),
  flush: (node) => flush(fileOf(node).node),
  truncate: (node, bytes, options) => run(resize(node, bytes, options)),
});

function takeSettings(options: Options, file: BlockNode): Settings {
  const given = absorbOptions(options, { 'prealloc-align': 'size64', 'prealloc-size': 'size' }, file.context);
  const align = given['prealloc-align'] ?? BigInt(MiB);
  if (align % BigInt(SECTOR_BYTES) !== 0n) {
    throw invalidArgument(`prealloc-align parameter of preallocate filter is not aligned to ${SECTOR_BYTES}`);
  }
  const alignBytes = Number(align);
  const { requestAlignment } = file.limits;
  if (!isAligned(alignBytes, requestAlignment)) {
    throw invalidArgument(
      'prealloc-align parameter of preallocate filter is not aligned to underlying node request alignment ' +
        `(${requestAlignment})`,
    );
  }
  return { sizeBytes: given['prealloc-size'] ?? 128 * MiB, alignBytes };
}

function mayGrow(perm: number): boolean {
  return (perm & Perm.WRITE) !== 0 && (perm & Perm.RESIZE) !== 0;
}

function remember(state: PreallocateState, bytes: number): void {
  state.dataEnd = bytes;
  state.zeroStart = bytes;
  state.fileEnd = bytes;
}

function forget(state: PreallocateState): void {
  state.dataEnd = null;
  state.zeroStart = null;
  state.fileEnd = null;
}

/** Cuts off the space behind the data before others may see it. The host does that at once. */
function cropForOthers(node: PreallocateNode): void {
  const { state } = node;
  state.fileEnd ??= fileOf(node).node.getLength();
  if (state.dataEnd === null || state.dataEnd >= state.fileEnd) return;
  try {
    truncate(fileOf(node), state.dataEnd, { exact: true })?.catch(() => {});
    state.fileEnd = state.dataEnd;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    state.fileEnd = null;
    throw new BlockError(error.errno, 'Failed to drop preallocation');
  }
}

function* cropAtClose(node: PreallocateNode): Steps<void> {
  const { dataEnd, fileEnd } = node.state;
  if (dataEnd === null || dataEnd >= (fileEnd ?? fileOf(node).node.getLength())) return;
  try {
    yield truncate(fileOf(node), dataEnd, { exact: true });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

function* write(node: PreallocateNode, offset: number, data: Buffer, flags: number): Steps<void> {
  yield* makeSpace(node, offset, data.length, false);
  yield pwritev(fileOf(node), offset, data, flags);
}

function* writeZeroes(node: PreallocateNode, offset: number, bytes: number, flags: number): Steps<void> {
  const mergeable = (flags & ~(Req.ZERO_WRITE | Req.NO_FALLBACK)) === 0;
  if (yield* makeSpace(node, offset, bytes, mergeable)) return;
  yield pwriteZeroes(fileOf(node), offset, bytes, flags);
}

/**
 * Makes space for a write behind the end of the file, and takes note of where data ends. With `zeroes` the write is one
 * of zeroes: true if they are there already.
 */
function* makeSpace(node: PreallocateNode, offset: number, bytes: number, zeroes: boolean): Steps<boolean> {
  const { state } = node;
  const file = fileOf(node);
  if (!mayGrow(file.perm)) return false;
  const end = offset + bytes;
  if (state.dataEnd === null) {
    state.dataEnd = file.node.getLength();
    state.fileEnd ??= state.dataEnd;
  }
  if (end <= state.dataEnd) return false;
  state.dataEnd = end;
  if (state.zeroStart === null || !zeroes) state.zeroStart = end;
  state.fileEnd ??= file.node.getLength();
  if (end <= state.fileEnd) return zeroes && offset >= state.zeroStart;

  const { requestAlignment } = file.node.limits;
  const start = alignUp(zeroes ? Math.min(offset, state.fileEnd) : state.fileEnd, requestAlignment);
  const alignBytes = Math.max(state.settings.alignBytes % 2 ** 32, requestAlignment);
  const spaceEnd = alignUp(Math.max(start, end) + state.settings.sizeBytes, alignBytes);
  try {
    yield pwriteZeroes(file, start, spaceEnd - start, Req.NO_FALLBACK | Req.SERIALISING | Req.NO_WAIT);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    state.fileEnd = null;
    return false;
  }
  state.fileEnd = spaceEnd;
  return zeroes && start <= offset;
}

function* resize(node: PreallocateNode, bytes: number, options: TruncateOptions): Steps<void> {
  const { state } = node;
  const file = fileOf(node);
  if (state.dataEnd !== null && bytes > state.dataEnd) {
    state.fileEnd ??= file.node.getLength();
    if (options.preallocation !== 'falloc') {
      yield* dropSpace(node, state.dataEnd);
    } else if (bytes <= state.fileEnd) {
      // The space is there already.
      state.dataEnd = bytes;
      return;
    }
    state.dataEnd = bytes;
  }
  try {
    yield truncate(file, bytes, options);
  } catch (error) {
    forget(state);
    throw error;
  }
  if (mayGrow(file.perm)) remember(state, bytes);
}

function* dropSpace(node: PreallocateNode, dataEnd: number): Steps<void> {
  const { state } = node;
  if (state.fileEnd === null || state.fileEnd <= dataEnd) return;
  try {
    yield truncate(fileOf(node), dataEnd, { exact: true });
  } catch (error) {
    state.fileEnd = null;
    if (!(error instanceof BlockError)) throw error;
    throw prependError(error, 'preallocate-filter: failed to drop write-zero preallocation: ');
  }
  state.fileEnd = dataEnd;
}
