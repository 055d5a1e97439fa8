/** Refcounts: read, changed, and clusters taken and given back by them. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import type { ImageHazards } from '../../../block/hazards/image-hazards.ts';
import { assert } from '../../../util/assert.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import { type Answer, type Pending, run, type Steps } from '../../../util/steps.ts';
import { Cluster, clusterType } from '../format/l2-entry.ts';
import { entryOffset, hex, type HostOffset } from '../format/offsets.ts';
import { corrupt, signalCorruption } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { discardHint, ignoringErrors } from '../tables/io.ts';
import { refcountBlockForUpdate } from './grow.ts';

/** Field widths end cluster offsets here. */
const MAX_CLUSTER_OFFSET = 2 ** 56 - 1;

/**
 * How often an allocation begins anew because its refcounts needed space themselves. Once or twice is enough; more only
 * happens if the file fails with this very errno, where QEMU would go on for ever.
 */
const MAX_RESTARTS = 64;

/** The refcount of a cluster; 0 where nothing covers it. */
export function getRefcount(image: Qcow2Image, clusterIndex: number): Answer<number> {
  const tableIndex = image.refcountTableIndexOf(clusterIndex);
  const offset = image.refcountTable.blockOffset(tableIndex);
  if (offset === 0) return 0;
  if (image.refcountTable.isUnaligned(tableIndex)) return run<number>(refuseUnalignedBlock(image, tableIndex));
  const slot = image.refcountCache.get(offset);
  return typeof slot === 'number'
    ? refcountIn(image, slot, clusterIndex)
    : run(refcountWhenLoaded(image, slot, clusterIndex));
}

function refcountIn(image: Qcow2Image, slot: number, clusterIndex: number): number {
  const value = image.refcountWidth.get(image.refcountCache.table(slot), image.blockIndexOf(clusterIndex));
  image.refcountCache.put(slot);
  return value;
}

function* refcountWhenLoaded(image: Qcow2Image, slot: Promise<number>, clusterIndex: number): Steps<number> {
  return refcountIn(image, yield slot, clusterIndex);
}

/** Marks the image corrupt for a refcount block that lies between clusters; EIO. */
export function refuseUnalignedBlock(image: Qcow2Image, tableIndex: number): Steps<never> {
  const where = image.refcountTable.blockText(tableIndex);
  return corrupt(image, `Refblock offset ${where} unaligned (reftable index: ${hex(tableIndex)})`);
}

/**
 * Adds `change` to the refcounts of all clusters that a range touches; a bigint for counts beyond 2^53. On failure the
 * changes are taken back, as far as that is possible. EINVAL if a count would leave its range. EAGAIN: refcount
 * structures had to be made, perhaps just where the caller wants its clusters; it has to look for free ones again.
 */
export function* updateRefcount(
  image: Qcow2Image,
  offset: number,
  bytes: number,
  change: number | bigint,
  reason: number,
): Steps<void> {
  if (bytes < 0) throw new BlockError(Errno.EINVAL);
  if (bytes === 0) return;
  const { refcountCache, l2Cache, clusterBytes, hazards } = image;
  // A cluster must not be free on disk while an L2 table on disk still points to it.
  if (change < 0) yield refcountCache.dependOn(l2Cache);

  const start = image.startOfCluster(offset);
  const last = image.startOfCluster(offset + bytes - 1);
  let slot = -1;
  let tableIndex = -1;
  let position = start;
  let failure: BlockError | null = null;
  try {
    for (; position <= last; position += clusterBytes) {
      const clusterIndex = position / clusterBytes;
      const wantedIndex = image.refcountTableIndexOf(clusterIndex);
      if (wantedIndex !== tableIndex) {
        if (slot !== -1) refcountCache.put(slot);
        slot = -1;
        const loading = refcountBlockForUpdate(image, clusterIndex);
        slot = typeof loading === 'number' ? loading : yield loading;
      }
      tableIndex = wantedIndex;
      refcountCache.markDirty(slot);

      const refcount = changeCount(image, slot, image.blockIndexOf(clusterIndex), change);
      if (hazards !== null) noteCount(image, hazards, position, tableIndex, refcount);
      if (refcount !== 0) continue;
      if (clusterIndex < image.freeClusterIndex) image.freeClusterIndex = clusterIndex;
      // At the beginning of the range, not at each cluster of it: so does QEMU 7.2 (`update_refcount`).
      const cachedBlock = refcountCache.find(offset);
      if (cachedBlock !== -1) {
        refcountCache.put(slot);
        slot = -1;
        tableIndex = -1;
        refcountCache.discard(cachedBlock);
      }
      const cachedL2 = l2Cache.find(offset);
      if (cachedL2 !== -1) l2Cache.discard(cachedL2);
      if (image.discardPassthrough[reason] === true) image.discards.add(position, clusterBytes);
    }
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
    if (hazards !== null && change < 0 && slot !== -1) noteUnderflow(image, hazards, slot, position);
    // The search that follows a restart tries the same clusters first: they may still be free.
    if (isRestart(error)) image.freeClusterIndex = Math.min(image.freeClusterIndex, start / clusterBytes);
  }

  const discarding = image.discards.isHeld ? undefined : image.discards.process({ succeeded: failure === null });
  if (discarding !== undefined) yield discarding;
  if (slot !== -1) refcountCache.put(slot);
  if (failure !== null) {
    yield takeBackChange(image, offset, position - offset, change);
    throw failure;
  }
}

