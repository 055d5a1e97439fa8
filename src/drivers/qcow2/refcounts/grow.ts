/**
 * New refcount blocks, and a longer refcount table.
 *
 * A new block needs a cluster that has a refcount itself, which may be counted in this very block. And the caller,
 * which is about to count a cluster of its own, may have chosen just the cluster that the block then gets. So making a
 * block ends with EAGAIN, and the caller looks for space again.
 */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { assert } from '../../../util/assert.ts';
import { Errno } from '../../../util/errno.ts';
import { type Answer, run, type Steps } from '../../../util/steps.ts';
import { isAllZero } from '../../../util/pattern.ts';
import { HeaderField, MAX_REFCOUNT_TABLE_BYTES, POINTER_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { type HostOffset, writeUint64 } from '../format/offsets.ts';
import { corrupt } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFileSync } from '../tables/io.ts';
import { RefcountTable } from '../tables/refcount-table.ts';
import { findFreeClusters, freeClusters, refuseUnalignedBlock, updateRefcount } from './refcounts.ts';

/** The slot of the block that counts a cluster, held. Where there is none it is made, and EAGAIN thrown. */
export function refcountBlockForUpdate(image: Qcow2Image, clusterIndex: number): Answer<number> {
  const told = image.fire(Event.REFBLOCK_ALLOC);
  return told === undefined ? loadBlock(image, clusterIndex) : run(loadBlockAfter(told, image, clusterIndex));
}

function* loadBlockAfter(told: Promise<void>, image: Qcow2Image, clusterIndex: number): Steps<number> {
  yield told;
  return yield loadBlock(image, clusterIndex);
}

function loadBlock(image: Qcow2Image, clusterIndex: number): Answer<number> {
  const tableIndex = image.refcountTableIndexOf(clusterIndex);
  const offset = image.refcountTable.blockOffset(tableIndex);
  if (offset === 0) return run<number>(makeBlock(image, clusterIndex));
  if (image.refcountTable.isUnaligned(tableIndex)) return run<number>(refuseUnalignedBlock(image, tableIndex));
  const told = image.fire(Event.REFBLOCK_LOAD);
  return told === undefined ? image.refcountCache.get(offset) : run(getBlockAfter(told, image, offset));
}

function* getBlockAfter(told: Promise<void>, image: Qcow2Image, offset: HostOffset): Steps<number> {
  yield told;
  return yield image.refcountCache.get(offset);
}

/** Makes the block that counts a cluster, and throws EAGAIN. */
function* makeBlock(image: Qcow2Image, clusterIndex: number): Steps<never> {
  const { refcountCache, clusterBytes } = image;
  // The refcount table is about to be written, and what it says may depend on L2 tables.
  yield image.l2Cache.flush();
  const offset = yield* findFreeClusters(image, clusterBytes, Number.MAX_SAFE_INTEGER);
  if (offset === 0) yield* corrupt(image, 'Preventing invalid allocation of refcount block at offset 0');

  const tableIndex = image.refcountTableIndexOf(clusterIndex);
  const ownIndex = image.clusterIndexOf(offset);
  const countsItself = image.refcountTableIndexOf(ownIndex) === tableIndex;
  if (!countsItself) {
    // At most twice, then a block counts itself.
    yield* updateRefcount(image, offset, clusterBytes, 1, DiscardReason.NEVER);
    yield refcountCache.flush();
  }
  const slot: number = yield refcountCache.getEmpty(offset);
  try {
    const block = refcountCache.table(slot);
    block.fill(0);
    if (countsItself) image.refcountWidth.set(block, image.blockIndexOf(ownIndex), 1);
    yield image.fire(Event.REFBLOCK_ALLOC_WRITE);
    refcountCache.markDirty(slot);
    image.hazards?.order.changed(offset);
    yield refcountCache.flush();
    if (tableIndex < image.refcountTable.entryCount) yield* hookUp(image, tableIndex, offset);
  } finally {
    refcountCache.put(slot);
  }

  if (tableIndex >= image.refcountTable.entryCount) {
    yield image.fire(Event.REFTABLE_GROW);
    // The new structures go behind everything that is in use, the block that was just made included.
    const used = Math.ceil((Math.max(clusterIndex, ownIndex) + 1) / image.refcountBlockEntries);
    const start = used * image.refcountBlockEntries * clusterBytes;
    yield* makeRefcountArea(image, { start, extraClusters: 0, exact: false, newBlock: { tableIndex, offset } });
    yield image.fire(Event.REFBLOCK_LOAD);
    refcountCache.put(yield refcountCache.get(offset));
  }
  throw new BlockError(Errno.EAGAIN);
}

/** Enters a block into the refcount table, on disk and then in memory. */
function* hookUp(image: Qcow2Image, tableIndex: number, offset: HostOffset): Steps<void> {
  const entry = Buffer.alloc(REFCOUNT_ENTRY_BYTES);
  writeUint64(entry, offset, 0);
  yield image.fire(Event.REFBLOCK_ALLOC_HOOKUP);
  const newBlock = { guest: null, host: offset };
  image.hazards?.order.checkNewTable('refcount table', [offset], newBlock, 'new refcount block');
  yield* writeFileSync(image, image.refcountTable.offset + tableIndex * REFCOUNT_ENTRY_BYTES, entry);
  image.refcountTable.setBlock(tableIndex, offset);
}

/**
 * How many refcount blocks count `clusterCount` clusters, themselves and their table; with `generous` for a table half
 * as long again as it has to be.
 */
