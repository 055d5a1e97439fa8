/** The state of an opened vmdk image: its extents, and the content ids that bind it to its parent. */
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { CoroutineMutex } from '../../block/loop/coroutine-queue.ts';
import { traceWait } from '../../block/request/traced.ts';
import type { Extent } from './extent.ts';

/** A node of this driver. */
export type VmdkNode = BlockNode<VmdkImage>;

/** An opened image. */
export class VmdkImage {
  readonly node: VmdkNode;
  /** Held by every request from its beginning to its end. */
  readonly lock: CoroutineMutex;
  /** In the order of the guest's disk, which they make up without gaps. */
  readonly extents: Extent[] = [];
  /** Of the guest's disk: exact also where the number of bytes is not. */
  totalSectors = 0;
  /** Where the descriptor is in `file`, in bytes. */
  descriptorOffset = 0;
  createType = '';
  /** As they were when the image was opened: a new content id is not read again. */
  cid = 0;
  parentCid = 0;
  /** The first write gives the image a new content id. */
  hasNewCid = false;
  /** The parent is the one that this image was made over. */
  isParentChecked = false;

  constructor(node: VmdkNode) {
    this.node = node;
    this.lock = new CoroutineMutex(node.loop, 'vmdk', (reason) => traceWait(node, reason));
  }

  /** The descriptor, or the only extent with a descriptor in it. */
  get file(): ChildLink {
    return fileOf(this.node);
  }

  /** Adds an extent at the end of the disk. */
  add(extent: Extent, sectors: bigint): void {
    this.extents.push(extent);
    this.totalSectors += Number(sectors);
  }

  /** The extent that has a byte of the guest's disk; undefined behind the last one. */
  extentAt(offset: number): Extent | undefined {
    return this.extents.find(({ endByte }) => offset < endByte);
  }
}
