/** L2 entries in words: what an entry says of its cluster and of its subclusters. */
import { readBe32 } from '../../../util/big-endian.ts';
import type { Geometry } from '../format/geometry.ts';
import { Cluster, clusterType, Subcluster, subclusterType } from '../format/l2-entry.ts';
import { COPIED, entryOffset } from '../format/offsets.ts';

/** An entry of an L2 table, read. */
export interface L2Entry {
  /** A value of `Cluster`. */
  readonly type: number;
  readonly isCopied: boolean;
  /** Where its cluster, or its compressed data, is in the file; null if it has none. */
  readonly host: number | null;
  /** Bytes that it takes there. */
  readonly hostBytes: number;
  /** All of it is zero. */
  readonly isEmpty: boolean;
  readonly high: number;
  readonly low: number;
  /** The halves of the bitmap of subclusters; 0 without. */
  readonly allocated: number;
  readonly zero: number;
}

/** Reads the entry of an index of a whole L2 table. */
export function readL2Entry(geometry: Geometry, table: Buffer, index: number): L2Entry {
  const at = index * geometry.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  const zero = geometry.hasSubclusters ? readBe32(table, at + 8) : 0;
  const allocated = geometry.hasSubclusters ? readBe32(table, at + 12) : 0;
  const type = clusterType(geometry, high, low);
  const isEmpty = high === 0 && low === 0 && zero === 0 && allocated === 0;
  const entry = { type, isCopied: (high & COPIED) !== 0, isEmpty, high, low, allocated, zero };
  if (type === Cluster.COMPRESSED) {
    const { offset, bytes } = geometry.compressedRange(high, low);
    return { ...entry, host: offset, hostBytes: bytes };
  }
  if (type !== Cluster.NORMAL && type !== Cluster.ZERO_ALLOC) return { ...entry, host: null, hostBytes: 0 };
  return { ...entry, host: entryOffset(high, low), hostBytes: geometry.clusterBytes };
}

const clusterNames: Readonly<Record<number, string>> = {
  [Cluster.UNALLOCATED]: 'unallocated',
  [Cluster.ZERO_PLAIN]: 'zero',
  [Cluster.ZERO_ALLOC]: 'allocated zero',
  [Cluster.NORMAL]: 'data',
  [Cluster.COMPRESSED]: 'compressed',
};

const subclusterNames: Readonly<Record<number, string>> = {
  [Subcluster.UNALLOCATED_PLAIN]: 'unallocated',
  [Subcluster.UNALLOCATED_ALLOC]: 'unallocated',
  [Subcluster.ZERO_PLAIN]: 'zero',
  [Subcluster.ZERO_ALLOC]: 'allocated zero',
  [Subcluster.NORMAL]: 'data',
  [Subcluster.COMPRESSED]: 'compressed',
  [Subcluster.INVALID]: 'invalid',
};

/** The type of one subcluster of an entry; `index` is 0 without subclusters. */
export function subclusterOf(geometry: Geometry, entry: L2Entry, index: number): number {
  return subclusterType(geometry, entry.high, entry.low, entry.allocated, entry.zero, index);
}

/** The name of a type of `Subcluster`. */
function subclusterName(type: number): string {
  return subclusterNames[type] ?? 'invalid';
}

/** The state of an entry's cluster: "data", or with subclusters "data 0-3, zero 4-31". */
export function stateText(geometry: Geometry, entry: L2Entry): string {
  if (!geometry.hasSubclusters || entry.type === Cluster.COMPRESSED) return clusterNames[entry.type] ?? 'invalid';
  const parts: string[] = [];
  let first = 0;
  const name = (index: number): string => subclusterName(subclusterOf(geometry, entry, index));
  for (let index = 1; index <= geometry.subclustersPerCluster; index++) {
    if (index < geometry.subclustersPerCluster && name(index) === name(first)) continue;
    parts.push(`${name(first)} ${first === index - 1 ? first : `${first}-${index - 1}`}`);
    first = index;
  }
  return parts.length === 1 ? name(0) : parts.join(', ');
}
