/** The state of an opened qcow2 node: features, tables and caches, and the pending L2 updates of writes in flight. */
import { BlockError } from '../../../block/error.ts';
import type { DebugEvent } from '../../../block/events/events.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import type { ImageHazards } from '../../../block/hazards/image-hazards.ts';
import { CoroutineMutex } from '../../../block/loop/coroutine-queue.ts';
import type { EventLoop } from '../../../block/loop/loop.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../../block/graph/node.ts';
import { traceWait } from '../../../block/request/traced.ts';
import { Errno } from '../../../util/errno.ts';
import type { Pending } from '../../../util/steps.ts';
import { Autoclear, Incompatible } from '../format/features.ts';
import { Geometry } from '../format/geometry.ts';
import type { Header } from '../format/header.ts';
import type { Bitmap } from './bitmap-bits.ts';
import type { DiscardQueue } from './discard-queue.ts';
import type { Encryption, LuksPlace } from './encryption.ts';
import type { L1Table } from './l1.ts';
import { PendingUpdates, type WriteOrdering } from './pending-update.ts';
import type { GuestOffset } from '../format/offsets.ts';
import type { RefcountTable } from './refcount-table.ts';
import type { RefcountWidth } from '../format/refcount-width.ts';
import type { Snapshot } from '../format/snapshot-entry.ts';
import type { TableCache } from './table-cache.ts';
import type { Workers } from './worker.ts';

/** A node of this driver. */
export type Qcow2Node = BlockNode<Qcow2Image>;

/** Why clusters are freed; decides whether the discard is passed down. */
export const DiscardReason = { NEVER: 0, ALWAYS: 1, REQUEST: 2, SNAPSHOT: 3, OTHER: 4 } as const;

/** A header extension that is not known here and is kept when the header is written. */
export interface UnknownExtension {
  readonly magic: number;
  readonly data: Buffer;
}

/**
 * An opened image: its geometry, with everything about it that changes. Sizes in bytes unless the name says otherwise.
 */
export class Qcow2Image extends Geometry {
  readonly node: Qcow2Node;
  readonly loop: EventLoop;
  /** Guards all metadata, in memory and on disk. */
  readonly lock: CoroutineMutex;

  /** One of `CryptMethod`. */
  cryptMethod: number;
  /** Null if the guest's data is stored as it is. */
  encryption: Encryption | null = null;
  /** Null without a LUKS header. It is known without a key, too. */
  luksHeader: LuksPlace | null = null;
  /** The id of the secret with the passphrase, as the options have it. */
  keySecret: string | null = null;
  /** The threads that data is encrypted and compressed in; undefined before the first such work. */
  workers: Workers | undefined = undefined;
  readonly compressionType: number;

  incompatible: bigint;
  readonly compatible: bigint;
  autoclear: bigint;
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

  /** Undefined until the order is known to be valid. */
  refcountWidth!: RefcountWidth;
  refcountTable!: RefcountTable;
  /** Where the search for free clusters begins; nothing before it is free. */
  freeClusterIndex = 0;
  /** Where the next compressed cluster goes if there is room; 0 if a new cluster has to be taken. */
  freeByteOffset = 0;

  readonly pendingUpdates = new PendingUpdates(this);
  ordering!: WriteOrdering;
  discards!: DiscardQueue;

  snapshotsOffset = 0;
  snapshotsBytes = 0;
  snapshots: Snapshot[] = [];

  bitmapCount = 0;
  bitmapDirectoryOffset = 0;
  bitmapDirectoryBytes = 0;
  /** The persistent bitmaps that were loaded, in the order of their directory. */
  bitmaps: readonly Bitmap[] = [];

  useLazyRefcounts = false;
  /** Clusters that are discarded stay where they are, marked as zero (`discard-no-unref`). */
  keepsDiscarded = false;
  /** Bits of `Overlap`. */
  overlapChecks = 0;
  /** By `DiscardReason`. */
  discardPassthrough: readonly boolean[] = [];
  signaledCorruption = false;
  /** Corrupted while open: nothing is to be read or written any more. */
  isUnusable = false;

  /** The detector of hazards, beside a node with rules below the image; null without one. */
  hazards: ImageHazards | null = null;

  /** The child with the guest's data, if it is not `file`. */
  externalDataFile: ChildLink | null = null;
  /** Whether metadata was preallocated, so that data may be holes below; null until looked at. */
  isPreallocated: boolean | null = null;

  constructor(node: Qcow2Node, header: Header) {
    super(header);
    this.cryptMethod = header.cryptMethod;
    this.compressionType = header.compressionType;
    this.incompatible = header.incompatible;
    this.compatible = header.compatible;
    this.autoclear = header.autoclear;
    this.node = node;
    this.loop = node.loop;
    this.lock = new CoroutineMutex(node.loop, 'qcow2', (reason) => traceWait(node, reason));
  }

  /** Where the metadata is. */
  get file(): ChildLink {
    return fileOf(this.node);
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

  /** Fires the event of the next step on the image file. Pending only if a breakpoint suspends the request. */
  fire(event: DebugEvent): Pending {
    return this.node.file?.node.debugEvent(event);
  }

  /** Throws ENOMEDIUM if the image was found corrupt while it was open. */
  checkUsable(): void {
    if (this.isUnusable) throw new BlockError(Errno.ENOMEDIUM);
  }
}
