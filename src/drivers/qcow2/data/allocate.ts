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

/** A search for space: what it has found so far ends at `position` and, in the file, at `host`. */
interface Search {
  position: GuestOffset;
  remaining: number;
  /** Where the next cluster has to be to continue what was found; NOWHERE if anywhere will do. */
  host: HostOffset;
  /** Bytes wanted by the step under way, then those found. */
  bytes: number;
  /** The problem of an L2 entry that must not be; null if there is none. */
  problem: string | null;
}

/**
 * Finds space for a write of `bytes` at a guest offset: as many as can be written in one piece, which is at least one.
 * Waits for other writes that allocate the same clusters. EIO, the image marked corrupt, for an L2 entry that must not
 * be. The lock is held, and given up only while waiting.
 */
export function* allocate(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Allocation): Steps<void> {
  assert(bytes > 0, 'a write of nothing needs no space');
  let search = beginSearch(guest, bytes, result);
  while (search.remaining > 0) {
    search.bytes = search.remaining;
    const blocking = image.pendingUpdates.isEmpty ? null : findConflict(image, search, result.parts !== null);
    if (blocking !== null) {
      yield* waitFor(image, blocking);
      search = beginSearch(guest, bytes, result);
      continue;
    }
    if (search.bytes === 0) break;

    const loading = sliceForUpdate(image, search.position);
    const slot: number = typeof loading === 'number' ? loading : yield loading;
    // Not before the wait for a blocking write: a truncate, which then has the lock, may make other caches.
    const { l2Cache } = image;
    let isFound: boolean;
    try {
      const table = l2Cache.table(slot);
      isFound = findInPlace(image, table, search, result);
      if (!isFound && search.bytes > 0) isFound = yield* findNew(image, table, search, result);
    } finally {
      l2Cache.put(slot);
    }
    if (search.problem !== null) yield* corrupt(image, search.problem);
    if (!isFound) break;
    if (result.host === NOWHERE) result.host = search.host;
    search.host = advance(search.host, search.bytes);
    search.position = advance(search.position, search.bytes);
    search.remaining -= search.bytes;
  }
  result.bytes = bytes - search.remaining;
}

function beginSearch(guest: GuestOffset, bytes: number, result: Allocation): Search {
  result.host = NOWHERE;
  result.bytes = 0;
  result.parts = null;
  return { host: NOWHERE, bytes: 0, position: guest, remaining: bytes, problem: null };
}

/**
 * Finds the pending updates that touch the clusters of the search. Cuts `search.bytes` where such a one begins; returns
 * it if it is in the way from the first byte on. With parts found already the search ends there instead.
 */
function findConflict(image: Qcow2Image, search: Search, hasParts: boolean): PendingL2Update | null {
  const start = search.position;
  for (const other of image.pendingUpdates.touching(start, search.bytes)) {
    const end = start + search.bytes;
    const otherStart = image.startOfCluster(other.start);
    const otherEnd = image.alignUpToCluster(other.end);
    if (end <= otherStart || start >= otherEnd) continue;
    // The cluster is there already, and what is copied in it is somewhere else.
    if (other.keepsOldClusters && (end <= other.start || start >= other.end)) continue;
    search.bytes = Math.max(0, otherStart - start);
    if (search.bytes === 0) return hasParts ? null : other;
  }
  return null;
}

function* waitFor(image: Qcow2Image, other: PendingL2Update): Steps<void> {
  const reason: WaitReason = { kind: 'allocation', blockedBy: other.owner };
  image.lock.unlock();
  traceWait(image.node, reason);
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
 * Clusters that can be overwritten where they are. If there are some but at the wrong place, `search.bytes` becomes 0.
 */
function findInPlace(image: Qcow2Image, table: Buffer, search: Search, result: Allocation): boolean {
  const { position } = search;
  const index = image.sliceIndexOf(position);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (needsNewCluster(image, high, low)) return false;
  const cluster = entryOffset(high, low);
  const into = image.intoCluster(position);
  if (image.intoCluster(cluster) !== 0) {
    const what = (low & ZERO) !== 0 ? 'Preallocated zero' : 'Data';
    search.problem = `${what} cluster offset ${hex(cluster)} unaligned (guest offset: ${hex(position)})`;
    return true;
  }
  if (search.host !== NOWHERE && cluster !== search.host) {
    search.bytes = 0;
    return false;
  }
  const clusters = countInPlace(image, table, index, cluster, clusterLimit(image, index, into + search.bytes));
  search.bytes = Math.min(search.bytes, clusters * image.clusterBytes - into);
  search.host = advance(cluster, into);
  search.problem = addPart(image, table, { cluster, position, bytes: search.bytes, keepsOldClusters: true }, result);
  return true;
}

/** New clusters for those that need them. False, and `search.bytes` 0, if there are none at the place wanted. */
function* findNew(image: Qcow2Image, table: Buffer, search: Search, result: Allocation): Steps<boolean> {
  const { position } = search;
  const index = image.sliceIndexOf(position);
  const into = image.intoCluster(position);
  let count = countNew(image, table, index, clusterLimit(image, index, into + search.bytes));
  let cluster: HostOffset;
  if (image.hasDataFile) {
    cluster = image.startOfCluster(position) as number as HostOffset;
  } else if (search.host !== NOWHERE) {
    cluster = image.startOfCluster(search.host);
    count = yield* allocateClustersAt(image, cluster, count);
  } else {
    cluster = yield* allocateClusters(image, count * image.clusterBytes);
  }
  if (count === 0) {
    search.bytes = 0;
    return false;
  }
  search.host = advance(cluster, into);
  search.bytes = Math.min(search.bytes, count * image.clusterBytes - into);
  search.problem = addPart(image, table, { cluster, position, bytes: search.bytes, keepsOldClusters: false }, result);
  return true;
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

/** How many entries of a slice need new clusters, from the one at `index` on, which does. */
function countNew(image: Qcow2Image, table: Buffer, index: number, limit: number): number {
  for (let count = 1; count < limit; count++) {
    const at = (index + count) * image.l2EntryBytes;
    if (!needsNewCluster(image, readBe32(table, at), readBe32(table, at + 4))) return count;
  }
  return limit;
}
