/** The state of an opened qcow image: its geometry, its tables in memory, and the cluster that was unpacked last. */
import type { DebugEvent } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { type BlockNode, type ChildLink, fileOf } from '../../block/graph/node.ts';
import { CoroutineMutex } from '../../block/loop/coroutine-queue.ts';
import { traceWait } from '../../block/request/traced.ts';
import type { SectorCipher } from '../../crypto/sector-cipher.ts';
import type { Pending } from '../../util/steps.ts';
import { TableSlots } from '../../util/table-slots.ts';
import { ENTRY_BYTES, L1Table } from './l1-table.ts';
import { type Header, l1EntryCount } from './qcow-header.ts';

/** A node of this driver. */
export type QcowNode = BlockNode<QcowImage>;

/** An opened image. Offsets and lengths are in bytes. */
export class QcowImage {
  readonly node: QcowNode;
  readonly clusterBits: number;
  readonly clusterBytes: number;
  /** The guest's bytes that one L2 table maps. */
  readonly l2Reach: number;
  readonly l2Entries: number;
  /** Guards all that follows. */
  readonly lock: CoroutineMutex;
  readonly l1: L1Table;
  readonly l2: TableSlots;
  /** Null if the guest's data is stored as it is. */
  readonly cipher: SectorCipher | null;
  /** The compressed cluster that was unpacked last, by its offset in the file; -1 for none. */
  unpackedOffset = -1;
  unpacked: Buffer = Buffer.alloc(0);

  constructor(node: QcowNode, header: Header, cipher: SectorCipher | null) {
    this.node = node;
    this.clusterBits = header.clusterBits;
    this.clusterBytes = 2 ** header.clusterBits;
    this.l2Entries = 2 ** header.l2Bits;
    this.l2Reach = this.l2Entries * this.clusterBytes;
    this.lock = new CoroutineMutex(node.loop, 'qcow', (reason) => traceWait(node, reason));
    this.l1 = new L1Table(header.l1Offset, l1EntryCount(header));
    this.l2 = new TableSlots(this.l2Entries * ENTRY_BYTES);
    this.cipher = cipher;
  }

  get file(): ChildLink {
    return fileOf(this.node);
  }

  /** Of the guest's disk. */
  get lengthBytes(): number {
    return this.node.totalSectors * SECTOR_BYTES;
  }

  /** Fires the event of the next step on the image file. Pending only if a breakpoint suspends the request. */
  fire(event: DebugEvent): Pending {
    return this.file.node.debugEvent(event);
  }
}
