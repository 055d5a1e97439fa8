/** Refcounts: read, changed, and clusters taken and given back by them. */
import type { Pending } from '../../../util/steps.ts';
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { type Answer, later, laterWith } from '../../../util/answer.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import { corrupt, signalCorruption } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { ignoringErrors } from '../tables/io.ts';
import { Cluster, clusterType } from '../format/l2-entry.ts';
import { entryOffset, hex, type HostOffset } from '../format/offsets.ts';
import { pdiscard } from '../../../block/request/discard.ts';
import { refcountBlockForUpdate } from './grow.ts';

/** Field widths end cluster offsets here. */
const MAX_CLUSTER_OFFSET = 2 ** 56 - 1;

/**
 * How often an allocation begins anew because its refcounts needed space themselves. Once or twice is enough; more only
 * happens if the file fails with this very errno, where QEMU would go on for ever.
 */
const MAX_RESTARTS = 64;

/** Which entry of its refcount block counts a cluster of the file. */
export function blockIndexOf(image: Qcow2Image, clusterIndex: number): number {
  return clusterIndex & (image.refcountBlockEntries - 1);
}

/** Which entry of the refcount table covers a cluster of the file; it may lie behind the table's end. */
export function refcountTableIndexOf(image: Qcow2Image, clusterIndex: number): number {
  return Math.floor(clusterIndex / image.refcountBlockEntries);
}

/** The refcount of a cluster; 0 where nothing covers it. */
export function getRefcount(image: Qcow2Image, clusterIndex: number): number | Promise<number> {
  const tableIndex = refcountTableIndexOf(image, clusterIndex);
  const offset = image.refcountTable.blockOffset(tableIndex);
  if (offset === 0) return 0;
  if (image.refcountTable.isUnaligned(tableIndex)) return refuseUnalignedBlock(image, tableIndex);
  const slot = image.refcountCache.get(offset);
  return typeof slot === 'number'
    ? refcountIn(image, slot, clusterIndex)
    : refcountWhenLoaded(image, slot, clusterIndex);
}

/**
 * The first cluster at or behind one that a refcount block covers; `end` if there is none before. Files with holes are
 * longer than what can be looked through cluster by cluster.
 */
export function nextCovered(image: Qcow2Image, cluster: number, end: number): number {
  const { refcountTable, refcountBlockEntries } = image;
  let index = refcountTableIndexOf(image, cluster);
  if (refcountTable.blockOffset(index) !== 0) return cluster;
  while (index < refcountTable.entryCount && refcountTable.blockOffset(index) === 0) index += 1;
  return index >= refcountTable.entryCount ? end : Math.min(index * refcountBlockEntries, end);
}

/** The last cluster at or before one that a refcount block covers; -1 if there is none. */
export function previousCovered(image: Qcow2Image, cluster: number): number {
  const { refcountTable, refcountBlockEntries } = image;
  let index = refcountTableIndexOf(image, cluster);
  if (refcountTable.blockOffset(index) !== 0) return cluster;
  index = Math.min(index, refcountTable.entryCount);
  while (index >= 0 && refcountTable.blockOffset(index) === 0) index -= 1;
  return (index + 1) * refcountBlockEntries - 1;
}

function refcountIn(image: Qcow2Image, slot: number, clusterIndex: number): number {
  const value = image.refcountWidth.get(image.refcountCache.table(slot), blockIndexOf(image, clusterIndex));
  image.refcountCache.put(slot);
  return value;
}

async function refcountWhenLoaded(image: Qcow2Image, slot: Promise<number>, clusterIndex: number): Promise<number> {
  return refcountIn(image, await slot, clusterIndex);
}

/** Marks the image corrupt for a refcount block that lies between clusters; rejects with EIO. */
export function refuseUnalignedBlock(image: Qcow2Image, tableIndex: number): Promise<never> {
  const where = image.refcountTable.blockText(tableIndex);
  return corrupt(image, `Refblock offset ${where} unaligned (reftable index: ${hex(tableIndex)})`);
}

