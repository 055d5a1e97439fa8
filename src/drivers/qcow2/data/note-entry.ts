/** Tells the detector of hazards of entries that are made in L2 tables and in the active L1 table. */
import type { Counted } from '../../../block/hazards/flush-order.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { entryOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import type { PendingL2Update } from '../tables/pending-update.ts';

/**
 * An L2 entry was made in memory, at `at` of the slice `table`. `counted` are the refcounts of its new clusters,
 * `copied` is as in `PendingL2Update`.
 */
export function noteEntry(
  image: Qcow2Image,
  table: Buffer,
  at: number,
  target: Pick<PendingL2Update, 'guest' | 'host' | 'counted' | 'copied'>,
): void {
  if (image.hazards === null) return;
  const { guest, counted, copied } = target;
  const slice = image.l1.l2Offset(image.l1IndexOf(guest)) + image.sliceStartOf(guest);
  const { order } = image.hazards;
  if (counted.length > 0 && image.needsAccurateRefcounts) {
    for (const one of counted) order.pointsTo(slice, table, at, target, one, copied);
  } else if (copied > 0) {
    // Refcounts on disk lag behind while the image is marked dirty.
    order.pointsTo(slice, table, at, target, null, copied);
  }
}

/** The entries of a part are about to be made: whether its clusters are still its own. */
export function checkOwnership(image: Qcow2Image, part: PendingL2Update, table: Buffer): void {
  const { hazards, clusterBytes, l2EntryBytes } = image;
  // Nothing counts the clusters of an external data file.
  if (hazards === null || part.place === null || image.hasDataFile) return;
  for (let step = 0; step < part.clusterCount; step++) {
    const host = part.host + step * clusterBytes;
    const at = (image.sliceIndexOf(part.guest) + step) * l2EntryBytes;
    const isOwn = part.keepsOldClusters
      ? entryOffset(readBe32(table, at), readBe32(table, at + 4)) === host
      : part.place.freedBy === null;
    if (isOwn) continue;
    hazards.places.tellUncounted(part.place, part.guest + step * clusterBytes, host, clusterBytes);
    return;
  }
}

/** The entry of a new L2 table is about to be written into the L1 table. */
export function checkL2Table(image: Qcow2Image, l1Index: number, offset: number, counted: readonly Counted[]): void {
  if (image.hazards === null) return;
  const slices: number[] = [];
  for (let start = 0; start < image.clusterBytes; start += image.l2Cache.tableBytes) slices.push(offset + start);
  const guest = l1Index * image.l2Entries * image.clusterBytes;
  image.hazards.order.checkNewTable('L1 entry', slices, { guest, host: offset }, 'new L2 table');
  if (image.needsAccurateRefcounts) image.hazards.order.checkCounts('L1 entry', counted, { guest, host: offset });
}
