/**
 * Space for writes: which clusters of a guest range can be overwritten in place, which need new ones, and which
 * writes wait for which.
 *
 * A write that takes new clusters enters them into the L2 table only after its data is written. Until then it is in
 * flight, and another write to the same clusters waits for it and begins anew:
 *
 *     A  4k@0   takes cluster X for 0..64k ---- writes data ---- enters X into L2 ---- wakes B
 *     B  4k@32k overlaps 0..64k: waits ................................................ finds X, overwrites in place
 */
import { REQUEST_MAX_BYTES } from '../../../block/flags.ts';
import { CoroutineQueue } from '../../../block/loop/coroutine-queue.ts';
import type { WaitReason } from '../../../block/loop/loop.ts';
import { traceWait } from '../../../block/request/traced.ts';
import { assert } from '../../../util/assert.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Steps } from '../../../util/steps.ts';
import { needsNewCluster } from '../format/l2-entry.ts';
import { advance, entryOffset, type GuestOffset, hex, type HostOffset, ZERO } from '../format/offsets.ts';
import { allocateClusters, allocateClustersAt } from '../refcounts/refcounts.ts';
import { corrupt } from '../tables/corruption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import type { Allocation, PendingL2Update } from '../tables/pending-update.ts';
import { sliceForUpdate, sliceOffset } from './cluster-table.ts';
import { addPart, holdsData } from './pending-parts.ts';

/** A look into a slice finds this instead of bytes: the cluster cannot be overwritten in place. */
const NEEDS_NEW = -1;
/** New clusters may be at any place in the file. */
const ANYWHERE = -1 as HostOffset;

/**
 * Adds to `result` as much of a write of `bytes` at a guest offset as can be overwritten in place and is found without
 * waiting; `allocate` finds the rest. The lock is held.
 */
export function allocateInPlace(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Allocation): void {
  assert(image.lock.isLocked, 'the lock is held');
  if (image.pendingUpdates.size > 0) return;
  const { l2Cache } = image;
  // Without an L2 table the offset is -1, at which no table can be cached.
  const slot = l2Cache.hold(sliceOffset(image, guest));
  if (slot === -1) return;
  findInPlace(image, l2Cache.table(slot), guest, bytes, result);
  l2Cache.put(slot);
}

/**
 * Finds space for a write of `bytes` at a guest offset, behind what `result` has of it: as many as can be written in
 * one piece, which is at least one. Waits for other writes that allocate the same clusters. EIO, the image marked
 * corrupt, for an L2 entry that must not be. The lock is held, and given up only while waiting.
 */
export function* allocate(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Allocation): Steps<void> {
  assert(bytes > 0, 'a write of nothing needs no space');
  while (result.problem === null && result.bytes < bytes) {
    const position = advance(guest, result.bytes);
    let wanted = bytes - result.bytes;
    if (image.pendingUpdates.size > 0) {
      const { free, blocking } = beforeConflict(image, position, wanted);
      // What was found so far is written first.
      if (free === 0 && result.parts !== null) break;
      if (blocking !== null) {
        yield* waitFor(image, blocking);
        result.clear();
        continue;
      }
      wanted = free;
    }
    const loading = sliceForUpdate(image, position);
    const slot: number = typeof loading === 'number' ? loading : yield loading;
    // Not before the wait for a blocking write: a truncate, which then has the lock, may make other caches.
    const { l2Cache } = image;
    let found: number;
    try {
      const table = l2Cache.table(slot);
      found = findInPlace(image, table, position, wanted, result);
      if (found === NEEDS_NEW) {
        let count = countNew(image, table, position, wanted);
        let cluster = placeForNew(image, position, result);
        if (cluster === ANYWHERE) cluster = yield* allocateClusters(image, count * image.clusterBytes);
        else if (!image.hasDataFile) count = yield* allocateClustersAt(image, cluster, count);
        const taken = Math.min(wanted, count * image.clusterBytes - image.intoCluster(position));
        const piece = { cluster, position, bytes: taken, keepsOldClusters: false };
        found = count === 0 ? 0 : addPart(image, table, piece, result);
      }
    } finally {
      l2Cache.put(slot);
    }
    if (found === 0) break;
  }
  if (result.problem !== null) yield* corrupt(image, result.problem);
}

