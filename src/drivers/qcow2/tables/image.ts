/** The state of an opened qcow2 node: its geometry, its tables and caches, and the allocations in flight. */
import { BlockError } from '../../../block/error.ts';
import type { DebugEvent } from '../../../block/events/events.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { CoroutineMutex } from '../../../block/loop/coroutine-queue.ts';
import type { EventLoop } from '../../../block/loop/loop.ts';
import type { BlockNode, ChildLink } from '../../../block/graph/node.ts';
import { traceWait } from '../../../block/request/traced.ts';
import { Errno } from '../../../util/errno.ts';
import type { PersistentBitmaps } from '../bitmaps/bitmaps.ts';
import type { DiscardQueue } from '../refcounts/discard-queue.ts';
import type { L1Table } from './l1.ts';
import type { L2Meta } from '../data/l2-meta.ts';
import { type GuestOffset, type HostOffset, TWO_32 } from '../format/offsets.ts';
import type { RefcountTable } from './refcount-table.ts';
import type { RefcountWidth } from '../format/refcount-width.ts';
import type { Snapshot } from '../snapshot.ts';
import type { TableCache } from './table-cache.ts';

/** A node of this driver. */
export type Qcow2Node = BlockNode<Qcow2Image>;

/** Why clusters are freed; decides whether the discard is passed down. */
export const DiscardReason = { NEVER: 0, ALWAYS: 1, REQUEST: 2, SNAPSHOT: 3, OTHER: 4 } as const;

/** Bits of `incompatible_features` (qcow2 specification, "Header"): who does not know one must not open the image. */
export const Incompatible = { DIRTY: 1n, CORRUPT: 2n, DATA_FILE: 4n, COMPRESSION: 8n, EXTENDED_L2: 16n } as const;
/** Those of them that this driver knows. */
export const INCOMPATIBLE_KNOWN = 31n;
/** Bits of `compatible_features`, which may be ignored. */
export const Compatible = { LAZY_REFCOUNTS: 1n } as const;
/** Bits of `autoclear_features`: who does not know one takes it away when it writes. */
export const Autoclear = { BITMAPS: 1n, DATA_FILE_RAW: 2n } as const;
/** Those of them that this driver keeps true. */
export const AUTOCLEAR_KNOWN = 3n;

/** Values of `compression_type`. */
export const Compression = { ZLIB: 0, ZSTD: 1 } as const;

/** A header extension that is not known here and is kept when the header is written. */
export interface UnknownExtension {
  readonly magic: number;
  readonly data: Buffer;
}

/** An opened image. Sizes in bytes unless the name says otherwise. */
export class Qcow2Image {
  readonly node: Qcow2Node;
  readonly loop: EventLoop;
  /** Guards all metadata, in memory and on disk. */
  readonly lock: CoroutineMutex;

  version = 3;
  clusterBits = 16;
  clusterBytes = 65536;
  clusterMask = 65535;
  hasSubclusters = false;
  subclustersPerCluster = 1;
  subclusterBytes = 65536;
  l2EntryBytes = 8;
  /** Entries of an L2 table. */
  l2Entries = 8192;
  /** Entries of the part of an L2 table that is cached in one piece. */
  sliceEntries = 8192;
  cryptMethod = 0;
  compressionType = 0;

  incompatible = 0n;
  compatible = 0n;
  autoclear = 0n;
  unknownHeaderFields: Buffer = Buffer.alloc(0);
  /** Newest first: the order in which they are written back. */
  unknownExtensions: UnknownExtension[] = [];
  /** As they are in the image, whatever the options made of them. */
  backingFile: Buffer | null = null;
  backingFormat: Buffer | null = null;
  dataFileName: Buffer | null = null;

  l1!: L1Table;
  /** The L1 index at which the VM state begins. */
  l1VmStateIndex = 0;
  /** Undefined until the options are known. */
  l2Cache!: TableCache;
  refcountCache!: TableCache;

