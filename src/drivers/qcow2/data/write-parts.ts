/**
 * The parts of a write whose L2 entries change: which subclusters are written, and what has to be copied around them.
 */
import type { Pending } from '../../../util/steps.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Allocation } from './allocate.ts';
import { corrupt } from '../tables/corruption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { Subcluster, subclusterRun, subclusterType, trailingZeroes } from '../format/l2-entry.ts';
import { L2Meta } from './l2-meta.ts';
import { place } from './mapping.ts';
import type { GuestOffset, HostOffset } from '../format/offsets.ts';

/** The state of one subcluster in a slice. */
function typeAt(image: Qcow2Image, table: Buffer, index: number, subcluster: number): number {
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (!image.hasSubclusters) return subclusterType(image, high, low, 0, 0, 0);
  return subclusterType(image, high, low, readBe32(table, at + 12), readBe32(table, at + 8), subcluster);
}

/** Notes a part whose L2 entries will change, unless all of it is overwritten in place. */
export function addPart(
  image: Qcow2Image,
  table: Buffer,
  cluster: HostOffset,
  position: GuestOffset,
  bytes: number,
  keepsOldClusters: boolean,
  result: Allocation,
): Pending {
  const index = image.sliceIndexOf(position);
  const into = image.intoCluster(position);
  const end = into + bytes;
  const clusterCount = image.clustersFor(end);
  const invalid = checkPart(image, table, index, clusterCount, into, end, keepsOldClusters);
  if (invalid === NOTHING_TO_DO) return undefined;
  if (invalid >= 0) {
    const l2Offset = image.l1.l2Offset(image.l1IndexOf(position));
    return corrupt(image, `Invalid cluster entry found ${place(l2Offset, invalid)}`);
  }
  const copiesFrom = headStart(image, table, index, position, keepsOldClusters);
  const copiesTo = tailEnd(image, table, index + clusterCount - 1, end, keepsOldClusters);
  const part = new L2Meta(image, {
    guest: image.startOfCluster(position),
    host: cluster,
    clusterCount,
    keepsOldClusters,
    head: { offset: copiesFrom, bytes: into - copiesFrom },
    tail: { offset: end, bytes: copiesTo - end },
    next: result.parts,
  });
  result.parts = part;
  image.allocations.unshift(part);
  return undefined;
}

/** Every subcluster that is written holds data already. */
export const NOTHING_TO_DO = -2;
const ALL_VALID = -1;

/** The index of an invalid entry, ALL_VALID, or NOTHING_TO_DO if every subcluster written holds data already. */
export function checkPart(
  image: Qcow2Image,
  table: Buffer,
  index: number,
  clusterCount: number,
  from: number,
  to: number,
  keepsOldClusters: boolean,
): number {
  const { clusterBytes, l2EntryBytes, hasSubclusters } = image;
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
