/**
 * copy-before-write: a filter that copies what a write is about to change to a target first, so that the disk as it was
 * when the filter was put on it can be read through snapshot-access.
 */
import type { DirtyBitmap, TruncateOptions } from '../../block/driver.ts';
import { BlockError, errorWithErrno, invalidArgument, prependError } from '../../block/error.ts';
import { Perm, Req, Role, SECTOR_BYTES } from '../../block/flags.ts';
import { backingBelow } from '../../block/graph/chain.ts';
import { findNode } from '../../block/graph/graph.ts';
import { type BlockNode, fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { WaitReason } from '../../block/loop/loop.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { type Options, optionText, takeSub } from '../../block/options/options.ts';
import { checkSchema } from '../../block/options/option-schema.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { driverInfo } from '../../block/request/info.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignDown } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { parseUnsigned } from '../../util/parse-number.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockCopy, type CopyCall } from './block-copy.ts';
import { ClusterRuns } from './cluster-runs.ts';
import { nodeSchema } from './node-schema.ts';
import { snapshotAccess, waitForReads } from './old-data.ts';
import type { CopyBeforeWriteNode, CopyBeforeWriteSettings, CopyBeforeWriteState } from './state.ts';

/** Clusters are not smaller, and this long if the target has none. */
const CLUSTER_BYTES = 65536;

const waitsForCopy: WaitReason = { kind: 'parts' };
const waitsForIdle: WaitReason = { kind: 'drain' };

/** The driver itself. */
export const copyBeforeWrite = defineFilter<CopyBeforeWriteState>(
  {
    formatName: 'copy-before-write',
    snapshotAccess,

    async open(node, options) {
      const { bitmap: wanted, ...settings } = takeSettings(options);
      const file = await openFileChild(node, options, 'file');
      const target = await openChild(node, options, 'target', Role.DATA);
      assert(target !== null, 'the target is not optional');
      const bitmap = wanted === null ? null : findBitmap(node, wanted);
      node.totalSectors = file.node.totalSectors;
      node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & file.node.supportedWriteFlags);
      node.supportedZeroFlags =
        Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & file.node.supportedZeroFlags);
      let clusterBytes: number;
      let left: ClusterRuns;
      try {
        clusterBytes = clusterBytesOf(target.node);
        left = clustersToCopy(file.node.getLength(), clusterBytes, bitmap, wanted?.name ?? '');
      } catch (error) {
        throw error instanceof BlockError ? prependError(error, 'Cannot create block-copy-state: ') : error;
      }
      node.state = {
        ...settings,
        target,
        copy: new BlockCopy(file, target, clusterBytes, left),
        readable: left.clone(),
        done: new ClusterRuns(),
        frozen: new Set(),
        snapshotErrno: 0,
        copying: 0,
        idle: new CoroutineQueue(node.loop),
      };
    },

    /** Copies that took too long for the write that they came before go on: they are waited for. */
    drainBegin: ({ state }) => (state.copying === 0 ? undefined : run(waitUntilIdle(state))),

    /** The target may be over the disk. While there is a snapshot to keep, others may not write to the disk. */
    childPermissions(node, child, role, perm, shared) {
      if ((role & Role.FILTERED) === 0) return { perm: Perm.WRITE, shared: Perm.ALL & ~Perm.RESIZE };
      const own = defaultPermissions(node, child, role, perm, shared);
      if (node.parents.length === 0) return own;
      const needed = (perm & Perm.WRITE) === 0 ? 0 : Perm.CONSISTENT_READ;
      return { perm: own.perm | needed, shared: own.shared & ~(Perm.WRITE | Perm.RESIZE) };
    },

    pwritev(node, offset, data, flags) {
      return run(afterCopy(node, offset, data.length, flags, () => pwritev(fileOf(node), offset, data, flags)));
    },
    pwriteZeroes(node, offset, bytes, flags) {
      return run(afterCopy(node, offset, bytes, flags, () => pwriteZeroes(fileOf(node), offset, bytes, flags)));
    },
    pdiscard(node, offset, bytes) {
      return run(afterCopy(node, offset, bytes, 0, () => pdiscard(fileOf(node), offset, bytes)));
    },
    flush: (node) => flush(fileOf(node).node),

    truncate: (node, bytes, options) => run(resize(node, bytes, options)),

    refreshFilename(node) {
      node.exactFilename = fileOf(node).node.filename;
    },
  },
  ['getLength'],
);