/**
 * Adds `change` to the refcounts of all clusters that a range touches. On failure what was changed is changed back, as
 * far as that is possible. EINVAL if a count would leave its range. EAGAIN: refcount structures had to be made, perhaps
 * just where the caller wants its clusters; it has to look for free ones again.
 */
export function updateRefcount(
  image: Qcow2Image,
  offset: number,
  bytes: number,
  change: number,
  reason: number,
): Pending {
  if (bytes < 0) throw new BlockError(Errno.EINVAL);
  if (bytes === 0) return undefined;
  const isOneCluster = image.intoCluster(offset) === 0 && bytes <= image.clusterBytes;
  if (change > 0 && isOneCluster) return countOneMore(image, offset, bytes, change, reason);
  return updateRange(image, offset, bytes, change, reason, null);
}

/** A cluster that is counted up, as every new one is: nothing to be waited for, if its block is cached. */
function countOneMore(image: Qcow2Image, offset: number, bytes: number, change: number, reason: number): Pending {
  const clusterIndex = offset / image.clusterBytes;
  const slot = blockForUpdate(image, clusterIndex, clusterIndex);
  if (typeof slot !== 'number') return updateRange(image, offset, bytes, change, reason, slot);
  const { refcountCache, refcountWidth } = image;
  const block = refcountCache.table(slot);
  const index = blockIndexOf(image, clusterIndex);
  const refcount = refcountWidth.get(block, index) + change;
  // What a number does not hold exactly is for the long way, too.
  if (refcount > refcountWidth.max || refcount > Number.MAX_SAFE_INTEGER) {
    return updateRange(image, offset, bytes, change, reason, slot);
  }
  refcountCache.markDirty(slot);
  refcountWidth.set(block, index, refcount);
  const wait = image.discards.isHeld ? undefined : image.discards.process(true);
  if (wait !== undefined) return wait.finally(() => refcountCache.put(slot));
  refcountCache.put(slot);
  return undefined;
}