/** Takes back what a change of refcounts that has failed did to a range; what cannot be taken back stays. */
function takeBackChange(image: Qcow2Image, offset: number, bytes: number, change: number | bigint): Pending {
  return run(ignoringErrors(updateRefcount(image, offset, bytes, -change, DiscardReason.NEVER)));
}

/** Tells the detector of hazards of a refcount that has changed. */
function noteCount(
  image: Qcow2Image,
  { order, places }: ImageHazards,
  offset: number,
  tableIndex: number,
  refcount: number,
): void {
  order.changedCount(image.refcountTable.blockOffset(tableIndex), image.clusterIndexOf(offset), refcount);
  if (refcount === 0) places.freed(offset, image.clusterBytes);
}

/** Tells the detector of hazards if a refcount could not go down because it is 0. */
function noteUnderflow(image: Qcow2Image, { places }: ImageHazards, slot: number, offset: number): void {
  const { refcountWidth, refcountCache, clusterBytes } = image;
  const index = image.blockIndexOf(image.clusterIndexOf(offset));
  if (refcountWidth.get(refcountCache.table(slot), index) === 0) places.tellUnderflow(offset, clusterBytes);
}

/** Changes one count in a block and returns the new one. EINVAL if it would leave its range. */
function changeCount(image: Qcow2Image, slot: number, index: number, change: number | bigint): number {
  const { refcountWidth, refcountCache } = image;
  const block = refcountCache.table(slot);
  const old = refcountWidth.get(block, index);
  if (old > Number.MAX_SAFE_INTEGER) return changeHugeCount(block, index, change);
  const refcount = old + (typeof change === 'number' ? change : Number(change));
  if (refcount < 0 || refcount > refcountWidth.max) throw new BlockError(Errno.EINVAL);
  refcountWidth.set(block, index, refcount);
  return refcount;
}

/** A count beyond 2^53 is nothing that clusters add up to, but an image may say so. */
function changeHugeCount(block: Buffer, index: number, change: number | bigint): number {
  const refcount = block.readBigUInt64BE(index * 8) + BigInt(change);
  if (refcount >= 1n << 64n) throw new BlockError(Errno.EINVAL);
  block.writeBigUInt64BE(refcount, index * 8);
  return Number(refcount);
}

function isRestart(error: unknown): boolean {
  return error instanceof BlockError && error.errno === Errno.EAGAIN;
}

/** Whether an allocation begins anew: its refcounts needed space themselves, which may be the space it had chosen. */
function mayRestart(error: unknown, restarts: number): boolean {
  return isRestart(error) && restarts < MAX_RESTARTS;
}

/** Finds free clusters in a row, without taking them. EFBIG if they end behind `maxOffset`. */
export function* findFreeClusters(image: Qcow2Image, bytes: number, maxOffset: number): Steps<HostOffset> {
  // A range that is queued to be discarded must not get new content before.
  if (image.discards.isHeld) yield image.discards.process({ succeeded: true });
  const wanted = image.clustersFor(bytes);
  for (let found = 0; found < wanted; ) {
    const clusterIndex = image.freeClusterIndex;
    image.freeClusterIndex += 1;
    const answer = getRefcount(image, clusterIndex);
    const refcount: number = typeof answer === 'number' ? answer : yield answer;
    found = refcount === 0 ? found + 1 : 0;
  }
  const { freeClusterIndex, clusterBytes } = image;
  if (freeClusterIndex > 0 && freeClusterIndex - 1 > Math.floor(maxOffset / clusterBytes)) {
    throw new BlockError(Errno.EFBIG);
  }
  return ((freeClusterIndex - wanted) * clusterBytes) as HostOffset;
}

/** Takes free clusters in a row and returns their offset. */
export function* allocateClusters(image: Qcow2Image, bytes: number): Steps<HostOffset> {
  const told = image.fire(Event.CLUSTER_ALLOC);
  if (told !== undefined) yield told;
  for (let restarts = 0; ; restarts++) {
    try {
      const offset = yield* findFreeClusters(image, bytes, MAX_CLUSTER_OFFSET);
      yield* updateRefcount(image, offset, bytes, 1, DiscardReason.NEVER);
      return offset;
    } catch (error) {
      if (!mayRestart(error, restarts)) throw error;
    }
  }
}

