/** The L2 table slice that a write needs: loaded, and made or copied where the image has none of its own. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { assert } from '../../../util/assert.ts';
import { type Answer, run, type Steps } from '../../../util/steps.ts';
import { corrupt } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { growL1 } from '../refcounts/l1-resize.ts';
import { writeL1Entry } from '../tables/l1.ts';
import { refuseL2Offset } from './mapping.ts';
import { COPIED, entryOffset, type GuestOffset, hex, highOf, lowOf } from '../format/offsets.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';
import { countsOf } from '../tables/pending-update.ts';
import { checkL2Table } from './note-entry.ts';

/** Where the slice with a guest offset's entry is in the file; -1 unless it has an L2 table that may be written. */
export function sliceOffset(image: Qcow2Image, guest: GuestOffset): number {
  const { l1 } = image;
  const l1Index = image.l1IndexOf(guest);
  if (l1Index >= l1.entryCount || !l1.isCopied(l1Index)) return -1;
  const l2Offset = l1.l2Offset(l1Index);
  return l2Offset === 0 || image.intoCluster(l2Offset) !== 0 ? -1 : l2Offset + image.sliceStartOf(guest);
}

/** The slot of the slice with a guest offset's entry, held, in an L2 table that may be written. Needs the lock. */
export function sliceForUpdate(image: Qcow2Image, guest: GuestOffset): Answer<number> {
  assert(image.lock.isLocked, 'the lock is held');
  const offset = sliceOffset(image, guest);
  return offset === -1 ? run(makeSlice(image, guest)) : image.l2Cache.get(offset);
}

function* makeSlice(image: Qcow2Image, guest: GuestOffset): Steps<number> {
  const l1Index = image.l1IndexOf(guest);
  if (l1Index >= image.l1.entryCount) yield* growL1(image, l1Index + 1, { exact: false });
  const oldOffset = image.l1.l2Offset(l1Index);
  if (image.intoCluster(oldOffset) !== 0) yield* refuseL2Offset(image, oldOffset, l1Index);
  if (!image.l1.isCopied(l1Index)) {
    yield* makeTable(image, l1Index);
    if (oldOffset !== 0) yield* freeClusters(image, oldOffset, image.clusterBytes, DiscardReason.OTHER);
  }
  const l2Offset = image.l1.l2Offset(l1Index);
  if (l2Offset === 0) yield* corrupt(image, `L1 entry ${hex(l1Index)} has the copied flag but no L2 table`);
  return yield image.l2Cache.get(l2Offset + image.sliceStartOf(guest));
}

/** Gives an L1 entry a new L2 table: empty, or a copy of the one that it shares with a snapshot. */
function* makeTable(image: Qcow2Image, l1Index: number): Steps<void> {
  const { l1 } = image;
  const oldHigh = l1.high(l1Index);
  const oldLow = l1.low(l1Index);
  const oldOffset = entryOffset(oldHigh, oldLow);
  const offset = yield* allocateClusters(image, image.clusterBytes);
  const counted = countsOf(image, offset, image.clusterBytes);
  try {
    if (offset === 0) yield* corrupt(image, 'Preventing invalid allocation of L2 table at offset 0');
    yield image.refcountCache.flush();
    for (let start = 0; start < image.clusterBytes; start += image.l2Cache.tableBytes) {
      yield* fillSlice(image, offset + start, oldOffset === 0 ? 0 : oldOffset + start);
    }
    yield image.l2Cache.flush();
    l1.set(l1Index, (highOf(offset) | COPIED) >>> 0, lowOf(offset));
    checkL2Table(image, l1Index, offset, counted);
    yield* writeL1Entry(image, l1Index);
  } catch (error) {
    if (error instanceof BlockError) {
      l1.set(l1Index, oldHigh, oldLow);
      if (offset > 0) yield* freeClusters(image, offset, image.clusterBytes, DiscardReason.ALWAYS);
    }
    throw error;
  }
}

/** Puts one slice of a new table into the cache; `source` is the old slice's offset, 0 for an empty one. */
function* fillSlice(image: Qcow2Image, offset: number, source: number): Steps<void> {
  const { l2Cache } = image;
  const slot: number = yield l2Cache.getEmpty(offset);
  try {
    if (source === 0) {
      l2Cache.table(slot).fill(0);
    } else {
      yield image.fire(Event.L2_ALLOC_COW_READ);
      const sourceSlot: number = yield l2Cache.get(source);
      l2Cache.table(sourceSlot).copy(l2Cache.table(slot));
      l2Cache.put(sourceSlot);
    }
    yield image.fire(Event.L2_ALLOC_WRITE);
    l2Cache.markDirty(slot);
    image.hazards?.order.changed(offset);
  } finally {
    l2Cache.put(slot);
  }
}