/** `firstSlot`: the block of the first cluster, held, if it has been asked for already. */
async function updateRange(
  image: Qcow2Image,
  offset: number,
  bytes: number,
  change: number,
  reason: number,
  firstSlot: Answer<number> | null,
): Promise<void> {
  const { refcountCache, l2Cache, clusterBytes } = image;
  // A cluster must not be free on disk while an L2 table on disk still points to it.
  if (change < 0) await ignoringErrors(() => refcountCache.dependOn(l2Cache));

  const start = image.startOfCluster(offset);
  const last = image.startOfCluster(offset + bytes - 1);
  let slot = -1;
  let tableIndex = -1;
  let position = start;
  let failure: unknown = null;
  let asked = firstSlot;
  try {
    for (; position <= last; position += clusterBytes) {
      const clusterIndex = position / clusterBytes;
      const wantedIndex = refcountTableIndexOf(image, clusterIndex);
      if (wantedIndex !== tableIndex) {
        if (slot !== -1) refcountCache.put(slot);
        slot = -1;
        slot = await (asked ?? blockForUpdate(image, clusterIndex, start / clusterBytes));
        asked = null;
      }
      tableIndex = wantedIndex;
      refcountCache.markDirty(slot);

      const refcount = changeCount(image, slot, blockIndexOf(image, clusterIndex), change);
      if (refcount !== 0) continue;
      if (clusterIndex < image.freeClusterIndex) image.freeClusterIndex = clusterIndex;
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
  }

  if (!image.discards.isHeld) {
    const wait = image.discards.process(failure === null);
    if (wait !== undefined) await wait;
  }
  if (slot !== -1) refcountCache.put(slot);
  if (failure !== null) {
    await ignoringErrors(() => updateRefcount(image, offset, position - offset, -change, DiscardReason.NEVER));
    throw failure;
  }
}

function blockForUpdate(image: Qcow2Image, clusterIndex: number, startIndex: number): Answer<number> {
  const slot = refcountBlockForUpdate(image, clusterIndex);
  if (typeof slot === 'number') return slot;
  return slot.catch((error: unknown) => {
    // The search that follows tries the same clusters first: they may still be free.
    if (isRestart(error) && image.freeClusterIndex > startIndex) image.freeClusterIndex = startIndex;
    throw error;
  });
}

/** Changes one count in a block and returns the new one. EINVAL if it would leave its range. */
function changeCount(image: Qcow2Image, slot: number, index: number, change: number): number {
  const { refcountWidth, refcountCache } = image;
  const block = refcountCache.table(slot);
  const old = refcountWidth.get(block, index);
  if (old > Number.MAX_SAFE_INTEGER) return changeHugeCount(block, index, change);
  const refcount = old + change;
  if (refcount < 0 || refcount > refcountWidth.max) throw new BlockError(Errno.EINVAL);
  refcountWidth.set(block, index, refcount);
  return refcount;
}

/** A count beyond 2^53 is nothing that clusters add up to, but an image may say so. */
function changeHugeCount(block: Buffer, index: number, change: number): number {
  const refcount = block.readBigUInt64BE(index * 8) + BigInt(change);
  if (refcount >= 1n << 64n) throw new BlockError(Errno.EINVAL);
  block.writeBigUInt64BE(refcount, index * 8);
  return Number(refcount);
}

function isRestart(error: unknown): boolean {
  return error instanceof BlockError && error.errno === Errno.EAGAIN;
}

/** Repeats a step as long as it asks for that with EAGAIN. */
async function withRestarts<T>(step: () => Answer<T>): Promise<T> {
  for (let count = 0; ; count++) {
    try {
      return await step();
    } catch (error) {
      if (!isRestart(error) || count >= MAX_RESTARTS) throw error;
    }
  }
}

/** Finds free clusters in a row, without taking them. EFBIG if they end behind `maxOffset`. */
export function findFreeClusters(image: Qcow2Image, bytes: number, maxOffset: number): Answer<HostOffset> {
  // What is still queued for being discarded must not get new content before.
  const wait = image.discards.isHeld ? image.discards.process(true) : undefined;
  const wanted = image.clustersFor(bytes);
  if (wait !== undefined) return later(wait, searchFree, image, wanted, 0, maxOffset);
  return searchFree(image, wanted, 0, maxOffset);
}

/** Goes on with `foundBefore` free clusters in a row before the next one to be looked at. */
function searchFree(image: Qcow2Image, wanted: number, foundBefore: number, maxOffset: number): Answer<HostOffset> {
  let found = foundBefore;
  while (found < wanted) {
    const clusterIndex = image.freeClusterIndex;
    image.freeClusterIndex += 1;
    const refcount = getRefcount(image, clusterIndex);
    if (typeof refcount !== 'number') {
      const before = found;
      return refcount.then((value) => searchFree(image, wanted, value === 0 ? before + 1 : 0, maxOffset));
    }
    found = refcount === 0 ? found + 1 : 0;
  }
  const { freeClusterIndex, clusterBytes } = image;
  if (freeClusterIndex > 0 && freeClusterIndex - 1 > Math.floor(maxOffset / clusterBytes)) {
    throw new BlockError(Errno.EFBIG);
  }
  return ((freeClusterIndex - wanted) * clusterBytes) as HostOffset;
}

/** Takes free clusters in a row and returns where they are. */
export function allocateClusters(image: Qcow2Image, bytes: number): Answer<HostOffset> {
  const wait = image.fire(Event.CLUSTER_ALLOC);
  return wait === undefined ? takeFree(image, bytes) : later(wait, takeFree, image, bytes);
}

function takeFree(image: Qcow2Image, bytes: number): Answer<HostOffset> {
  const offset = takeFreeOnce(image, bytes);
  return typeof offset === 'number' ? offset : takeFreeAgain(image, bytes, offset);
}

/** `taking` is the first attempt. */
function takeFreeAgain(image: Qcow2Image, bytes: number, taking: Promise<HostOffset>): Promise<HostOffset> {
  let first: Promise<HostOffset> | null = taking;
  return withRestarts(() => {
    const attempt = first ?? takeFreeOnce(image, bytes);
    first = null;
    return attempt;
  });
}

/** EAGAIN: look again. Rejects, never throws. */
function takeFreeOnce(image: Qcow2Image, bytes: number): Answer<HostOffset> {
  try {
    const offset = findFreeClusters(image, bytes, MAX_CLUSTER_OFFSET);
    return typeof offset === 'number' ? countTaken(offset, image, bytes) : laterWith(offset, countTaken, image, bytes);
  } catch (error) {
    return Promise.reject(error);
  }
}

function countTaken(offset: HostOffset, image: Qcow2Image, bytes: number): Answer<HostOffset> {
  const counting = updateRefcount(image, offset, bytes, 1, DiscardReason.NEVER);
  return counting === undefined ? offset : counting.then(() => offset);
}

/** Takes up to `clusterCount` clusters at a given place, as far as they are free; returns how many. */
export async function allocateClustersAt(image: Qcow2Image, offset: number, clusterCount: number): Promise<number> {
  if (clusterCount === 0) return 0;
  return withRestarts(async () => {
    const first = image.clusterIndexOf(offset);
    let free = 0;
    while (free < clusterCount && (await getRefcount(image, first + free)) === 0) free += 1;
    await updateRefcount(image, offset, free * image.clusterBytes, 1, DiscardReason.NEVER);
    return free;
  });
}

/** Takes space for a compressed cluster of at most one cluster's size, right behind the last one where there is room. */
export async function allocateBytes(image: Qcow2Image, bytes: number): Promise<HostOffset> {
  await image.fire(Event.CLUSTER_ALLOC_BYTES);
  const { clusterBytes } = image;
  let offset = image.freeByteOffset;
  if (offset !== 0) {
    const refcount = await getRefcount(image, image.clusterIndexOf(offset));
    if (refcount === image.refcountWidth.max) offset = 0;
  }
  let free = clusterBytes - image.intoCluster(offset);
  const maxOffset = Math.min(2 ** (70 - image.clusterBits) - 1, MAX_CLUSTER_OFFSET);
  await withRestarts(async () => {
    if (offset === 0 || free < bytes) {
      const cluster = await findFreeClusters(image, clusterBytes, maxOffset);
      if (cluster === 0) {
        await corrupt(image, 'Preventing invalid allocation of compressed cluster at offset 0');
      }
      if (offset === 0 || image.alignUpToCluster(offset) !== cluster) {
        offset = cluster;
        free = clusterBytes;
      } else {
        free += clusterBytes;
      }
    }
    try {
      await updateRefcount(image, offset, bytes, 1, DiscardReason.NEVER);
    } catch (error) {
      if (error instanceof BlockError) offset = 0;
      throw error;
    }
  });
  // The refcount has to be on disk before the L2 entry that the caller is about to write.
  await ignoringErrors(() => image.l2Cache.dependOn(image.refcountCache));
  const end = offset + bytes;
  image.freeByteOffset = image.intoCluster(end) === 0 ? 0 : end;
  return offset as HostOffset;
}

/** Gives clusters back. A failure leaks them, and is only printed. */
export async function freeClusters(image: Qcow2Image, offset: number, bytes: number, reason: number): Promise<void> {
  await image.fire(Event.CLUSTER_FREE);
  try {
    await updateRefcount(image, offset, bytes, -1, reason);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.warn(`qcow2_free_clusters failed: ${strerror(error.errno)}`);
  }
}

/** Gives back what an L2 entry points to, whatever it is. */
export async function freeEntry(image: Qcow2Image, high: number, low: number, reason: number): Promise<void> {
  const type = clusterType(image, high, low);
  const offset = entryOffset(high, low);
  if (image.hasDataFile) {
    const hasCluster = type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC;
    if (image.discardPassthrough[reason] === true && hasCluster) {
      await ignoringErrors(() => pdiscard(image.dataFile, offset, image.clusterBytes));
    }
    return;
  }
  if (type === Cluster.COMPRESSED) {
    const range = image.compressedRange(high, low);
    await freeClusters(image, range.offset, range.bytes, reason);
  } else if (type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC) {
    if (image.intoCluster(offset) !== 0) {
      await signalCorruption(image, false, `Cannot free unaligned cluster ${hex(offset)}`);
    } else {
      await freeClusters(image, offset, image.clusterBytes, reason);
    }
  }
}
