/** The active L1 table: in memory as it is on disk, written entry by entry. */
import { Event } from '../../../block/events/events.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES } from '../format/header-fields.ts';
import { COPIED, entryOffset, type HostOffset, readEntryOffset } from '../format/offsets.ts';
import { ClusterSet } from './cluster-set.ts';
import type { Qcow2Image } from './image.ts';
import { writeFileSync } from './io.ts';
import { checkOverlap, Overlap } from './overlap.ts';

/** The active table of one image. */
export class L1Table {
  readonly offset: number;
  /** Entries, big-endian. */
  readonly bytes: Buffer;
  readonly entryCount: number;
  /** The image is being closed, and the table does not count any more for overlap checks. */
  isReleased = false;
  readonly #clusterBytes: number;
  #l2Clusters: ClusterSet | null = null;

  constructor(offset: number, bytes: Buffer, clusterBytes: number) {
    this.offset = offset;
    this.bytes = bytes;
    this.entryCount = bytes.length / L1_ENTRY_BYTES;
    this.#clusterBytes = clusterBytes;
  }

  /** The upper 32 bits of an entry, signed. */
  high(index: number): number {
    return readBe32(this.bytes, index * L1_ENTRY_BYTES);
  }

  /** The lower 32 bits of an entry, signed. */
  low(index: number): number {
    return readBe32(this.bytes, index * L1_ENTRY_BYTES + 4);
  }

  /** Where the L2 table of this entry is; 0 if there is none. */
  l2Offset(index: number): HostOffset {
    return readEntryOffset(this.bytes, index * L1_ENTRY_BYTES);
  }

  /** Whether the L2 table of this entry is the image's own: a snapshot has no part in it, and it may be written. */
  isCopied(index: number): boolean {
    return (this.high(index) & COPIED) !== 0;
  }

  /** Changes an entry in memory. */
  set(index: number, high: number, low: number): void {
    if (this.#l2Clusters !== null) {
      this.#l2Clusters.remove(this.l2Offset(index));
      this.#l2Clusters.add(entryOffset(high, low));
    }
    this.bytes.writeUInt32BE(high >>> 0, index * L1_ENTRY_BYTES);
    this.bytes.writeUInt32BE(low >>> 0, index * L1_ENTRY_BYTES + 4);
  }

  /** Clears the entries from `first` on. */
  clearFrom(first: number): void {
    for (let index = first; index < this.entryCount; index++) this.set(index, 0, 0);
  }

  /** The clusters of all L2 tables, for the overlap checks; made when it is asked for first. */
  get l2Clusters(): ClusterSet {
    if (this.#l2Clusters === null) {
      this.#l2Clusters = new ClusterSet(this.#clusterBytes);
      for (let index = 0; index < this.entryCount; index++) this.#l2Clusters.add(this.l2Offset(index));
    }
    return this.#l2Clusters;
  }
}

/**
 * Writes one entry to disk, or as many around it as the file's alignment is long: a shorter write would become a
 * read-modify-write.
 */
export function* writeL1Entry(image: Qcow2Image, index: number): Steps<void> {
  const { l1 } = image;
  const align = Math.min(image.file.node.limits.requestAlignment, image.clusterBytes);
  const bytes = Math.max(L1_ENTRY_BYTES, align);
  const start = index * L1_ENTRY_BYTES - ((index * L1_ENTRY_BYTES) % bytes);
  const block = image.node.context.allocate(bytes);
  l1.bytes.copy(block, 0, start, start + bytes);

  yield checkOverlap(image, Overlap.ACTIVE_L1, l1.offset + start, bytes);
  yield image.fire(Event.L1_UPDATE);
  yield* writeFileSync(image, l1.offset + start, block);
}