/** A bitmap as the options name it. */
interface BitmapName {
  readonly node: string;
  readonly name: string;
}

function takeSettings(options: Options): CopyBeforeWriteSettings & { readonly bitmap: BitmapName | null } {
  const all = options.clone();
  all.set('driver', 'copy-before-write');
  checkSchema(all, nodeSchema);
  const bitmap = takeSub(options, 'bitmap.');
  const onError = options.get('on-cbw-error');
  const timeout = options.get('cbw-timeout') ?? '0';
  options.delete('on-cbw-error');
  options.delete('cbw-timeout');
  const seconds = parseUnsigned(optionText(timeout));
  assert(typeof seconds === 'bigint', 'the schema has the time-out as a number');
  return {
    breaksSnapshot: onError === 'break-snapshot',
    // A number of 32 bits in QEMU 7.2: five seconds are 0.7.
    timeoutNs: Number(BigInt.asUintN(32, seconds * 1_000_000_000n)),
    bitmap: bitmap.size === 0 ? null : { node: textOf(bitmap, 'node'), name: textOf(bitmap, 'name') },
  };
}

function textOf(options: Options, key: string): string {
  const value = options.get(key) ?? null;
  assert(value !== null, 'the schema has a text here');
  return optionText(value);
}

/** The bitmap that says what is to be copied. EINVAL if there is none of that name. */
function findBitmap({ context }: BlockNode, { node, name }: BitmapName): DirtyBitmap {
  const owner = findNode(context, node);
  if (owner === null) throw invalidArgument(`Node '${node}' not found`);
  const bitmap = owner.driver.dirtyBitmap?.(owner, name) ?? null;
  if (bitmap === null) throw invalidArgument(`Dirty bitmap '${name}' not found`);
  return bitmap;
}

