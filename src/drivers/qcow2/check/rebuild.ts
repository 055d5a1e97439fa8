/** New refcount structures for an image whose own cannot be trusted: written from the counts made by the check. */
import { stepsWithContext, withContext } from '../../../block/error.ts';
import type { RefcountMap } from './map.ts';
import { ignoringErrors, writeFile, writeFileSync } from '../tables/io.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { writeUint64 } from '../format/offsets.ts';
import { checkOverlap } from '../tables/overlap.ts';
import { HeaderField, POINTER_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { RefcountTable } from '../tables/refcount-table.ts';

/** The table while it is made: offsets of blocks by index, and its length on disk. */
interface NewTable {
  readonly blocks: Map<number, number>;
  entryCount: number;
}

/**
 * Writes a block for every cluster in use and a table of them, all in clusters that are free, and switches over. The
 * old structures are left behind, counted as leaks by the next check.
 */
export function* rebuildRefcounts(image: Qcow2Image, map: RefcountMap): Steps<void> {
  yield* ignoringErrors(image.refcountCache.empty());
  const table: NewTable = { blocks: new Map(), entryCount: 0 };
  yield* writeBlocks(image, map, 0, map.clusterCount, table);
  // The table needs clusters, and with them perhaps more blocks, and for those a longer table.
  let offset = 0;
  for (let grew = true; grew; ) {
    const clusters = image.clustersFor(table.entryCount * REFCOUNT_ENTRY_BYTES);
    const first = map.allocate(clusters, 0).cluster;
    offset = first * image.clusterBytes;
    grew = yield* writeBlocks(image, map, first, first + clusters, table);
  }
  yield* writeTable(image, offset, table);
}

/** Writes all blocks for the clusters in use in a range. True if the table had to become longer. */
function* writeBlocks(
  image: Qcow2Image,
  map: RefcountMap,
  firstCluster: number,
  endCluster: number,
  table: NewTable,
): Steps<boolean> {
  const { refcountBlockEntries, clusterBytes } = image;
  let firstFree = 0;
  let end = endCluster;
  let grew = false;
  for (let cluster = firstCluster; cluster < end; cluster++) {
    const index = Math.floor(cluster / refcountBlockEntries);
    const start = index * refcountBlockEntries;
    if (map.isEmptyBlock(index)) cluster = start + refcountBlockEntries - 1;
    if (map.get(cluster) === 0) continue;
    let offset = table.blocks.get(index);
    if (offset === undefined) {
      // Not where a block that is written already would have to count it.
      const found = map.allocate(1, Math.max(firstFree, start));
      firstFree = found.firstFree;
      offset = found.cluster * clusterBytes;
      end = Math.max(end, found.cluster + 1);
      if (table.entryCount <= index) {
        table.entryCount = image.alignUpToCluster((index + 1) * REFCOUNT_ENTRY_BYTES) / REFCOUNT_ENTRY_BYTES;
        grew = true;
      }
      table.blocks.set(index, offset);
    }
    yield withContext('ERROR writing refblock', () => checkOverlap(image, 0, offset, clusterBytes));
    yield withContext('ERROR writing refblock', () => writeFile(image, offset, map.block(index)));
    cluster = start + refcountBlockEntries - 1;
    yield image.loop.breathe();
  }
  return grew;
}

function* writeTable(image: Qcow2Image, offset: number, table: NewTable): Steps<void> {
  const bytes = Buffer.alloc(table.entryCount * REFCOUNT_ENTRY_BYTES);
  for (const [index, block] of table.blocks) writeUint64(bytes, block, index * REFCOUNT_ENTRY_BYTES);
  yield withContext('ERROR writing reftable', () => checkOverlap(image, 0, offset, bytes.length));
  yield withContext('ERROR writing reftable', () => writeFile(image, offset, bytes));
  const pointer = Buffer.alloc(POINTER_BYTES);
  writeUint64(pointer, offset, 0);
  pointer.writeUInt32BE(bytes.length / image.clusterBytes, 8);
  yield* stepsWithContext('ERROR setting reftable', writeFileSync(image, HeaderField.REFCOUNT_TABLE_OFFSET, pointer));
  image.refcountTable = new RefcountTable(offset, bytes, image.clusterBytes);
}
