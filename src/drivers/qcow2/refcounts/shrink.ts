/** Refcount blocks that count nothing are given back when the disk is made shorter. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { isAllZero } from '../../../util/pattern.ts';
import { corrupt } from '../tables/corruption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { writeFileSync } from '../tables/io.ts';
import { REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { hex } from '../format/offsets.ts';

/** Writes the refcount table without the blocks that are empty, and frees those; the table keeps its length. */
export function* shrinkRefcountTable(image: Qcow2Image): Steps<void> {
  const { refcountTable } = image;
  const unused: number[] = [];
  for (let index = 0; index < refcountTable.entryCount; index++) {
    const offset = refcountTable.blockOffset(index);
    if (offset === 0) continue;
    yield image.loop.breathe();
    if (yield* isUnused(image, index, offset)) unused.push(index);
  }
  const shrunk = Buffer.from(refcountTable.bytes);
  for (const index of unused) shrunk.fill(0, index * REFCOUNT_ENTRY_BYTES, (index + 1) * REFCOUNT_ENTRY_BYTES);

  let failure: BlockError | null = null;
  try {
    yield* writeFileSync(image, refcountTable.offset, shrunk);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  }
  // After a failure they may be gone on disk, so they are gone here too.
  for (const index of unused) {
    const offset = refcountTable.blockOffset(index);
    if (failure === null) {
      try {
        yield* freeBlock(image, offset);
      } catch (error) {
        if (!(error instanceof BlockError)) throw error;
        failure = error;
      }
    }
    refcountTable.setBlock(index, 0);
  }
  if (!image.discards.isHeld) yield image.discards.process({ succeeded: failure === null });
  if (failure !== null) throw failure;
}

/** Whether a block counts nothing but perhaps itself. */
function* isUnused(image: Qcow2Image, index: number, offset: number): Steps<boolean> {
  const { refcountCache, refcountWidth } = image;
  const slot: number = yield refcountCache.get(offset);
  const block = refcountCache.table(slot);
  let unused: boolean;
  const own = image.clusterIndexOf(offset);
  if (image.refcountTableIndexOf(own) === index) {
    const at = image.blockIndexOf(own);
    const refcount = refcountWidth.get(block, at);
    refcountWidth.set(block, at, 0);
    unused = isAllZero(block);
    refcountWidth.set(block, at, refcount);
  } else {
    unused = isAllZero(block);
  }
  refcountCache.put(slot);
  return unused;
}

/** Takes away the one reference to a block, and queues its cluster for being discarded. */
function* freeBlock(image: Qcow2Image, offset: number): Steps<void> {
  const { refcountCache, refcountWidth, refcountTable } = image;
  const cluster = image.clusterIndexOf(offset);
  const tableIndex = image.refcountTableIndexOf(cluster);
  const covering = refcountTable.blockOffset(tableIndex);
  if (covering === 0) {
    yield* corrupt(image, `Refblock at ${hex(offset)} is not covered by the refcount structures`);
  }
  const slot: number = yield refcountCache.get(covering);
  const block = refcountCache.table(slot);
  const at = image.blockIndexOf(cluster);
  const refcount = refcountWidth.get(block, at);
  if (refcount !== 1) {
    refcountCache.put(slot);
    yield* corrupt(
      image,
      `Invalid refcount: refblock offset ${hex(covering)}, reftable index ${tableIndex}, ` +
        `block offset ${hex(offset)}, refcount ${hex(refcount)}`,
      Errno.EINVAL,
    );
  }
  refcountWidth.set(block, at, 0);
  refcountCache.markDirty(slot);
  refcountCache.put(slot);
  if (cluster < image.freeClusterIndex) image.freeClusterIndex = cluster;
  const cached = refcountCache.find(offset);
  if (cached !== -1) refcountCache.discard(cached);
  image.discards.add(offset, image.clusterBytes);
}