/** How many of `bytes` lie before the clusters of pending updates; if none does, the update that is in the way. */
function beforeConflict(
  image: Qcow2Image,
  start: GuestOffset,
  bytes: number,
): { readonly free: number; readonly blocking: PendingL2Update | null } {
  let free = bytes;
  for (const other of image.pendingUpdates.touching(start, bytes)) {
    const end = start + free;
    const otherStart = image.startOfCluster(other.start);
    const otherEnd = image.alignUpToCluster(other.end);
    if (end <= otherStart || start >= otherEnd) continue;
    // The cluster is there already, and what is copied in it is somewhere else.
    if (other.keepsOldClusters && (end <= other.start || start >= other.end)) continue;
    free = Math.max(0, otherStart - start);
    if (free === 0) return { free, blocking: other };
  }
  return { free, blocking: null };
}

function* waitFor(image: Qcow2Image, other: PendingL2Update): Steps<void> {
  const reason: WaitReason = { kind: 'allocation', blockedBy: other.owner };
  image.lock.unlock();
  traceWait(image.node, reason);
  other.dependents ??= new CoroutineQueue(image.loop);
  yield other.dependents.wait(reason);
  yield image.lock.lock();
}

/**
 * How many clusters to look at, from the one at `index` on, of which `bytes` are wanted: within the slice and the
 * longest request.
 */
function clusterLimit({ clusterBytes, sliceEntries }: Qcow2Image, index: number, bytes: number): number {
  return Math.min(Math.ceil(bytes / clusterBytes), sliceEntries - index, Math.floor(REQUEST_MAX_BYTES / clusterBytes));
}

/**
 * Adds clusters that can be overwritten where they are, of `bytes` at a position. Gives how many bytes that are: 0 if
 * they are at the wrong place, NEEDS_NEW if there are none.
 */
function findInPlace(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  bytes: number,
  result: Allocation,
): number {
  const index = image.sliceIndexOf(position);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (needsNewCluster(image, high, low)) return NEEDS_NEW;
  const cluster = entryOffset(high, low);
  if (image.intoCluster(cluster) !== 0) {
    const what = (low & ZERO) !== 0 ? 'Preallocated zero' : 'Data';
    result.problem = `${what} cluster offset ${hex(cluster)} unaligned (guest offset: ${hex(position)})`;
    return 0;
  }
  if (!result.mayGoOnAt(cluster)) return 0;
  const into = image.intoCluster(position);
  const clusters = countInPlace(image, table, index, cluster, clusterLimit(image, index, into + bytes));
  const found = Math.min(bytes, clusters * image.clusterBytes - into);
  if (!holdsData(image, table, index, into, into + found)) {
    return addPart(image, table, { cluster, position, bytes: found, keepsOldClusters: true }, result);
  }
  return result.add(advance(cluster, into), found);
}

/** Where new clusters at a position have to be: behind what is found, and in a data file where the guest has them. */
function placeForNew(image: Qcow2Image, position: GuestOffset, found: Allocation): HostOffset {
  if (image.hasDataFile) return image.startOfCluster(position) as number as HostOffset;
  return found.bytes === 0 ? ANYWHERE : image.startOfCluster(found.end);
}

/** How many clusters of a slice are in place and contiguous, from the one at `index` on, which is at `first`. */
function countInPlace(image: Qcow2Image, table: Buffer, index: number, first: HostOffset, limit: number): number {
  for (let count = 1; count < limit; count++) {
    const at = (index + count) * image.l2EntryBytes;
    const high = readBe32(table, at);
    const low = readBe32(table, at + 4);
    if (needsNewCluster(image, high, low) || entryOffset(high, low) !== first + count * image.clusterBytes)
      return count;
  }
  return limit;
}

/** How many clusters of a write of `bytes` at a position need to be new, from the first one on, which does. */
function countNew(image: Qcow2Image, table: Buffer, position: GuestOffset, bytes: number): number {
  const index = image.sliceIndexOf(position);
  const limit = clusterLimit(image, index, image.intoCluster(position) + bytes);
  for (let count = 1; count < limit; count++) {
    const at = (index + count) * image.l2EntryBytes;
    if (!needsNewCluster(image, readBe32(table, at), readBe32(table, at + 4))) return count;
  }
  return limit;
}