/** The unit of copies: at least that of the target, which must not have to fill up a cluster of its own. */
function clusterBytesOf(target: BlockNode): number {
  const isOverlay = backingBelow(target) !== null;
  try {
    return Math.max(CLUSTER_BYTES, driverInfo(target).clusterBytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (isOverlay) return CLUSTER_BYTES;
    if (error.errno === Errno.ENOTSUP) {
      target.context.report(
        "warning: The target block device doesn't provide information about the block size and it doesn't have a " +
          `backing file. The default block size of ${CLUSTER_BYTES} bytes is used. If the actual block size of the ` +
          'target exceeds this default, the backup may be unusable',
      );
      return CLUSTER_BYTES;
    }
    throw errorWithErrno(
      error.errno,
      "Couldn't determine the cluster size of the target image, which has no backing file",
    );
  }
}

/** The clusters of the disk, or those of a bitmap that belongs to it. */
function clustersToCopy(
  lengthBytes: number,
  clusterBytes: number,
  bitmap: DirtyBitmap | null,
  name: string,
): ClusterRuns {
  const clusters = new ClusterRuns();
  if (bitmap === null) {
    clusters.add(0, Math.ceil(lengthBytes / clusterBytes));
    return clusters;
  }
  const refuse = (why: string): never => {
    throw invalidArgument(`Failed to merge bitmap '${name}' to internal copy-bitmap: ${why}`);
  };
  if (bitmap.runs === null) {
    return refuse(
      `Bitmap '${name}' is inconsistent and cannot be used\n` +
        'Try block-dirty-bitmap-remove to delete this bitmap from disk',
    );
  }
  if (bitmap.lengthBytes !== lengthBytes) {
    return refuse(
      `Bitmaps are of different sizes (destination size is ${lengthBytes}, source size is ${bitmap.lengthBytes}) ` +
        "and can't be merged",
    );
  }
  const clustersPerGranule = bitmap.granuleBytes / clusterBytes;
  const count = Math.ceil(lengthBytes / clusterBytes);
  for (const [start, end] of bitmap.runs()) {
    clusters.add(Math.floor(start * clustersPerGranule), Math.min(count, Math.ceil(end * clustersPerGranule)));
  }
  return clusters;
}

/** Copies the clusters of a range, and then changes them. */
function* afterCopy(
  node: CopyBeforeWriteNode,
  offset: number,
  bytes: number,
  flags: number,
  change: () => Pending,
): Steps<void> {
  if ((flags & Req.WRITE_UNCHANGED) === 0 && node.state.snapshotErrno === 0) yield* copyRange(node, offset, bytes);
  yield change();
}

function* copyRange(node: CopyBeforeWriteNode, offset: number, bytes: number): Steps<void> {
  const { state } = node;
  const { clusterBytes } = state.copy;
  const start = Math.floor(offset / clusterBytes);
  const end = Math.ceil((offset + bytes) / clusterBytes);
  const errno = yield* copyInTime(node, start, end);
  if (errno !== 0 && !state.breaksSnapshot) throw new BlockError(errno);
  if (errno === 0) state.done.add(start, end);
  else if (state.snapshotErrno === 0) state.snapshotErrno = errno;
  yield* waitForReads(state, start * clusterBytes, (end - start) * clusterBytes);
}

/** Copies clusters. Returns the errno: 0, that of a failure, or ETIMEDOUT, when the copy goes on without the caller. */
function* copyInTime(node: CopyBeforeWriteNode, start: number, end: number): Steps<number> {
  const { state, loop } = node;
  const call: CopyCall = { isCancelled: false, errno: 0 };
  const copy = () => run(copyCounted(node, start, end, call));
  if (state.timeoutNs === 0) {
    yield copy();
    return call.errno;
  }
  const main = loop.current;
  assert(main !== null, 'a request runs in a coroutine');
  const { operation, origin } = main;
  let hasEnded = false;
  let bug: unknown;
  let goOn: (() => void) | null = null;
  const label = { operation, offset: main.offset, bytes: main.bytes, origin, parent: main };
  yield loop.begin(label, copy, (error) => {
    hasEnded = true;
    bug = error;
    goOn?.();
  });
  if (!hasEnded) {
    yield loop.parkOutside(waitsForCopy, (arrived) => {
      const stop = loop.clock.after(state.timeoutNs, () => {
        goOn = null;
        arrived();
      });
      goOn = () => {
        goOn = null;
        stop();
        arrived();
      };
      return () => {
        goOn = null;
        stop();
      };
    });
  }
  if (bug !== undefined) throw bug;
  if (hasEnded) return call.errno;
  call.isCancelled = true;
  return Errno.ETIMEDOUT;
}

function* copyCounted(node: CopyBeforeWriteNode, start: number, end: number, call: CopyCall): Steps<void> {
  const { state } = node;
  node.inFlight += 1;
  state.copying += 1;
  try {
    yield* state.copy.copy(start, end, call);
  } finally {
    state.copying -= 1;
    node.inFlight -= 1;
    if (state.copying === 0) state.idle.wakeAll();
  }
}

function* waitUntilIdle(state: CopyBeforeWriteState): Steps<void> {
  while (state.copying > 0) yield state.idle.wait(waitsForIdle);
}

/** Resizes the disk. The part that it loses is not copied any more, nor read; a new part was not there before. */
function* resize(node: CopyBeforeWriteNode, bytes: number, options: TruncateOptions): Steps<void> {
  const { copy, readable, done } = node.state;
  const file = fileOf(node);
  const clusters = (lengthBytes: number): number => Math.ceil(lengthBytes / copy.clusterBytes);
  const before = clusters(Math.max(node.getLength(), file.node.getLength()));
  yield truncate(file, bytes, options);
  copy.left.delete(clusters(file.node.getLength()), before);
  // This node is as long as it is told to be, in whole sectors.
  for (const set of [readable, done]) set.delete(clusters(alignDown(bytes, SECTOR_BYTES)), before);
}
