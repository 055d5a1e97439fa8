/** Counting everything that an L1 table refers to once more or less, as snapshots that share it come and go. */
import { flush } from '../../../block/request/flush.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Steps } from '../../../util/steps.ts';
import { withHeldDiscards } from '../data/discard.ts';
import { refuseL2Offset } from '../data/mapping.ts';
import { L1_ENTRY_BYTES } from '../format/header-fields.ts';
import { Cluster, clusterType } from '../format/l2-entry.ts';
import { COPIED, entryOffset, hex, highOf, lowOf } from '../format/offsets.ts';
import { getRefcount, updateRefcount } from '../refcounts/refcounts.ts';
import { corrupt } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { readFile, writeFileSync } from '../tables/io.ts';

/** 1 for a new reference, -1 for one that is gone, 0 to set the copied flags alone. */
export type CountChange = 1 | 0 | -1;

/**
 * Changes the refcounts of all L2 tables and clusters of an L1 table, and sets the copied flags as they must be then.
 * For the active table the one in memory counts, whatever is on disk.
 */
export function* countTable(image: Qcow2Image, offset: number, entryCount: number, change: CountChange): Steps<void> {
  const isActive = offset === image.l1.offset;
  const table = isActive ? image.l1.bytes : Buffer.alloc(entryCount * L1_ENTRY_BYTES);
  if (!isActive) yield readFile(image, offset, table);
  const changed = { any: false };
  yield* withHeldDiscards(image, countEntries(image, table, entryCount, change, changed));
  // A table that is going away needs no flags.
  if (change !== -1 && changed.any) yield* writeFileSync(image, offset, table);
}

function* countEntries(
  image: Qcow2Image,
  table: Buffer,
  entryCount: number,
  change: CountChange,
  changed: { any: boolean },
): Steps<void> {
  for (let index = 0; index < entryCount; index++) {
    const high = readBe32(table, index * L1_ENTRY_BYTES);
    const low = readBe32(table, index * L1_ENTRY_BYTES + 4);
    if (high === 0 && low === 0) continue;
    const l2Offset = entryOffset(high, low);
    if (image.intoCluster(l2Offset) !== 0) yield* refuseL2Offset(image, l2Offset, index);
    yield* countL2Table(image, l2Offset, change);
    if (change !== 0) yield* updateRefcount(image, l2Offset, 1, change, DiscardReason.SNAPSHOT);
    const refcount: number = yield getRefcount(image, image.clusterIndexOf(l2Offset));
    const newHigh = (highOf(l2Offset) | (refcount === 1 ? COPIED : 0)) >>> 0;
    if (newHigh === high >>> 0 && lowOf(l2Offset) === low >>> 0) continue;
    changed.any = true;
    if (table === image.l1.bytes) image.l1.set(index, newHigh, lowOf(l2Offset));
    else writeEntry(table, index, newHigh, lowOf(l2Offset));
  }
  yield flush(image.node);
}

function writeEntry(table: Buffer, index: number, high: number, low: number): void {
  table.writeUInt32BE(high >>> 0, index * L1_ENTRY_BYTES);
  table.writeUInt32BE(low >>> 0, index * L1_ENTRY_BYTES + 4);
}

function* countL2Table(image: Qcow2Image, l2Offset: number, change: CountChange): Steps<void> {
  const { clusterBytes, sliceEntries, l2EntryBytes, l2Cache } = image;
  const sliceBytes = sliceEntries * l2EntryBytes;
  for (let start = 0; start < clusterBytes; start += sliceBytes) {
    const slot: number = yield l2Cache.get(l2Offset + start);
    try {
      const table = l2Cache.table(slot);
      for (let index = 0; index < sliceEntries; index++) {
        if (!(yield* countEntry(image, table, index, l2Offset, start / l2EntryBytes, change))) continue;
        if (change > 0) yield l2Cache.dependOn(image.refcountCache);
        l2Cache.markDirty(slot);
      }
    } finally {
      l2Cache.put(slot);
    }
    yield image.loop.breathe();
  }
}

/** True if the entry has changed. */
function* countEntry(
  image: Qcow2Image,
  table: Buffer,
  index: number,
  l2Offset: number,
  firstIndex: number,
  change: CountChange,
): Steps<boolean> {
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  const type = clusterType(image, high & ~COPIED, low);
  let refcount = 0;
  if (type === Cluster.COMPRESSED) {
    const { offset, bytes } = image.compressedRange(high, low);
    if (change !== 0) yield* updateRefcount(image, offset, bytes, change, DiscardReason.SNAPSHOT);
    // Compressed clusters are never written in place.
    refcount = 2;
  } else if (type === Cluster.NORMAL || type === Cluster.ZERO_ALLOC) {
    const offset = entryOffset(high, low);
    if (image.intoCluster(offset) !== 0) {
      const where = `(L2 offset: ${hex(l2Offset)}, L2 index: ${hex(firstIndex + index)})`;
      yield* corrupt(image, `Cluster allocation offset ${hex(offset)} unaligned ${where}`);
    }
    if (change !== 0) yield* updateRefcount(image, offset, 1, change, DiscardReason.SNAPSHOT);
    refcount = yield getRefcount(image, image.clusterIndexOf(offset));
  }
  const newHigh = (high & ~COPIED) | (refcount === 1 ? COPIED : 0);
  if (newHigh === high) return false;
  table.writeUInt32BE(newHigh >>> 0, at);
  return true;
}
