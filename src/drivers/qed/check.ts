/** The check of a qed image: each cluster is referred to once, by entries that can be. The lock is held. */
import { BlockError, errnoOf } from '../../block/error.ts';
import type { CheckResult } from '../../block/driver.ts';
import { type CheckCounts, noCounts } from '../../block/image-check.ts';
import { flush } from '../../block/request/flush.ts';
import { divRoundUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { QedImage } from './qed-image.ts';
import { Entry, entryAt, type L2Table, setEntry } from './l2-tables.ts';
import { loadL2, writeHeader, writeL1, writeL2 } from './table-io.ts';

/** The bits of used clusters may take as much memory. */
const MAX_USED_BYTES = 2 ** 31;

/** A check under way. */
class Check {
  readonly image: QedImage;
  readonly fixes: boolean;
  readonly counts: CheckCounts;
  readonly clusterCount: number;
  /** One bit for each cluster of the file. */
  readonly #used: Buffer;
  #usedCount = 0;

  constructor(image: QedImage, fixes: boolean) {
    this.image = image;
    this.fixes = fixes;
    this.clusterCount = image.clustersFor(image.fileBytes);
    const usedBytes = Math.ceil(this.clusterCount / 8) + 1;
    if (usedBytes > MAX_USED_BYTES) throw new BlockError(Errno.ENOMEM);
    this.#used = Buffer.alloc(usedBytes);
    this.counts = {
      ...noCounts(),
      totalClusters: divRoundUp(Number(image.header.imageBytes), image.clusterBytes),
    };
  }

  /** Takes note of `count` clusters from an offset on. False if one was used before, which is a corruption. */
  use(offset: number, count: number): boolean {
    const first = this.image.clustersFor(offset);
    let repeated = 0;
    for (let cluster = first; cluster < first + count; cluster++) {
      const at = Math.floor(cluster / 8);
      const bit = 1 << (cluster % 8);
      const byte = this.#used[at] ?? 0;
      if ((byte & bit) !== 0) repeated += 1;
      else if (cluster >= this.image.header.headerClusters && cluster < this.clusterCount) this.#usedCount += 1;
      this.#used[at] = byte | bit;
    }
    this.counts.corruptions += repeated;
    return repeated === 0;
  }

  /** An entry that cannot be: counted, and taken out of the table if the image is to be repaired. */
  refuse(table: Buffer, index: number): void {
    if (!this.fixes) {
      this.counts.corruptions += 1;
      return;
    }
    setEntry(table, index, Entry.UNALLOCATED);
    this.counts.corruptionsFixed += 1;
  }

  /** Clusters behind the header that nothing refers to. */
  countLeaks(): void {
    const { headerClusters } = this.image.header;
    this.counts.leaks = Math.max(0, this.clusterCount - headerClusters) - this.#usedCount;
  }
}

/** Checks the image, and clears entries that cannot be if `fixes`. Throws what reading or writing a table threw. */
export function* checkImage(image: QedImage, fixes: boolean): Steps<CheckResult> {
  const check = new Check(image, fixes);
  const failure = yield* checkL1(check);
  if (failure !== 0) throw new BlockError(failure);
  check.countLeaks();
  const { corruptions, checkErrors } = check.counts;
  if (fixes && corruptions === 0 && checkErrors === 0 && image.needsCheck) yield* markClean(image);
  return check.counts;
}

/** Checks the L1 table and all below it. The errno of the last failure, or 0. */
function* checkL1(check: Check): Steps<number> {
  const { image, fixes, counts } = check;
  const { l1, header } = image;
  let failure = 0;
  let hasInvalid = false;
  check.use(image.l1Offset, header.tableClusters);
  for (let index = 0; index < image.tableEntries; index++) {
    const offset = entryAt(l1, index);
    if (offset === Entry.UNALLOCATED) continue;
    if (!image.isTableOffset(offset)) {
      check.refuse(l1, index);
      hasInvalid = true;
      continue;
    }
    if (!check.use(offset, header.tableClusters)) continue;
    yield image.loop.breathe();
    try {
      yield* checkL2(check, yield* loadL2(image, offset));
    } catch (error) {
      failure = errnoOf(error);
      counts.checkErrors += 1;
    }
  }
  if (!hasInvalid || !fixes) return failure;
  try {
    yield* writeL1(image, 0, image.tableEntries);
  } catch (error) {
    failure = errnoOf(error);
    counts.checkErrors += 1;
  }
  return failure;
}

function* checkL2(check: Check, table: L2Table): Steps<void> {
  const { image, fixes, counts } = check;
  const { bytes } = table;
  let hasInvalid = false;
  let last = 0;
  for (let index = 0; index < image.tableEntries; index++) {
    const offset = entryAt(bytes, index);
    if (offset === Entry.UNALLOCATED || offset === Entry.ZERO) continue;
    counts.allocatedClusters += 1;
    if (last !== 0 && last + image.clusterBytes !== offset) counts.fragmentedClusters += 1;
    last = offset;
    if (image.isClusterOffset(offset)) {
      check.use(offset, 1);
    } else {
      check.refuse(bytes, index);
      hasInvalid = true;
    }
  }
  if (hasInvalid && fixes) yield* writeL2(image, table, 0, image.tableEntries, false);
}

function* markClean(image: QedImage): Steps<void> {
  try {
    // The repairs have to be there before the mark goes.
    yield flush(image.node);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
  image.needsCheck = false;
  try {
    yield writeHeader(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
