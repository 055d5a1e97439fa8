/** Zero writes: clusters and subclusters marked as zero, without writing them. */
import type { BlockStatus } from '../../../block/driver.ts';
import { BlockError } from '../../../block/error.ts';
import { Req, Status } from '../../../block/flags.ts';
import { blockStatusAbove } from '../../../block/request/status.ts';
import { pwriteZeroes } from '../../../block/request/write.ts';
import { assert } from '../../../util/assert.ts';
import { Errno } from '../../../util/errno.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { sliceForUpdate } from './cluster-table.ts';
import { discardClusters, withHeldDiscards } from './discard.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { bitRange, Cluster, clusterType, isAllocated, Subcluster } from '../format/l2-entry.ts';
import { lookUp, Mapping } from './mapping.ts';
import { advance, type GuestOffset, ZERO } from '../format/offsets.ts';
import { discardEntry, freeEntry } from '../refcounts/refcounts.ts';

/**
 * A zero write of whole subclusters, or of a part of one. ENOTSUP, which asks for a write of zeroes, if the rest of
 * that one holds something.
 */
export function* writeZeroes(image: Qcow2Image, guest: GuestOffset, bytes: number, flags: number): Steps<void> {
  const { subclusterBytes } = image;
  const end = guest + bytes;
  const head = guest % subclusterBytes;
  const tail = end === image.lengthBytes ? 0 : (subclusterBytes - (end % subclusterBytes)) % subclusterBytes;
  const isPart = head > 0 || tail > 0;
  if (isPart && !((yield* isZero(image, guest - head, head)) && (yield* isZero(image, end, tail)))) {
    throw new BlockError(Errno.ENOTSUP);
  }
  yield* image.lock.holding(
    isPart ? zeroOneSubcluster(image, advance(guest, -head), flags) : zeroSubclusters(image, guest, bytes, flags),
  );
}

/** Zeroes the subcluster around a range whose surroundings were zero before the lock was taken. */
function* zeroOneSubcluster(image: Qcow2Image, start: GuestOffset, flags: number): Steps<void> {
  // Another request may have written there since.
  const mapping = new Mapping();
  yield lookUp(image, start, image.subclusterBytes, mapping);
  if (mapping.type === Subcluster.NORMAL || mapping.type === Subcluster.COMPRESSED) {
    throw new BlockError(Errno.ENOTSUP);
  }
  yield* zeroSubclusters(image, start, image.subclusterBytes, flags);
}

/** Whether a range reads as zeroes, as far as the image and its backing files can tell. */
function* isZero(image: Qcow2Image, offset: number, bytes: number): Steps<boolean> {
  const end = Math.min(offset + bytes, image.lengthBytes);
  // Zeroes of different kinds come one after the other.
  for (let position = offset; position < end; ) {
    let status: BlockStatus;
    try {
      status = yield blockStatusAbove(
        image.node,
        { base: null, includeBase: false, wantZero: true },
        position,
        end - position,
      );
    } catch (error) {
      if (error instanceof BlockError) return false;
      throw error;
    }
    if ((status.flags & Status.ZERO) === 0 || status.bytes === 0) return false;
    position += status.bytes;
  }
  return true;
}

/**
 * Makes whole subclusters read as zeroes; the range may end in one only at the image's end. With MAY_UNMAP their
 * clusters are given back. The lock is held.
 */
export function* zeroSubclusters(image: Qcow2Image, guest: GuestOffset, bytes: number, flags: number): Steps<void> {
  assert(image.lock.isLocked, 'the lock is held');
  assert(guest % image.subclusterBytes === 0, 'subclusters are zeroed as a whole');
  // A raw data file has to show the same content.
  if (image.hasRawDataFile) yield zeroRawData(image, guest, bytes, flags);
  if (image.version < 3) {
    if (image.node.backing !== null) throw new BlockError(Errno.ENOTSUP);
    yield* discardClusters(image, guest, bytes, { reason: DiscardReason.REQUEST, full: false });
    return;
  }
  const end = guest + bytes;
  const firstCluster = Math.min(end, image.alignUpToCluster(guest)) as GuestOffset;
  const isAtEnd = end >= image.lengthBytes;
  const lastCluster = (isAtEnd ? end : Math.max(firstCluster, image.startOfCluster(end))) as GuestOffset;
  yield* withHeldDiscards(image, zeroParts(image, { guest, end, firstCluster, lastCluster, flags }));
}

