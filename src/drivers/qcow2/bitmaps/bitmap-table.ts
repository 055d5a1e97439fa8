/** The tables of persistent bitmaps, and the clusters with their bits. */
import type { Steps } from '../../../util/steps.ts';
import { BlockError, stepsWithContext, withContext } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { BitmapBits } from '../tables/bitmap-bits.ts';
import type { DirectoryEntry } from './directory.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { readFile, writeFile } from '../tables/io.ts';
import { entryOffset, writeUint64 } from '../format/offsets.ts';
import { checkOverlap } from '../tables/overlap.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';

const TABLE_ENTRY_BYTES = 8;
const RESERVED_HIGH = 0xff00_0000;
const RESERVED_LOW = 0x1fe;
/** Without a cluster: all bits are set. */
const ALL_ONES = 1;

/** Reads the table of a bitmap. EINVAL for an entry that cannot be. */
export function* readTable(image: Qcow2Image, entry: DirectoryEntry): Steps<Buffer> {
  const table = Buffer.alloc(entry.tableEntries * TABLE_ENTRY_BYTES);
  yield readFile(image, entry.tableOffset, table);
  for (let at = 0; at < table.length; at += TABLE_ENTRY_BYTES) {
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    const offset = entryOffset(high, low);
    const isReserved = (high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0;
    const isBadOffset = offset !== 0 && ((low & ALL_ONES) !== 0 || image.intoCluster(offset) !== 0);
    if (isReserved || isBadOffset) throw new BlockError(Errno.EINVAL);
  }
  return table;
}

/** The host offsets of the clusters that a table names. */
export function clustersOf(table: Buffer): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < table.length; at += TABLE_ENTRY_BYTES) {
    const offset = entryOffset(table.readUInt32BE(at), table.readUInt32BE(at + 4));
    if (offset !== 0) offsets.push(offset);
  }
  return offsets;
}

/** Reads the bits of a bitmap. EINVAL if the table does not fit the disk, ENOMEM if they take more than `maxBytes`. */
export function* readBits(image: Qcow2Image, table: Buffer, bits: BitmapBits, maxBytes: number): Steps<void> {
  const { clusterBytes } = image;
  const { storedBytes } = bits;
  if (table.length / TABLE_ENTRY_BYTES !== image.clustersFor(storedBytes)) throw new BlockError(Errno.EINVAL);
  let readBytes = 0;
  const cluster = Buffer.alloc(clusterBytes);
  for (let index = 0; index * TABLE_ENTRY_BYTES < table.length; index++) {
    const high = table.readUInt32BE(index * TABLE_ENTRY_BYTES);
    const low = table.readUInt32BE(index * TABLE_ENTRY_BYTES + 4);
    const offset = entryOffset(high, low);
    const start = index * clusterBytes;
    const bytes = Math.min(clusterBytes, storedBytes - start);
    if (offset !== 0) {
      yield readFile(image, offset, cluster);
      bits.store(start, cluster.subarray(0, bytes));
      readBytes += bytes;
      // Asking costs time, and is needed only when there is reason to.
      if (readBytes > maxBytes && bits.memoryBytes > maxBytes) throw new BlockError(Errno.ENOMEM);
      if (readBytes > maxBytes) readBytes = bits.memoryBytes;
    } else if ((low & ALL_ONES) !== 0) {
      bits.fill(start, bytes);
    }
  }
  bits.trimWords();
}

/** Writes a bitmap to new clusters, and sets where its table is. What was taken is given back on failure. */
export function* writeBitmap(image: Qcow2Image, entry: DirectoryEntry, bits: BitmapBits): Steps<void> {
  const name = entry.name.toString('latin1');
  const tableEntries = image.clustersFor(bits.storedBytes);
  // A disk without length: QEMU finds no memory for a table without entries.
  if (tableEntries === 0) throw new BlockError(Errno.EINVAL, 'No memory');
  const table = Buffer.alloc(tableEntries * TABLE_ENTRY_BYTES);
  let tableOffset = 0;
  try {
    for (let index = 0; index < tableEntries; index++) yield* writePart(image, table, index, bits, name);
    tableOffset = yield* stepsWithContext(
      `Failed to allocate clusters for bitmap '${name}'`,
      allocateClusters(image, table.length),
    );
    yield withContext('Qcow2 overlap check failed', () => checkOverlap(image, 0, tableOffset, table.length));
    yield withContext(`Failed to write bitmap '${name}' to file`, () => writeFile(image, tableOffset, table));
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    yield* freeParts(image, table);
    if (tableOffset > 0) yield* freeClusters(image, tableOffset, table.length, DiscardReason.OTHER);
    throw error;
  }
  entry.tableOffset = tableOffset;
  entry.tableEntries = tableEntries;
}

/** Clusters of bits that are all zero are not stored. */
function* writePart(image: Qcow2Image, table: Buffer, index: number, bits: BitmapBits, name: string): Steps<void> {
  const { clusterBytes } = image;
  const start = index * clusterBytes;
  const cluster = Buffer.alloc(clusterBytes);
  if (!bits.load(start, cluster.subarray(0, bits.storedBytes - start))) return;
  const offset = yield* stepsWithContext(
    `Failed to allocate clusters for bitmap '${name}'`,
    allocateClusters(image, clusterBytes),
  );
  writeUint64(table, offset, index * TABLE_ENTRY_BYTES);
  yield withContext('Qcow2 overlap check failed', () => checkOverlap(image, 0, offset, clusterBytes));
  yield withContext(`Failed to write bitmap '${name}' to file`, () => writeFile(image, offset, cluster));
}

function* freeParts(image: Qcow2Image, table: Buffer): Steps<void> {
  for (const offset of clustersOf(table)) {
    yield* freeClusters(image, offset, image.clusterBytes, DiscardReason.ALWAYS);
  }
}

/** Gives back all clusters of a bitmap; nothing if its table cannot be read. */
export function* freeBitmap(image: Qcow2Image, entry: DirectoryEntry): Steps<void> {
  let table: Buffer;
  try {
    table = yield* readTable(image, entry);
  } catch (error) {
    if (error instanceof BlockError) return;
    throw error;
  }
  yield* freeParts(image, table);
  yield* freeClusters(image, entry.tableOffset, table.length, DiscardReason.OTHER);
}