/** Takes up to `clusterCount` clusters from a host offset on, as far as they are free; returns how many. */
export function* allocateClustersAt(image: Qcow2Image, offset: number, clusterCount: number): Steps<number> {
  if (clusterCount === 0) return 0;
  assert(image.intoCluster(offset) === 0, 'clusters are taken at a cluster boundary');
  const first = image.clusterIndexOf(offset);
  for (let restarts = 0; ; restarts++) {
    try {
      let free = 0;
      while (free < clusterCount && (yield getRefcount(image, first + free)) === 0) free += 1;
      yield* updateRefcount(image, offset, free * image.clusterBytes, 1, DiscardReason.NEVER);
      return free;
    } catch (error) {
      if (!mayRestart(error, restarts)) throw error;
    }
  }
}

/**
 * Takes space for a compressed cluster of at most one cluster's size, right behind the last one where there is room.
 */
export function* allocateBytes(image: Qcow2Image, bytes: number): Steps<HostOffset> {
  assert(bytes > 0 && bytes <= image.clusterBytes, 'a compressed cluster is not longer than a cluster');
  yield image.fire(Event.CLUSTER_ALLOC_BYTES);
  const { clusterBytes } = image;
  let offset = image.freeByteOffset;
  if (offset !== 0) {
    const refcount: number = yield getRefcount(image, image.clusterIndexOf(offset));
    if (refcount === image.refcountWidth.max) offset = 0;
  }
  let free = clusterBytes - image.intoCluster(offset);
  const maxOffset = Math.min(2 ** (70 - image.clusterBits) - 1, MAX_CLUSTER_OFFSET);
  for (let restarts = 0, isTaken = false; !isTaken; restarts++) {
    if (offset === 0 || free < bytes) {
      const cluster = yield* findFreeClusters(image, clusterBytes, maxOffset);
      if (cluster === 0) {
        yield* corrupt(image, 'Preventing invalid allocation of compressed cluster at offset 0');
      }
      if (offset === 0 || image.alignUpToCluster(offset) !== cluster) {
        offset = cluster;
        free = clusterBytes;
      } else {
        free += clusterBytes;
      }
    }
    try {
      yield* updateRefcount(image, offset, bytes, 1, DiscardReason.NEVER);
      isTaken = true;
    } catch (error) {
      if (!mayRestart(error, restarts)) throw error;
      offset = 0;
    }
  }
  // The refcount has to be on disk before the L2 entry that the caller is about to write.
  yield image.l2Cache.dependOn(image.refcountCache);
  const end = offset + bytes;
  image.freeByteOffset = image.intoCluster(end) === 0 ? 0 : end;
  return offset as HostOffset;
}

/** Gives clusters back. A failure leaks them, and is only printed. */
export function* freeClusters(image: Qcow2Image, offset: number, bytes: number, reason: number): Steps<void> {
  yield image.fire(Event.CLUSTER_FREE);
  try {
    yield* updateRefcount(image, offset, bytes, -1, reason);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.warn(`qcow2_free_clusters failed: ${strerror(error.errno)}`);
  }
}

/** Gives back the clusters that an L2 entry points to, of any type. */
export function* freeEntry(image: Qcow2Image, high: number, low: number, reason: number): Steps<void> {
  const type = clusterType(image, high, low);
  const offset = entryOffset(high, low);
  if (image.hasDataFile) {
    const hasCluster = type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC;
    if (hasCluster) image.hazards?.data.freed(offset, image.clusterBytes);
    yield* discardEntry(image, high, low, reason);
    return;
  }
  if (type === Cluster.COMPRESSED) {
    const range = image.compressedRange(high, low);
    yield* freeClusters(image, range.offset, range.bytes, reason);
  } else if (type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC) {
    if (image.intoCluster(offset) !== 0) {
      yield* signalCorruption(image, false, `Cannot free unaligned cluster ${hex(offset)}`);
    } else {
      yield* freeClusters(image, offset, image.clusterBytes, reason);
    }
  }
}

/** Tells the file that the content of the cluster behind an L2 entry is not needed, which stays the entry's. */
export function* discardEntry(image: Qcow2Image, high: number, low: number, reason: number): Steps<void> {
  const type = clusterType(image, high, low);
  const hasCluster = type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC;
  if (image.discardPassthrough[reason] !== true || !hasCluster) return;
  const offset = entryOffset(high, low);
  if (image.hasDataFile) yield* discardHint(image.dataFile, offset, image.clusterBytes);
  else image.discards.add(offset, image.clusterBytes);
}