function refcountBlocksFor(image: Qcow2Image, clusterCount: number, generous: boolean): number {
  const blocksPerTableCluster = image.clusterBytes / REFCOUNT_ENTRY_BYTES;
  let clusters = clusterCount;
  let reserve = generous;
  let blocks = 0;
  let tableClusters = 0;
  // Blocks count blocks, so the number is the fixed point of counting again.
  for (let last = -1, total = 0; total !== last; ) {
    last = total;
    blocks = Math.ceil((clusters + tableClusters + blocks) / image.refcountBlockEntries);
    tableClusters = Math.ceil(blocks / blocksPerTableCluster);
    total = clusters + blocks + tableClusters;
    if (total === last && reserve) {
      clusters += Math.ceil(tableClusters / 2);
      reserve = false;
      last = -1;
    }
  }
  return blocks;
}

/** The new structures of `makeRefcountArea`. */
export interface RefcountArea {
  /** The offset in bytes where they begin, at a cluster; the file must be unused from there on. */
  readonly start: number;
  /** Clusters behind them that are counted in advance. */
  readonly extraClusters: number;
  /** Without it the table gets half as many entries again as it needs. */
  readonly exact: boolean;
  /** A block that is written already, to be entered into the new table. */
  readonly newBlock: { readonly tableIndex: number; readonly offset: number } | null;
}

/**
 * Makes a new refcount table, with blocks that count the new structures and the clusters behind them. Returns the
 * offset behind the new structures.
 */
export function* makeRefcountArea(image: Qcow2Image, area: RefcountArea): Steps<number> {
  const { start, extraClusters, exact, newBlock } = area;
  assert(image.intoCluster(start) === 0, 'refcount structures begin at a cluster');
  const { clusterBytes, refcountBlockEntries, refcountCache, refcountWidth } = image;
  const old = image.refcountTable;
  const blockCount = refcountBlocksFor(image, start / clusterBytes + extraClusters, !exact);
  if (blockCount > MAX_REFCOUNT_TABLE_BYTES) throw new BlockError(Errno.EFBIG);
  const firstIndex = Math.floor(start / clusterBytes / refcountBlockEntries);
  const perCluster = clusterBytes / REFCOUNT_ENTRY_BYTES;
  const wanted = exact ? blockCount : blockCount + Math.ceil(blockCount / 2);
  const tableClusters = Math.ceil(wanted / perCluster);
  const entryCount = tableClusters * perCluster;
  if (entryCount > MAX_REFCOUNT_TABLE_BYTES) throw new BlockError(Errno.EFBIG);

  const bytes = image.node.context.allocate(entryCount * REFCOUNT_ENTRY_BYTES);
  old.bytes.copy(bytes, 0, 0, Math.min(bytes.length, (old.lastUsedIndex + 1) * REFCOUNT_ENTRY_BYTES));
  const layout = new RefcountTable(0, bytes, clusterBytes);
  if (newBlock !== null) layout.setBlock(newBlock.tableIndex, newBlock.offset);

  let missing = 0;
  for (let index = firstIndex; index < blockCount; index++) if (layout.blockOffset(index) === 0) missing += 1;
  const tableOffset = start + missing * clusterBytes;
  const end = tableOffset + tableClusters * clusterBytes;

  let blockOffset = start;
  for (let index = firstIndex; index < blockCount; index++) {
    yield image.loop.breathe();
    const existing = layout.blockOffset(index);
    const slot: number = yield existing === 0 ? refcountCache.getEmpty(blockOffset) : refcountCache.get(existing);
    try {
      const block = refcountCache.table(slot);
      if (existing === 0) {
        block.fill(0);
        refcountCache.markDirty(slot);
        layout.setBlock(index, blockOffset);
        blockOffset += clusterBytes;
      }
      const covered = index * refcountBlockEntries * clusterBytes;
      if (covered < end) {
        const from = covered < start ? (start - covered) / clusterBytes : 0;
        const to = Math.min((end - covered) / clusterBytes, refcountBlockEntries);
        for (let entry = from; entry < to; entry++) {
          // Only a corrupt image counts something behind its last cluster.
          if (refcountWidth.get(block, entry) !== 0) throw new BlockError(Errno.EIO);
          refcountWidth.set(block, entry, 1);
        }
        refcountCache.markDirty(slot);
      }
    } finally {
      refcountCache.put(slot);
    }
  }

  yield image.fire(Event.REFBLOCK_ALLOC_WRITE_BLOCKS);
  yield refcountCache.flush();
  yield image.fire(Event.REFBLOCK_ALLOC_WRITE_TABLE);
  yield* writeFileSync(image, tableOffset, asQemuWrites(bytes, blockCount));
  yield image.fire(Event.REFBLOCK_ALLOC_SWITCH_TABLE);
  const pointer = Buffer.alloc(POINTER_BYTES);
  writeUint64(pointer, tableOffset, 0);
  pointer.writeUInt32BE(tableClusters, 8);
  yield* writeFileSync(image, HeaderField.REFCOUNT_TABLE_OFFSET, pointer);

  image.refcountTable = new RefcountTable(tableOffset, bytes, clusterBytes);
  yield* freeClusters(image, old.offset, old.entryCount * REFCOUNT_ENTRY_BYTES, DiscardReason.OTHER);
  return end;
}

/**
 * The table as QEMU writes it. It brings only the first `entryCount` entries into the byte order of the file; entries
 * of a damaged table behind those are written as the host's memory holds them (observed with qemu-io 7.2.22 on x86).
 */
function asQemuWrites(table: Buffer, entryCount: number): Buffer {
  const needed = entryCount * REFCOUNT_ENTRY_BYTES;
  if (isAllZero(table.subarray(needed))) return table;
  const written = Buffer.alloc(table.length);
  table.copy(written);
  written.subarray(needed).swap64();
  return written;
}
