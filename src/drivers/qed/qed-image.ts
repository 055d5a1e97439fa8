/** The state of an opened qed image: its geometry, its tables in memory, and which request allocates. */
import type { DebugEvent } from '../../block/events/events.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { CoroutineMutex, CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { EventLoop, WaitReason } from '../../block/loop/loop.ts';
import { traceWait } from '../../block/request/traced.ts';
import { alignDown } from '../../util/align.ts';
import type { Pending } from '../../util/steps.ts';
import { Feature, type Header } from './qed-header.ts';
import { NeedCheck } from './need-check.ts';
import { ENTRY_BYTES, L2Cache } from './l2-tables.ts';
import type { Request } from './guest-io.ts';

/** A node of this driver. */
export type QedNode = BlockNode<QedImage>;

/** Why a request waits that finds another one allocating. */
export const waitsForAllocation: WaitReason = { kind: 'lock', name: 'qed allocation' };

/** An opened image. Offsets and lengths are in bytes. */
export class QedImage {
  readonly node: QedNode;
  readonly loop: EventLoop;
  readonly header: Header;
  readonly clusterBytes: number;
  /** Of each table, L1 or L2. */
  readonly tableBytes: number;
  readonly tableEntries: number;
  /** The guest's bytes that one L2 table maps. */
  readonly l2Reach: number;

  /** Guards all that follows. */
  readonly lock: CoroutineMutex;
  readonly l1: Buffer;
  readonly l2Cache: L2Cache;
  /** The end of the last cluster of the file: new ones are taken from here. */
  fileBytes: number;
  /** The one request that may allocate; the others wait in `allocationQueue` until it has ended. */
  allocating: Request | null = null;
  readonly allocationQueue: CoroutineQueue;
  /** No request may begin to allocate: the header is being written. */
  isPlugged = false;
  readonly needCheck: NeedCheck;

  /** The header has been checked against `fileBytes`, the length of the file. */
  constructor(node: QedNode, header: Header, fileBytes: number) {
    this.node = node;
    this.loop = node.loop;
    this.header = header;
    this.clusterBytes = header.clusterBytes;
    this.tableBytes = header.clusterBytes * header.tableClusters;
    this.tableEntries = this.tableBytes / ENTRY_BYTES;
    this.l2Reach = this.tableEntries * header.clusterBytes;
    this.lock = new CoroutineMutex(node.loop, 'qed', (reason) => traceWait(node, reason));
    this.l1 = node.context.allocate(this.tableBytes);
    this.l2Cache = new L2Cache(this.tableBytes);
    this.fileBytes = alignDown(fileBytes, header.clusterBytes);
    this.allocationQueue = new CoroutineQueue(node.loop);
    this.needCheck = new NeedCheck(this);
  }

  get file(): ChildLink {
    return fileOf(this.node);
  }

  get l1Offset(): number {
    return Number(this.header.l1Offset);
  }

  get needsCheck(): boolean {
    return (this.header.features & Feature.NEED_CHECK) !== 0n;
  }

  set needsCheck(value: boolean) {
    const { header } = this;
    header.features = value ? header.features | Feature.NEED_CHECK : header.features & ~Feature.NEED_CHECK;
  }

  /** Fires the event of the next step on the image file. Pending only if a breakpoint suspends the request. */
  fire(event: DebugEvent): Pending {
    return this.file.node.debugEvent(event);
  }

  /** New clusters at the end of the file, which grows when they are written; the offset of the first. */
  allocateClusters(count: number): number {
    const offset = this.fileBytes;
    this.fileBytes += count * this.clusterBytes;
    return offset;
  }

  /** `offset` within its cluster. */
  intoCluster(offset: number): number {
    return offset % this.clusterBytes;
  }

  /**
   * The clusters that `bytes` from a boundary on take. QEMU 7.2 divides by one less than the length of a cluster, and
   * so counts one too many from a certain length on: more clusters are allocated, and a check reports leaks.
   */
  clustersFor(bytes: number): number {
    return Math.floor(alignDown(bytes + this.clusterBytes - 1, this.clusterBytes) / (this.clusterBytes - 1));
  }

  /** Whether a table's entry can be the offset of a cluster. */
  isClusterOffset(offset: number): boolean {
    const { headerClusters } = this.header;
    return offset % this.clusterBytes === 0 && offset >= headerClusters * this.clusterBytes && offset < this.fileBytes;
  }

  /** Whether an L2 table can be at `offset`. Never in images whose tables have one cluster, as in QEMU 7.2. */
  isTableOffset(offset: number): boolean {
    const { tableClusters } = this.header;
    const last = offset + (tableClusters - 1) * this.clusterBytes;
    return tableClusters > 1 && this.isClusterOffset(offset) && this.isClusterOffset(last);
  }
}
