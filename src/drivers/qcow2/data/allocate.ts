/**
 * Space for writes: which clusters of a guest range can be overwritten in place, which need new ones, and who waits for
 * whom.
 *
 * A write that takes new clusters enters them into the L2 table only after its data is written. Until then it is in
 * flight, and another write to the same clusters waits for it and begins anew:
 *
 *     A  4k@0   takes cluster X for 0..64k ---- writes data ---- enters X into L2 ---- wakes B
 *     B  4k@32k overlaps 0..64k: waits ................................................ finds X, overwrites in place
 */
import { REQUEST_MAX_BYTES } from '../../../block/flags.ts';
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
import { sliceForUpdate } from './cluster-table.ts';
import { addPart } from './pending-parts.ts';

/** No place, or any. */
const NOWHERE = -1 as HostOffset;

/** Where a search is, and what one step of it finds. */
interface Cursor {
  /** Where the next cluster has to be to continue what was found; NOWHERE if anywhere will do. */
  host: HostOffset;
  /** Bytes wanted at first, then those found. */
  bytes: number;
}

/** A search: what it has found so far ends at `position` and, in the file, at `host`. */
interface Search extends Cursor {
  position: GuestOffset;
  remaining: number;
}

/**
 * Finds space for a write of `bytes` at a guest offset: as many as can be written in one piece, which is at least one.
 * Waits for other writes that allocate the same clusters. The lock is held, and given up only while waiting.
 */
export function* allocate(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Allocation): Steps<void> {
  assert(image.lock.isLocked, 'the lock is held');
  assert(bytes > 0, 'a write of nothing needs no space');
  for (;;) {
    result.host = NOWHERE;
    result.bytes = 0;
    result.parts = null;
    const search: Search = { host: NOWHERE, bytes: 0, position: guest, remaining: bytes };
    const mustWaitFor = yield* searchSpace(image, search, result);
    if (mustWaitFor === null) {
      result.bytes = bytes - search.remaining;
      return;
    }
    yield* waitFor(image, mustWaitFor);
  }
}

/** Extends `result` as far as it goes; the write in flight that is in the way from the first byte on, if there is one. */
function* searchSpace(image: Qcow2Image, search: Search, result: Allocation): Steps<PendingL2Update | null> {
  while (search.remaining > 0) {
    search.bytes = search.remaining;
    const conflict = findConflict(image, search.position, search.remaining, search, result.parts !== null);
    if (conflict !== null) return conflict;
    if (search.bytes === 0) break;
    const isFound =
      (yield* withSlice(image, search.position, findInPlace, search, result)) ||
      (search.bytes > 0 && (yield* withSlice(image, search.position, findNew, search, result)));
    if (!isFound) break;
    if (result.host === NOWHERE) result.host = search.host;
    search.host = advance(search.host, search.bytes);
    search.position = advance(search.position, search.bytes);
    search.remaining -= search.bytes;
  }
  return null;
}

/**
 * Looks for writes in flight that allocate what this one touches. Cuts `cursor.bytes` where such a one begins; returns
 * it if it is in the way from the first byte on. With parts found already the search ends there instead.
 */
function findConflict(
  image: Qcow2Image,
  start: GuestOffset,
  wanted: number,
  cursor: Cursor,
  hasParts: boolean,
): PendingL2Update | null {
  let bytes = wanted;
  for (const other of image.pendingUpdates.touching(start, wanted)) {
    const end = start + bytes;
    const otherStart = image.startOfCluster(other.start);
    const otherEnd = image.alignUpToCluster(other.end);
    if (end <= otherStart || start >= otherEnd) continue;
    // The cluster is there already, and what is copied in it is somewhere else.
    if (other.keepsOldClusters && (end <= other.start || start >= other.end)) continue;
    bytes = start < otherStart ? otherStart - start : 0;
    if (bytes > 0) continue;
    cursor.bytes = 0;
    return hasParts ? null : other;
  }
  cursor.bytes = bytes;
  return null;
}

