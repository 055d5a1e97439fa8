/** The meaning of an L2 entry for its cluster and, in images with extended entries, for each of the 32 subclusters. */
import { COMPRESSED, COPIED, ZERO } from './offsets.ts';
import type { Geometry } from './geometry.ts';

/** The type of a guest cluster; `ZERO_ALLOC` has a host cluster whose content does not count. */
export const Cluster = { UNALLOCATED: 0, ZERO_PLAIN: 1, ZERO_ALLOC: 2, NORMAL: 3, COMPRESSED: 4 } as const;

/** `_PLAIN` has no host cluster, `_ALLOC` has one whose content does not count. */
export const Subcluster = {
  UNALLOCATED_PLAIN: 0,
  UNALLOCATED_ALLOC: 1,
  ZERO_PLAIN: 2,
  ZERO_ALLOC: 3,
  NORMAL: 4,
  COMPRESSED: 5,
  INVALID: 6,
} as const;

const ALL = 0xffff_ffff;

/** The type of a whole cluster, from the halves of its entry. */
export function clusterType(geometry: Geometry, high: number, low: number): number {
  if ((high & COMPRESSED) !== 0) return Cluster.COMPRESSED;
  const hasOffset = (high & 0x00ff_ffff) !== 0 || (low & 0xffff_fe00) !== 0;
  if ((low & ZERO) !== 0 && !geometry.hasSubclusters) return hasOffset ? Cluster.ZERO_ALLOC : Cluster.ZERO_PLAIN;
  if (hasOffset) return Cluster.NORMAL;
  // Offset 0 is a cluster too in an external data file, where every cluster that is in use has the flag.
  return geometry.hasDataFile && (high & COPIED) !== 0 ? Cluster.NORMAL : Cluster.UNALLOCATED;
}

/** Whether a cluster of this type (`Cluster`) has space in the file. */
export function isAllocated(type: number): boolean {
  return type >= Cluster.ZERO_ALLOC;
}

/** Whether a subcluster of this type (`Subcluster`) has space in the file. */
export function hasHost(type: number): boolean {
  return type === Subcluster.NORMAL || type === Subcluster.ZERO_ALLOC || type === Subcluster.UNALLOCATED_ALLOC;
}

/** The types of subclusters in images that have none: one a cluster. */
const whole = [
  Subcluster.UNALLOCATED_PLAIN,
  Subcluster.ZERO_PLAIN,
  Subcluster.ZERO_ALLOC,
  Subcluster.NORMAL,
  Subcluster.COMPRESSED,
] as const;

/**
 * The type of one subcluster. `allocated` and `zero` are the halves of the entry's bitmap; without subclusters they are
 * ignored and `index` is 0. INVALID if any part of the entry is, not only this subcluster's.
 */
export function subclusterType(
  geometry: Geometry,
  high: number,
  low: number,
  allocated: number,
  zero: number,
  index: number,
): number {
  const type = clusterType(geometry, high, low);
  if (!geometry.hasSubclusters) return whole[type] as number;
  const bit = 1 << index;
  switch (type) {
    case Cluster.COMPRESSED:
      return Subcluster.COMPRESSED;
    case Cluster.NORMAL:
      if ((allocated & zero) !== 0) return Subcluster.INVALID;
      if ((zero & bit) !== 0) return Subcluster.ZERO_ALLOC;
      return (allocated & bit) !== 0 ? Subcluster.NORMAL : Subcluster.UNALLOCATED_ALLOC;
    default:
      if (allocated !== 0) return Subcluster.INVALID;
      return (zero & bit) !== 0 ? Subcluster.ZERO_PLAIN : Subcluster.UNALLOCATED_PLAIN;
  }
}

/** How many subclusters from `index` on, within the cluster, have this type, which `index` has and is not INVALID. */
export function subclusterRun(
  geometry: Geometry,
  type: number,
  allocated: number,
  zero: number,
  index: number,
): number {
  if (!geometry.hasSubclusters || type === Subcluster.COMPRESSED) return geometry.subclustersPerCluster - index;
  switch (type) {
    case Subcluster.NORMAL:
      return trailingOnes(allocated | bitRange(0, index)) - index;
    case Subcluster.ZERO_PLAIN:
    case Subcluster.ZERO_ALLOC:
      return trailingOnes(zero | bitRange(0, index)) - index;
    default:
      return trailingZeroes((allocated | zero) & ~bitRange(0, index)) - index;
  }
}

/** The bits `from` to `to` - 1 of a 32-bit word. */
export function bitRange(from: number, to: number): number {
  if (to <= from) return 0;
  const width = to - from;
  return (width === 32 ? ALL : ((1 << width) - 1) << from) >>> 0;
}

/**
 * The bits of the subclusters that a range touches in one of its clusters, which is `step` behind the first; `from` and
 * `to` are in bytes from the start of the first.
 */
export function touchedBits(geometry: Geometry, step: number, from: number, to: number): number {
  const start = Math.max(from, step * geometry.clusterBytes);
  const end = Math.min(to, (step + 1) * geometry.clusterBytes);
  return bitRange(geometry.subclusterIndexOf(start), geometry.subclusterIndexOf(end - 1) + 1);
}

/** 32 for 0. */
export function trailingZeroes(word: number): number {
  return word === 0 ? 32 : 31 - Math.clz32(word & -word);
}

function trailingOnes(word: number): number {
  return trailingZeroes(~word);
}

/** Whether a write to the cluster needs a new one: it has none, or shares it with a snapshot. */
export function needsNewCluster(geometry: Geometry, high: number, low: number): boolean {
  const type = clusterType(geometry, high, low);
  if (type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC) return (high & COPIED) === 0;
  return true;
}