/** Zeroes a range of a raw data file, which is where the guest has it. */
function zeroRawData(image: Qcow2Image, guest: GuestOffset, bytes: number, flags: number): Pending {
  const zeroing = (): Pending => pwriteZeroes(image.dataFile, guest, bytes, flags);
  return image.hazards === null ? zeroing() : image.hazards.data.during('write', guest, bytes, guest, zeroing);
}

/** A range to be zeroed: whole clusters, between parts of the clusters before and behind them. */
interface ZeroRange {
  readonly guest: GuestOffset;
  readonly firstCluster: GuestOffset;
  readonly lastCluster: GuestOffset;
  readonly end: number;
  readonly flags: number;
}

function* zeroParts(image: Qcow2Image, { guest, firstCluster, lastCluster, end, flags }: ZeroRange): Steps<void> {
  if (firstCluster > guest) yield* zeroPart(image, guest, firstCluster - guest);
  let position = firstCluster;
  for (let rest = image.clustersFor(lastCluster - firstCluster); rest > 0; ) {
    const count = Math.min(rest, image.sliceEntries - image.sliceIndexOf(position));
    yield* zeroInSlice(image, position, count, flags);
    yield image.loop.breathe();
    rest -= count;
    position = advance(position, count * image.clusterBytes);
  }
  if (end > lastCluster) yield* zeroPart(image, lastCluster, end - lastCluster);
}

function* zeroInSlice(image: Qcow2Image, guest: GuestOffset, clusterCount: number, flags: number): Steps<void> {
  const { l2Cache, l2EntryBytes, hasSubclusters } = image;
  const slot: number = yield sliceForUpdate(image, guest);
  try {
    const table = l2Cache.table(slot);
    const index = image.sliceIndexOf(guest);
    for (let step = 0; step < clusterCount; step++) {
      const at = (index + step) * l2EntryBytes;
      const high = readBe32(table, at);
      const low = readBe32(table, at + 4);
      const type = clusterType(image, high, low);
      const unmaps = type === Cluster.COMPRESSED || ((flags & Req.MAY_UNMAP) !== 0 && isAllocated(type));
      const keeps = image.keepsDiscarded && type !== Cluster.COMPRESSED;
      const newHigh = unmaps && !keeps ? 0 : high;
      let newLow = unmaps && !keeps ? 0 : low;
      if (hasSubclusters) {
        const isZeroed = readBe32(table, at + 8) === 0xffff_ffff && readBe32(table, at + 12) === 0;
        if (newHigh === high && newLow === low && isZeroed) continue;
        table.writeUInt32BE(0xffff_ffff, at + 8);
        table.writeUInt32BE(0, at + 12);
      } else {
        newLow = (newLow | ZERO) >>> 0;
        if (newHigh === high && newLow === low) continue;
      }
      l2Cache.markDirty(slot);
      table.writeUInt32BE(newHigh, at);
      table.writeUInt32BE(newLow, at + 4);
      if (!unmaps) continue;
      yield* keeps
        ? discardEntry(image, high, low, DiscardReason.REQUEST)
        : freeEntry(image, high, low, DiscardReason.REQUEST);
    }
  } finally {
    l2Cache.put(slot);
  }
}

/** Marks some subclusters of one cluster. ENOTSUP for a compressed cluster, which is all or nothing. */
function* zeroPart(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<void> {
  const { l2Cache } = image;
  const slot: number = yield sliceForUpdate(image, guest);
  try {
    const table = l2Cache.table(slot);
    const at = image.sliceIndexOf(guest) * image.l2EntryBytes;
    if (clusterType(image, readBe32(table, at), readBe32(table, at + 4)) === Cluster.COMPRESSED) {
      throw new BlockError(Errno.ENOTSUP);
    }
    const first = image.subclusterIndexOf(guest);
    const bits = bitRange(first, first + Math.ceil(bytes / image.subclusterBytes));
    const zero = readBe32(table, at + 8);
    const allocated = readBe32(table, at + 12);
    const newZero = (zero | bits) >>> 0;
    const newAllocated = (allocated & ~bits) >>> 0;
    if (newZero === zero && newAllocated === allocated) return;
    table.writeUInt32BE(newZero, at + 8);
    table.writeUInt32BE(newAllocated, at + 12);
    l2Cache.markDirty(slot);
  } finally {
    l2Cache.put(slot);
  }
}