function* waitFor(image: Qcow2Image, other: PendingL2Update): Steps<void> {
  const reason: WaitReason = { kind: 'allocation', blockedBy: other.owner };
  image.lock.unlock();
  traceWait(image.node, reason);
  yield other.dependents.wait(reason);
  yield image.lock.lock();
}

/** How many clusters to look at, from the one with `position` on: within the slice and the longest request. */
function clusterLimit(image: Qcow2Image, position: GuestOffset, bytes: number): number {
  return Math.min(
    image.clustersFor(image.intoCluster(position) + bytes),
    image.sliceEntries - image.sliceIndexOf(position),
    Math.floor(REQUEST_MAX_BYTES / image.clusterBytes),
  );
}

/** A look into the slice that has a position's entry. True, with `cursor` set, if there are clusters to be had. */
type SliceLook = (
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
) => Steps<boolean>;

/** Clusters that can be overwritten where they are. If there are some but at the wrong place, `cursor.bytes` becomes 0. */
function* findInPlace(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
): Steps<boolean> {
  const index = image.sliceIndexOf(position);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (needsNewCluster(image, high, low)) return false;
  const cluster = entryOffset(high, low);
  const into = image.intoCluster(position);
  if (image.intoCluster(cluster) !== 0) {
    const what = (low & ZERO) !== 0 ? 'Preallocated zero' : 'Data';
    yield* corrupt(image, `${what} cluster offset ${hex(cluster)} unaligned (guest offset: ${hex(position)})`);
  }
  if (cursor.host !== NOWHERE && cluster !== cursor.host) {
    cursor.bytes = 0;
    return false;
  }
  const clusters = countForWrite(image, table, index, clusterLimit(image, position, cursor.bytes), false);
  cursor.bytes = Math.min(cursor.bytes, clusters * image.clusterBytes - into);
  cursor.host = advance(cluster, into);
  yield* addPart(image, table, { cluster, position, bytes: cursor.bytes, keepsOldClusters: true }, result);
  return true;
}

/** New clusters for those that need them. False, and `cursor.bytes` 0, if there are none at the place wanted. */
function* findNew(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
): Steps<boolean> {
  const limit = clusterLimit(image, position, cursor.bytes);
  let count = countForWrite(image, table, image.sliceIndexOf(position), limit, true);
  let host: HostOffset;
  if (image.hasDataFile) {
    host = image.startOfCluster(position) as number as HostOffset;
  } else if (cursor.host !== NOWHERE) {
    host = image.startOfCluster(cursor.host);
    count = yield* allocateClustersAt(image, host, count);
  } else {
    host = yield* allocateClusters(image, count * image.clusterBytes);
  }
  if (count === 0) {
    cursor.bytes = 0;
    return false;
  }
  const into = image.intoCluster(position);
  cursor.host = advance(host, into);
  cursor.bytes = Math.min(cursor.bytes, count * image.clusterBytes - into);
  yield* addPart(image, table, { cluster: host, position, bytes: cursor.bytes, keepsOldClusters: false }, result);
  return true;
}

/** Looks into the slice that has a guest offset's entry, and holds it meanwhile. */
function* withSlice(
  image: Qcow2Image,
  position: GuestOffset,
  look: SliceLook,
  cursor: Cursor,
  result: Allocation,
): Steps<boolean> {
  const { l2Cache } = image;
  const slot: number = yield sliceForUpdate(image, position);
  try {
    return yield* look(image, l2Cache.table(slot), position, cursor, result);
  } finally {
    l2Cache.put(slot);
  }
}

/**
 * How many clusters of a slice, from `index` on, one write can treat alike: all of them in need of a new cluster, or
 * all in place and contiguous.
 */
function countForWrite(image: Qcow2Image, table: Buffer, index: number, limit: number, isNew: boolean): number {
  let expected = -1;
  for (let count = 0; count < limit; count++) {
    const at = (index + count) * image.l2EntryBytes;
    const high = readBe32(table, at);
    const low = readBe32(table, at + 4);
    if (needsNewCluster(image, high, low) !== isNew) return count;
    if (isNew) continue;
    const host = entryOffset(high, low);
    if (expected !== -1 && host !== expected) return count;
    expected = host + image.clusterBytes;
  }
  return limit;
}
