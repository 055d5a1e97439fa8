/** The sizes that an image's header fixes, and the arithmetic of offsets, clusters and table indices that follows. */
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { Incompatible } from './features.ts';
import type { Header } from './header.ts';
import { type GuestOffset, type HostOffset, TWO_32 } from './offsets.ts';

/** Sizes are in bytes unless the name says otherwise. */
export class Geometry {
  /** 2 or 3. */
  readonly version: number;
  readonly clusterBits: number;
  readonly clusterBytes: number;
  readonly clusterMask: number;
  /** Extended L2 entries: each cluster has 32 subclusters with a state of their own. */
  readonly hasSubclusters: boolean;
  readonly subclustersPerCluster: number;
  readonly subclusterBytes: number;
  readonly l2EntryBytes: number;
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  /** The guest's data is in an external file, where host offset 0 is a cluster as well. */
  readonly hasDataFile: boolean;
  /** Refcounts are 2^order bits wide. */
  readonly refcountOrder: number;
  readonly refcountBlockEntries: number;
  /**
   * Entries of the part of an L2 table that is cached in one piece. A run-time option, so the one size here that
   * reopening may change.
   */
  sliceEntries: number;

  constructor(header: Pick<Header, 'version' | 'clusterBits' | 'incompatible' | 'refcountOrder'>) {
    this.version = header.version;
    this.clusterBits = header.clusterBits;
    this.clusterBytes = 1 << header.clusterBits;
    this.clusterMask = this.clusterBytes - 1;
    this.hasSubclusters = (header.incompatible & Incompatible.EXTENDED_L2) !== 0n;
    this.subclustersPerCluster = this.hasSubclusters ? 32 : 1;
    this.subclusterBytes = this.clusterBytes / this.subclustersPerCluster;
    this.l2EntryBytes = this.hasSubclusters ? 16 : 8;
    this.l2Entries = this.clusterBytes / this.l2EntryBytes;
    this.hasDataFile = (header.incompatible & Incompatible.DATA_FILE) !== 0n;
    this.refcountOrder = header.refcountOrder;
    this.refcountBlockEntries = (this.clusterBytes * 8) / 2 ** header.refcountOrder;
    this.sliceEntries = this.l2Entries;
  }

  /** Bytes from the start of its cluster. */
  intoCluster(offset: number): number {
    return offset & this.clusterMask;
  }

  /** The offset of the cluster that it is in. */
  startOfCluster<T extends number>(offset: T): T {
    return (offset - (offset & this.clusterMask)) as T;
  }

  /** `bytes` in clusters, rounded up. */
  clustersFor(bytes: number): number {
    return Math.ceil(bytes / this.clusterBytes);
  }

  /** The offset of the first cluster that begins there or behind. */
  alignUpToCluster(offset: number): number {
    const into = offset & this.clusterMask;
    return into === 0 ? offset : offset - into + this.clusterBytes;
  }

  /** Counted from 0 over the whole file or disk. */
  clusterIndexOf(offset: number): number {
    return (offset - (offset & this.clusterMask)) / this.clusterBytes;
  }

  /** Counted within its cluster; always 0 without extended L2 entries. */
  subclusterIndexOf(offset: number): number {
    return Math.floor((offset & this.clusterMask) / this.subclusterBytes);
  }

  /** The index of the L1 entry that covers a guest offset; may be behind the table's end. */
  l1IndexOf(offset: GuestOffset): number {
    return Math.floor(offset / (this.l2Entries * this.clusterBytes));
  }

  /** How many L1 entries cover a disk of this length in bytes. */
  l1EntriesFor(bytes: number): number {
    return Math.ceil(bytes / (this.l2Entries * this.clusterBytes));
  }

  /** The index of a guest offset's entry within its slice. */
  sliceIndexOf(offset: GuestOffset): number {
    return ((offset - (offset & this.clusterMask)) / this.clusterBytes) & (this.sliceEntries - 1);
  }

  /** Where the slice with a guest offset's entry begins, in bytes from the start of its L2 table. */
  sliceStartOf(offset: GuestOffset): number {
    const index = ((offset - (offset & this.clusterMask)) / this.clusterBytes) & (this.l2Entries - 1);
    return (index - (index & (this.sliceEntries - 1))) * this.l2EntryBytes;
  }

  /** Which entry of its refcount block counts a cluster of the file. */
  blockIndexOf(clusterIndex: number): number {
    return clusterIndex & (this.refcountBlockEntries - 1);
  }

  /** Which entry of the refcount table covers a cluster of the file; it may lie behind the table's end. */
  refcountTableIndexOf(clusterIndex: number): number {
    return Math.floor(clusterIndex / this.refcountBlockEntries);
  }

  /** The host offset and the length in bytes that the entry of a compressed cluster says. */
  compressedRange(high: number, low: number): { offset: HostOffset; bytes: number } {
    const shift = 38 - this.clusterBits;
    const sectors = ((high >>> shift) & ((1 << (this.clusterBits - 8)) - 1)) + 1;
    const offset = ((high & ((1 << shift) - 1)) * TWO_32 + (low >>> 0)) as HostOffset;
    return { offset, bytes: sectors * SECTOR_BYTES - (low & (SECTOR_BYTES - 1)) };
  }
}
