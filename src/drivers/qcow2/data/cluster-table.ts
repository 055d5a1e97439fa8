/** The L2 table slice that a write needs: loaded, and made or copied where the image has none of its own. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { corrupt } from '../tables/corruption.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { growL1, writeL1Entry } from '../tables/l1.ts';
import { refuseL2Offset } from './mapping.ts';
import { COPIED, entryOffset, type GuestOffset, hex, highOf, lowOf } from '../format/offsets.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';

/** The slot of the slice with a guest offset's entry, held, in an L2 table that may be written. The lock is held. */
export function sliceForUpdate(image: Qcow2Image, guest: GuestOffset): number | Promise<number> {
  const { l1 } = image;
  const l1Index = image.l1IndexOf(guest);
  if (l1Index < l1.entryCount && (l1.high(l1Index) & COPIED) !== 0) {
    const l2Offset = l1.l2Offset(l1Index);
    if (l2Offset !== 0 && image.intoCluster(l2Offset) === 0)
      return image.l2Cache.get(l2Offset + image.sliceStartOf(guest));
  }
  return makeSlice(image, guest, l1Index);
}

async function makeSlice(image: Qcow2Image, guest: GuestOffset, l1Index: number): Promise<number> {
  if (l1Index >= image.l1.entryCount) await growL1(image, l1Index + 1, false);
  const oldOffset = image.l1.l2Offset(l1Index);
  if (image.intoCluster(oldOffset) !== 0) await refuseL2Offset(image, oldOffset, l1Index);
  if ((image.l1.high(l1Index) & COPIED) === 0) {
    await makeTable(image, l1Index);
    if (oldOffset !== 0) await freeClusters(image, oldOffset, image.clusterBytes, DiscardReason.OTHER);
  }
  const l2Offset = image.l1.l2Offset(l1Index);
  if (l2Offset === 0) await corrupt(image, `L1 entry ${hex(l1Index)} has the copied flag but no L2 table`);
  return image.l2Cache.get(l2Offset + image.sliceStartOf(guest));
}

/** Gives an L1 entry a new L2 table: empty, or a copy of the one that it shares with a snapshot. */
async function makeTable(image: Qcow2Image, l1Index: number): Promise<void> {
  const { l1 } = image;
  const oldHigh = l1.high(l1Index);
  const oldLow = l1.low(l1Index);
  const oldOffset = entryOffset(oldHigh, oldLow);
  const offset = await allocateClusters(image, image.clusterBytes);
  try {
    if (offset === 0) await corrupt(image, 'Preventing invalid allocation of L2 table at offset 0');
    await image.refcountCache.flush();
    for (let start = 0; start < image.clusterBytes; start += image.l2Cache.tableBytes) {
      await fillSlice(image, offset + start, oldOffset === 0 ? 0 : oldOffset + start);
    }
    await image.l2Cache.flush();
    l1.set(l1Index, (highOf(offset) | COPIED) >>> 0, lowOf(offset));
    await writeL1Entry(image, l1Index);
  } catch (error) {
    if (error instanceof BlockError) {
      l1.set(l1Index, oldHigh, oldLow);
      if (offset > 0) await freeClusters(image, offset, image.clusterBytes, DiscardReason.ALWAYS);
    }
    throw error;
  }
}

/** Puts one slice of a new table into the cache; `source` is the old slice's offset, 0 for an empty one. */
async function fillSlice(image: Qcow2Image, offset: number, source: number): Promise<void> {
  const { l2Cache } = image;
  const slot = await l2Cache.getEmpty(offset);
  try {
    if (source === 0) {
      l2Cache.table(slot).fill(0);
    } else {
      await image.fire(Event.L2_ALLOC_COW_READ);
      const sourceSlot = await l2Cache.get(source);
      l2Cache.table(sourceSlot).copy(l2Cache.table(slot));
      l2Cache.put(sourceSlot);
    }
    await image.fire(Event.L2_ALLOC_WRITE);
    l2Cache.markDirty(slot);
  } finally {
    l2Cache.put(slot);
  }
}
