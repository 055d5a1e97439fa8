/** The pending L2 updates of a write: which subclusters are written, and what has to be copied around them. */
import { readBe32 } from '../../../util/big-endian.ts';
import { Subcluster, subclusterType, touchedBits, trailingZeroes } from '../format/l2-entry.ts';
import { advance, type GuestOffset, ZERO } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { type Allocation, PendingL2Update, type WritePiece } from '../tables/pending-update.ts';
import { placeOf } from './mapping.ts';

/** The state of one subcluster in a slice. */
function typeAt(image: Qcow2Image, table: Buffer, index: number, subcluster: number): number {
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (!image.hasSubclusters) return subclusterType(image, high, low, 0, 0, 0);
  return subclusterType(image, high, low, readBe32(table, at + 12), readBe32(table, at + 8), subcluster);
}

/**
 * Whether a write from byte `from` to `to` of clusters that are in place, the one at `index` of the slice and those
 * behind it, only overwrites data. Not if an entry is invalid.
 */
export function holdsData(image: Qcow2Image, table: Buffer, index: number, from: number, to: number): boolean {
  const { clusterBytes, l2EntryBytes, hasSubclusters } = image;
  for (let step = 0; step * clusterBytes < to; step++) {
    const at = (index + step) * l2EntryBytes;
    if (hasSubclusters) {
      const zero = readBe32(table, at + 8);
      const allocated = readBe32(table, at + 12);
      if ((allocated & zero) !== 0 || (touchedBits(image, step, from, to) & ~allocated) !== 0) return false;
    } else if ((readBe32(table, at + 4) & ZERO) !== 0) {
      return false;
    }
  }
  return true;
}

/**
 * Adds a piece to `result`, with its pending update. Gives the number of its bytes; if an L2 entry is invalid, 0, and
 * sets `result.problem` instead.
 */
export function addPart(image: Qcow2Image, table: Buffer, piece: WritePiece, result: Allocation): number {
  const { cluster, position, bytes, keepsOldClusters } = piece;
  const index = image.sliceIndexOf(position);
  const into = image.intoCluster(position);
  const end = into + bytes;
  const clusterCount = image.clustersFor(end);
  const invalid = findInvalid(image, table, index, clusterCount);
  if (invalid !== -1) {
    result.problem = `Invalid cluster entry found ${placeOf(image, position, invalid)}`;
    return 0;
  }
  const copiesFrom = headStart(image, table, index, position, keepsOldClusters);
  const copiesTo = tailEnd(image, table, index + clusterCount - 1, end, keepsOldClusters);
  result.parts = new PendingL2Update(image, piece, copiesFrom, copiesTo, result.parts);
  image.pendingUpdates.add(result.parts);
  return result.add(advance(cluster, into), bytes);
}

/** The index of the first invalid entry among `count` from `index` on; -1 if there is none. */
function findInvalid(image: Qcow2Image, table: Buffer, index: number, count: number): number {
  // Only the bitmaps of subclusters can contradict each other.
  if (!image.hasSubclusters) return -1;
  for (let step = 0; step < count; step++) {
    if (typeAt(image, table, index + step, 0) === Subcluster.INVALID) return index + step;
  }
  return -1;
}

/** From where on, in bytes from the first cluster's start, old content is copied in front of what is written. */
function headStart(
  image: Qcow2Image,
  table: Buffer,
  index: number,
  position: GuestOffset,
  keepsOldClusters: boolean,
): number {
  const subcluster = image.subclusterIndexOf(position);
  const type = typeAt(image, table, index, subcluster);
  const ownStart = subcluster * image.subclusterBytes;
  if (keepsOldClusters) return type === Subcluster.NORMAL ? image.intoCluster(position) : ownStart;
  if (type === Subcluster.ZERO_PLAIN || type === Subcluster.UNALLOCATED_PLAIN) return ownStart;
  if (type === Subcluster.COMPRESSED || !image.hasSubclusters) return 0;
  // Subclusters without data at the cluster's start keep their state.
  const allocated = readBe32(table, index * image.l2EntryBytes + 12);
  return Math.min(subcluster, trailingZeroes(allocated)) * image.subclusterBytes;
}

/** Up to where, in bytes from the first cluster's start, old content is copied behind what is written. */
function tailEnd(image: Qcow2Image, table: Buffer, lastIndex: number, end: number, keepsOldClusters: boolean): number {
  const subcluster = image.subclusterIndexOf(end - 1);
  const type = typeAt(image, table, lastIndex, subcluster);
  const { subclusterBytes } = image;
  const ownEnd = Math.ceil(end / subclusterBytes) * subclusterBytes;
  if (keepsOldClusters) return type === Subcluster.NORMAL ? end : ownEnd;
  if (type === Subcluster.ZERO_PLAIN || type === Subcluster.UNALLOCATED_PLAIN) return ownEnd;
  const clusterEnd = image.alignUpToCluster(end);
  if (type === Subcluster.COMPRESSED || !image.hasSubclusters) return clusterEnd;
  const allocated = readBe32(table, lastIndex * image.l2EntryBytes + 12);
  const unneeded = Math.min(image.subclustersPerCluster - subcluster - 1, Math.clz32(allocated));
  return clusterEnd - unneeded * subclusterBytes;
}
