/**
 * copy-before-write: a filter that copies what a write is about to change to a target first, so that the disk as it was
 * when the filter was put on it can be read through snapshot-access.
 */
import type { TruncateOptions } from '../../block/driver.ts';
import { BlockError, prependError } from '../../block/error.ts';
import { Perm, Req, Role, SECTOR_BYTES } from '../../block/flags.ts';
import { fileOf } from '../../block/graph/node.ts';
import { defaultPermissions } from '../../block/graph/permissions.ts';
import { labelOfPart } from '../../block/loop/coroutine.ts';
import { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { WaitReason } from '../../block/loop/loop.ts';
import { openChild, openFileChild } from '../../block/open/open.ts';
import { pdiscard } from '../../block/request/discard.ts';
import { defineFilter } from '../../block/request/filter.ts';
import { flush } from '../../block/request/flush.ts';
import { truncate } from '../../block/request/truncate.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignDown } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { BlockCopy, type CopyCall } from './block-copy.ts';
import { ClusterRuns } from './cluster-runs.ts';
import { snapshotAccess, waitForReads } from './old-data.ts';
import { clusterBytesOf, clustersToCopy, findBitmap, takeSettings } from './open-options.ts';
import type { CopyBeforeWriteNode, CopyBeforeWriteState } from './state.ts';

const waitsForCopy: WaitReason = { kind: 'parts' };
const waitsForIdle: WaitReason = { kind: 'drain' };

/** The driver itself. */
export const copyBeforeWrite = defineFilter<CopyBeforeWriteState>(
  {
    formatName: 'copy-before-write',
    snapshotAccess,

    async open(node, options) {
      const { bitmap: wanted, minClusterBytes, ...settings } = takeSettings(node.context.compat, options);
      const file = await openFileChild(node, options, 'file');
      const target = await openChild(node, options, 'target', Role.DATA);
      const bitmap = wanted === null ? null : findBitmap(node, wanted);
      node.totalSectors = file.node.totalSectors;
      node.supportedWriteFlags = Req.WRITE_UNCHANGED | (Req.FUA & file.node.supportedWriteFlags);
      node.supportedZeroFlags =
        Req.WRITE_UNCHANGED | ((Req.FUA | Req.MAY_UNMAP | Req.NO_FALLBACK) & file.node.supportedZeroFlags);
      let clusterBytes: number;
      let left: ClusterRuns;
      try {
        clusterBytes = clusterBytesOf(target.node, minClusterBytes);
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
      const isRead = (perm & Perm.WRITE) !== 0 || node.context.compat.has('wholeCopies');
      const needed = isRead ? Perm.CONSISTENT_READ : 0;
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
  let hasEnded = false;
  let bug: unknown;
  let goOn: (() => void) | null = null;
  yield loop.begin(labelOfPart(main), copy, (error) => {
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
