/** The pending L2 updates of a write: which subclusters are written, and what has to be copied around them. */
import { readBe32 } from '../../../util/big-endian.ts';
import { Subcluster, subclusterRun, subclusterType, trailingZeroes } from '../format/l2-entry.ts';
import type { GuestOffset, HostOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { type Allocation, PendingL2Update } from '../tables/pending-update.ts';
import { placeOf } from './mapping.ts';

/** The state of one subcluster in a slice. */
function typeAt(image: Qcow2Image, table: Buffer, index: number, subcluster: number): number {
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (!image.hasSubclusters) return subclusterType(image, high, low, 0, 0, 0);
  return subclusterType(image, high, low, readBe32(table, at + 12), readBe32(table, at + 8), subcluster);
}

/** A piece of a write, within one slice, and the host cluster where it begins. */
export interface WritePiece {
  readonly cluster: HostOffset;
  readonly position: GuestOffset;
  readonly bytes: number;
  /** The clusters are the guest's already: only the state of subclusters may change. */
  readonly keepsOldClusters: boolean;
}

/**
 * Adds the pending update of a piece to `result`, unless all of the piece overwrites data in place. Sets
 * `result.problem` instead if an L2 entry is invalid.
 */
export function addPart(image: Qcow2Image, table: Buffer, piece: WritePiece, result: Allocation): void {
  const { position, keepsOldClusters } = piece;
  const index = image.sliceIndexOf(position);
  const into = image.intoCluster(position);
  const end = into + piece.bytes;
  const clusterCount = image.clustersFor(end);
  const invalid = checkPart(image, table, index, into, end, keepsOldClusters);
  if (invalid === NOTHING_TO_DO) return;
  if (invalid >= 0) {
    result.problem = `Invalid cluster entry found ${placeOf(image, position, invalid)}`;
    return;
  }
  const copiesFrom = headStart(image, table, index, position, keepsOldClusters);
  const copiesTo = tailEnd(image, table, index + clusterCount - 1, end, keepsOldClusters);
  const part = new PendingL2Update(image, {
    guest: image.startOfCluster(position),
    host: piece.cluster,
    clusterCount,
    keepsOldClusters,
    head: { offset: copiesFrom, bytes: into - copiesFrom },
    tail: { offset: end, bytes: copiesTo - end },
    next: result.parts,
  });
  result.parts = part;
  image.pendingUpdates.add(part);
}

/** Every subcluster that is written holds data already. */
const NOTHING_TO_DO = -2;
const ALL_VALID = -1;

/** The index of an invalid entry, ALL_VALID, or NOTHING_TO_DO if every subcluster written holds data already. */
function checkPart(
  image: Qcow2Image,
  table: Buffer,
  index: number,
  from: number,
  to: number,
  keepsOldClusters: boolean,
): number {
  const { clusterBytes, l2EntryBytes, hasSubclusters } = image;
  const clusterCount = image.clustersFor(to);
  let overwritesOnly = keepsOldClusters;
  for (let step = 0; step < clusterCount; step++) {
    let first = 0;
    if (overwritesOnly) first = image.subclusterIndexOf(Math.max(from, step * clusterBytes));
    const type = typeAt(image, table, index + step, first);
    if (type === Subcluster.INVALID) return index + step;
    if (!overwritesOnly) continue;
    if (type !== Subcluster.NORMAL) {
      overwritesOnly = false;
    } else if (hasSubclusters) {
      const last = image.subclusterIndexOf(Math.min(to, (step + 1) * clusterBytes) - 1);
      const at = (index + step) * l2EntryBytes;
      const run = subclusterRun(image, type, readBe32(table, at + 12), readBe32(table, at + 8), first);
      if (first + run <= last) overwritesOnly = false;
    }
  }
  return overwritesOnly ? NOTHING_TO_DO : ALL_VALID;
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
