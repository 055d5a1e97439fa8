/** The active L1 table: in memory as it is on disk, written entry by entry, grown and shrunk. */
import { Errno } from '../../../util/errno.ts';
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { pwriteZeroes } from '../../../block/request/write.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { ClusterSet } from './cluster-set.ts';
import { DiscardReason, type Qcow2Image } from './image.ts';
import { flushFile, writeFileSync } from './io.ts';
import { entryOffset, type HostOffset, writeUint64 } from '../format/offsets.ts';
import { checkOverlap, Overlap } from './overlap.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';

/** Bytes of an entry of an L1 table (qcow2 specification, "L1 table entry"). */
export const L1_ENTRY_BYTES = 8;
/** The longest L1 table that is accepted. */
export const MAX_L1_BYTES = 32 * 1024 * 1024;

const INT_MAX = 0x7fff_ffff;
/** Where `l1_size` and, behind it, `l1_table_offset` are in the header. */
const HEADER_L1_SIZE = 36;

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
    return entryOffset(this.high(index), this.low(index));
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
export async function writeL1Entry(image: Qcow2Image, index: number): Promise<void> {
  const { l1 } = image;
  const align = Math.min(image.file.node.limits.requestAlignment, image.clusterBytes);
  const bytes = Math.max(L1_ENTRY_BYTES, align);
  const start = index * L1_ENTRY_BYTES - ((index * L1_ENTRY_BYTES) % bytes);
  const block = image.node.context.allocate(bytes);
  l1.bytes.copy(block, 0, start, start + bytes);

  await checkOverlap(image, Overlap.ACTIVE_L1, l1.offset + start, bytes);
  await image.fire(Event.L1_UPDATE);
  await writeFileSync(image, l1.offset + start, block);
}

/** Makes the table at least `minEntries` long, with room for more unless `exact`. EFBIG beyond the limit. */
export async function growL1(image: Qcow2Image, minEntries: number, exact: boolean): Promise<void> {
  const old = image.l1;
  if (minEntries <= old.entryCount) return;
  if (minEntries > INT_MAX / L1_ENTRY_BYTES) throw new BlockError(Errno.EFBIG);
  let entryCount = exact ? minEntries : Math.max(1, old.entryCount);
  while (entryCount < minEntries) entryCount = Math.ceil((entryCount * 3) / 2);
  const bytes = entryCount * L1_ENTRY_BYTES;
  if (bytes > MAX_L1_BYTES) throw new BlockError(Errno.EFBIG);

  const table = image.node.context.allocate(bytes);
  old.bytes.copy(table);
  await image.fire(Event.L1_GROW_ALLOC_TABLE);
  const offset = await allocateClusters(image, bytes);
  try {
    await image.refcountCache.flush();
    // The table is not in use yet, so nothing at all may be there.
    await checkOverlap(image, 0, offset, bytes);
    await image.fire(Event.L1_GROW_WRITE_TABLE);
    await writeFileSync(image, offset, table);

    await image.fire(Event.L1_GROW_ACTIVATE_TABLE);
    const pointer = Buffer.alloc(12);
    pointer.writeUInt32BE(entryCount, 0);
    writeUint64(pointer, offset, 4);
    await writeFileSync(image, HEADER_L1_SIZE, pointer);
  } catch (error) {
    if (error instanceof BlockError) await freeClusters(image, offset, bytes, DiscardReason.OTHER);
    throw error;
  }
  image.l1 = new L1Table(offset, table, image.clusterBytes);
  await freeClusters(image, old.offset, old.entryCount * L1_ENTRY_BYTES, DiscardReason.OTHER);
}

/**
 * Clears the entries from `entryCount` on and frees their L2 tables; the table itself keeps its length. After a failure
 * the entries are gone in memory, since on disk they may be.
 */
export async function shrinkL1(image: Qcow2Image, entryCount: number): Promise<void> {
  const { l1 } = image;
  if (entryCount >= l1.entryCount) return;
  try {
    await image.fire(Event.L1_SHRINK_WRITE_TABLE);
    const start = l1.offset + entryCount * L1_ENTRY_BYTES;
    await pwriteZeroes(image.file, start, (l1.entryCount - entryCount) * L1_ENTRY_BYTES, 0);
    await flushFile(image);
  } catch (error) {
    if (error instanceof BlockError) l1.clearFrom(entryCount);
    throw error;
  }
  await image.fire(Event.L1_SHRINK_FREE_L2_CLUSTERS);
  for (let index = l1.entryCount - 1; index >= entryCount; index--) {
    const l2Offset = l1.l2Offset(index);
    if (l2Offset === 0) continue;
    await freeClusters(image, l2Offset, image.clusterBytes, DiscardReason.ALWAYS);
    l1.set(index, 0, 0);
  }
}
