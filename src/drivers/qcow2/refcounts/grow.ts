/**
 * New refcount blocks, and a longer refcount table.
 *
 * A new block needs a cluster that has a refcount itself, and that may be in this very block. And the caller, who wants
 * to count a cluster of its own, may have chosen just the cluster that the block then gets. So whoever makes a block
 * fails with EAGAIN after it is done, and the caller looks for space again.
 */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import type { Answer } from '../../../util/answer.ts';
import { Errno } from '../../../util/errno.ts';
import { corrupt } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFileSync } from '../tables/io.ts';
import { type HostOffset, writeUint64 } from '../format/offsets.ts';
import {
  blockIndexOf,
  findFreeClusters,
  freeClusters,
  refcountTableIndexOf,
  refuseUnalignedBlock,
} from './refcounts.ts';
import { updateRefcount } from './refcounts.ts';
import { REFCOUNT_ENTRY_BYTES, RefcountTable } from '../tables/refcount-table.ts';
import { later } from '../../../util/answer.ts';
import { isAllZero } from '../../../util/pattern.ts';

/** The largest refcount table that is accepted, in bytes. */
export const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
/** Where the offset of the refcount table and, behind it, its clusters are in the header. */
export const HEADER_REFCOUNT_TABLE = 48;

/** The slot of the block that counts a cluster, held. Where there is none it is made, and EAGAIN thrown. */
export function refcountBlockForUpdate(image: Qcow2Image, clusterIndex: number): Answer<number> {
  const wait = image.fire(Event.REFBLOCK_ALLOC);
  return wait === undefined ? findBlock(image, clusterIndex) : later(wait, findBlock, image, clusterIndex);
}

function findBlock(image: Qcow2Image, clusterIndex: number): Answer<number> {
  const tableIndex = refcountTableIndexOf(image, clusterIndex);
  const offset = image.refcountTable.blockOffset(tableIndex);
  if (offset === 0) return makeBlock(image, clusterIndex);
  if (image.refcountTable.isUnaligned(tableIndex)) return refuseUnalignedBlock(image, tableIndex);
  return loadBlock(image, offset);
}

function loadBlock(image: Qcow2Image, offset: number): Answer<number> {
  const wait = image.fire(Event.REFBLOCK_LOAD);
  return wait === undefined ? image.refcountCache.get(offset) : wait.then(() => image.refcountCache.get(offset));
}

async function makeBlock(image: Qcow2Image, clusterIndex: number): Promise<never> {
  const { refcountCache, clusterBytes } = image;
  // The refcount table is about to be written, and what it says may depend on L2 tables.
  await image.l2Cache.flush();
  const offset = await findFreeClusters(image, clusterBytes, Number.MAX_SAFE_INTEGER);
  if (offset === 0) await corrupt(image, 'Preventing invalid allocation of refcount block at offset 0');

  const tableIndex = refcountTableIndexOf(image, clusterIndex);
  const ownIndex = image.clusterIndexOf(offset);
  const countsItself = refcountTableIndexOf(image, ownIndex) === tableIndex;
  if (!countsItself) {
    // At most twice, then a block counts itself.
    await updateRefcount(image, offset, clusterBytes, 1, DiscardReason.NEVER);
    await refcountCache.flush();
  }
  const slot = await refcountCache.getEmpty(offset);
  try {
    const block = refcountCache.table(slot);
    block.fill(0);
    if (countsItself) image.refcountWidth.set(block, blockIndexOf(image, ownIndex), 1);
    await image.fire(Event.REFBLOCK_ALLOC_WRITE);
    refcountCache.markDirty(slot);
    await refcountCache.flush();
    if (tableIndex < image.refcountTable.entryCount) await hookUp(image, tableIndex, offset);
  } finally {
    refcountCache.put(slot);
  }

  if (tableIndex >= image.refcountTable.entryCount) {
    await image.fire(Event.REFTABLE_GROW);
    // The new structures go behind everything that is in use, the block that was just made included.
    const used = Math.ceil((Math.max(clusterIndex, ownIndex) + 1) / image.refcountBlockEntries);
    const start = used * image.refcountBlockEntries * clusterBytes;
    await makeRefcountArea(image, start, 0, false, tableIndex, offset);
    const grown = await loadBlock(image, offset);
    refcountCache.put(grown);
  }
  throw new BlockError(Errno.EAGAIN);
}

/** Enters a block into the refcount table, on disk and then in memory. */
async function hookUp(image: Qcow2Image, tableIndex: number, offset: HostOffset): Promise<void> {
  const entry = Buffer.alloc(REFCOUNT_ENTRY_BYTES);
  writeUint64(entry, offset, 0);
  await image.fire(Event.REFBLOCK_ALLOC_HOOKUP);
  await writeFileSync(image, image.refcountTable.offset + tableIndex * REFCOUNT_ENTRY_BYTES, entry);
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

/**
 * Makes a new refcount table at `start`, behind which the file must be unused, with blocks that count the new
 * structures and `extraClusters` behind them. The table has half as many entries again as it needs unless `exact`.
 * `newBlock`, if not 0, is a block to be entered at `newBlockIndex`. Returns the offset behind the new structures.
 */
export async function makeRefcountArea(
  image: Qcow2Image,
  start: number,
  extraClusters: number,
  exact: boolean,
  newBlockIndex: number,
  newBlock: number,
): Promise<number> {
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
  if (newBlock !== 0) layout.setBlock(newBlockIndex, newBlock);

  let missing = 0;
  for (let index = firstIndex; index < blockCount; index++) if (layout.blockOffset(index) === 0) missing += 1;
  const tableOffset = start + missing * clusterBytes;
  const end = tableOffset + tableClusters * clusterBytes;

  let blockOffset = start;
  for (let index = firstIndex; index < blockCount; index++) {
    const existing = layout.blockOffset(index);
    const slot = await (existing === 0 ? refcountCache.getEmpty(blockOffset) : refcountCache.get(existing));
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

  await image.fire(Event.REFBLOCK_ALLOC_WRITE_BLOCKS);
  await refcountCache.flush();
  await image.fire(Event.REFBLOCK_ALLOC_WRITE_TABLE);
  await writeFileSync(image, tableOffset, asQemuWrites(bytes, blockCount));
  await image.fire(Event.REFBLOCK_ALLOC_SWITCH_TABLE);
  const pointer = Buffer.alloc(12);
  writeUint64(pointer, tableOffset, 0);
  pointer.writeUInt32BE(tableClusters, 8);
  await writeFileSync(image, HEADER_REFCOUNT_TABLE, pointer);

  image.refcountTable = new RefcountTable(tableOffset, bytes, clusterBytes);
  await freeClusters(image, old.offset, old.entryCount * REFCOUNT_ENTRY_BYTES, DiscardReason.OTHER);
  return end;
}

/**
 * QEMU brings only the first `entryCount` entries into the byte order of the file. What a damaged table has behind those
 * it writes as the host's memory holds it (observed with qemu-io 7.2.22 on x86).
 */
function asQemuWrites(table: Buffer, entryCount: number): Buffer {
  const needed = entryCount * REFCOUNT_ENTRY_BYTES;
  if (isAllZero(table.subarray(needed))) return table;
  const written = Buffer.alloc(table.length);
  table.copy(written);
  written.subarray(needed).swap64();
  return written;
}