  refcountOrder = 4;
  refcountWidth!: RefcountWidth;
  refcountTable!: RefcountTable;
  refcountBlockEntries = 32768;
  /** Where the search for free clusters begins; nothing before it is free. */
  freeClusterIndex = 0;
  /** Where the next compressed cluster goes if there is room; 0 if a new cluster has to be taken. */
  freeByteOffset = 0;

  /** Allocating writes in flight, newest first. */
  allocations: L2Meta[] = [];
  discards!: DiscardQueue;

  snapshotsOffset = 0;
  snapshotsBytes = 0;
  snapshots: Snapshot[] = [];

  bitmapCount = 0;
  bitmapDirectoryOffset = 0;
  bitmapDirectoryBytes = 0;
  bitmaps: PersistentBitmaps | null = null;

  useLazyRefcounts = false;
  /** Bits of `Overlap`. */
  overlapChecks = 0;
  /** By `DiscardReason`. */
  discardPassthrough: readonly boolean[] = [];
  signaledCorruption = false;
  /** Corrupted while open: nothing is to be read or written any more. */
  isUnusable = false;

  /** The child with the guest's data, if it is not `file`. */
  externalDataFile: ChildLink | null = null;
  hasDataFile = false;
  /** Whether metadata was preallocated, so that data may be holes below; null until looked at. */
  isPreallocated: boolean | null = null;

  constructor(node: Qcow2Node) {
    this.node = node;
    this.loop = node.loop;
    this.lock = new CoroutineMutex(node.loop, 'qcow2', (reason) => traceWait(node, reason));
  }

  /** Where the metadata is. */
  get file(): ChildLink {
    const { file } = this.node;
    if (file === null) throw new Error('a qcow2 node without a file');
    return file;
  }

  /** Where the guest's data is. */
  get dataFile(): ChildLink {
    return this.externalDataFile ?? this.file;
  }

  /** Of the guest's disk. */
  get lengthBytes(): number {
    return this.node.totalSectors * SECTOR_BYTES;
  }

  /** The external data file can be read as a raw image (autoclear feature bit 1 of the specification). */
  get hasRawDataFile(): boolean {
    return (this.autoclear & Autoclear.DATA_FILE_RAW) !== 0n;
  }

  /** Refcounts on disk may lag behind as long as the image is marked dirty. */
  get needsAccurateRefcounts(): boolean {
    return (this.incompatible & Incompatible.DIRTY) === 0n;
  }

  /** Opened for writing. */
  get isWritable(): boolean {
    return !this.node.isReadOnly;
  }

  /** Where the VM state begins: behind what the L1 table needs for the guest's disk. */
  get vmStateOffset(): GuestOffset {
    return (this.l1VmStateIndex * this.l2Entries * this.clusterBytes) as GuestOffset;
  }

  /** Announces the next step. A promise only if the request has to wait. */
  fire(event: DebugEvent): Promise<void> | undefined {
    return this.node.file?.node.debugEvent(event);
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

  /** The index of a guest offset's entry within its slice. */
  sliceIndexOf(offset: GuestOffset): number {
    return this.clusterIndexOf(offset) & (this.sliceEntries - 1);
  }

  /** Where the slice with a guest offset's entry begins, in bytes from the start of its L2 table. */
  sliceStartOf(offset: GuestOffset): number {
    const index = this.clusterIndexOf(offset) & (this.l2Entries - 1);
    return (index - (index & (this.sliceEntries - 1))) * this.l2EntryBytes;
  }

  /** The host offset and the length in bytes that the entry of a compressed cluster says. */
  compressedRange(high: number, low: number): { offset: HostOffset; bytes: number } {
    const shift = 38 - this.clusterBits;
    const sectors = ((high >>> shift) & ((1 << (this.clusterBits - 8)) - 1)) + 1;
    const offset = ((high & ((1 << shift) - 1)) * TWO_32 + (low >>> 0)) as HostOffset;
    return { offset, bytes: sectors * SECTOR_BYTES - (low & (SECTOR_BYTES - 1)) };
  }

  /** Throws ENOMEDIUM if the image was found corrupt while it was open. */
  checkUsable(): void {
    if (this.isUnusable) throw new BlockError(Errno.ENOMEDIUM);
  }
}
