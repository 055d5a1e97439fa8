/** The active L1 table made longer or shorter. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { pwriteZeroes } from '../../../block/request/write.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { HeaderField, L1_ENTRY_BYTES, MAX_L1_BYTES, POINTER_BYTES } from '../format/header-fields.ts';
import { writeUint64 } from '../format/offsets.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { flushFile, writeFileSync } from '../tables/io.ts';
import { L1Table } from '../tables/l1.ts';
import { checkOverlap } from '../tables/overlap.ts';
import { allocateClusters, freeClusters } from './refcounts.ts';

const INT_MAX = 0x7fff_ffff;

/** Makes the table at least `minEntries` long, with room for more unless `exact`. EFBIG beyond the limit. */
export function* growL1(image: Qcow2Image, minEntries: number, { exact }: { exact: boolean }): Steps<void> {
  const old = image.l1;
  if (minEntries <= old.entryCount) return;
  if (minEntries > INT_MAX / L1_ENTRY_BYTES) throw new BlockError(Errno.EFBIG);
  let entryCount = exact ? minEntries : Math.max(1, old.entryCount);
  while (entryCount < minEntries) entryCount = Math.ceil((entryCount * 3) / 2);
  const bytes = entryCount * L1_ENTRY_BYTES;
  if (bytes > MAX_L1_BYTES) throw new BlockError(Errno.EFBIG);

  const table = image.node.context.allocate(bytes);
  old.bytes.copy(table);
  yield image.fire(Event.L1_GROW_ALLOC_TABLE);
  const offset = yield* allocateClusters(image, bytes);
  try {
    yield image.refcountCache.flush();
    // The table is not in use yet, so nothing at all may be there.
    yield checkOverlap(image, 0, offset, bytes);
    yield image.fire(Event.L1_GROW_WRITE_TABLE);
    yield* writeFileSync(image, offset, table);

    yield image.fire(Event.L1_GROW_ACTIVATE_TABLE);
    const pointer = Buffer.alloc(POINTER_BYTES);
    pointer.writeUInt32BE(entryCount, 0);
    writeUint64(pointer, offset, 4);
    yield* writeFileSync(image, HeaderField.L1_ENTRY_COUNT, pointer);
  } catch (error) {
    if (error instanceof BlockError) yield* freeClusters(image, offset, bytes, DiscardReason.OTHER);
    throw error;
  }
  image.l1 = new L1Table(offset, table, image.clusterBytes);
  yield* freeClusters(image, old.offset, old.entryCount * L1_ENTRY_BYTES, DiscardReason.OTHER);
}

/**
 * Clears the entries from `entryCount` on and frees their L2 tables; the table itself keeps its length. After a failure
 * the entries are gone in memory, since on disk they may be.
 */
export function* shrinkL1(image: Qcow2Image, entryCount: number): Steps<void> {
  const { l1 } = image;
  if (entryCount >= l1.entryCount) return;
  try {
    yield image.fire(Event.L1_SHRINK_WRITE_TABLE);
    const start = l1.offset + entryCount * L1_ENTRY_BYTES;
    yield pwriteZeroes(image.file, start, (l1.entryCount - entryCount) * L1_ENTRY_BYTES, 0);
    yield flushFile(image);
  } catch (error) {
    if (error instanceof BlockError) l1.clearFrom(entryCount);
    throw error;
  }
  yield image.fire(Event.L1_SHRINK_FREE_L2_CLUSTERS);
  for (let index = l1.entryCount - 1; index >= entryCount; index--) {
    const l2Offset = l1.l2Offset(index);
    if (l2Offset === 0) continue;
    yield* freeClusters(image, l2Offset, image.clusterBytes, DiscardReason.ALWAYS);
    l1.set(index, 0, 0);
  }
}
