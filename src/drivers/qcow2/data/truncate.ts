/** Truncate: the virtual disk made longer or shorter, with or without space for its content. */
import type { TruncateOptions } from '../../../block/driver.ts';
import { BlockError, invalidArgument, stepsWithContext, withContext } from '../../../block/error.ts';
import { Req, SECTOR_BYTES } from '../../../block/flags.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { Errno } from '../../../util/errno.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { HeaderField } from '../format/header-fields.ts';
import { type GuestOffset, writeUint64 } from '../format/offsets.ts';
import { growL1, shrinkL1 } from '../refcounts/l1-resize.ts';
import { shrinkRefcountTable } from '../refcounts/shrink.ts';
import { lastUsedCluster } from '../refcounts/used-clusters.ts';
import { writeCaches } from '../tables/header-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFileSync } from '../tables/io.ts';
import { commitOptions, prepareOptions } from '../tables/options.ts';
import { discardClusters } from './discard.ts';
import { preallocateData, preallocateMetadata } from './preallocate.ts';
import { writeRange } from './write.ts';
import { zeroSubclusters } from './zero.ts';

/**
 * Sets the length of the virtual disk, a multiple of 512. ZERO_WRITE: what is new reads as zeroes, whatever is below.
 */
export function* truncateImage(image: Qcow2Image, length: number, options: TruncateOptions): Steps<void> {
  if (length % SECTOR_BYTES !== 0) {
    throw invalidArgument(`The new size must be a multiple of ${SECTOR_BYTES}`);
  }
  yield* image.lock.holding(truncateLocked(image, length, options));
}

function* truncateLocked(
  image: Qcow2Image,
  length: number,
  { exact, preallocation, flags }: TruncateOptions,
): Steps<void> {
  if (image.snapshots.length > 0 && image.version < 3) {
    throw new BlockError(Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
  }
  if (image.bitmapCount > 0) yield checkBitmaps(image);
  const oldLength = image.lengthBytes;
  const l1EntryCount = image.l1EntriesFor(length);
  let mode = preallocation;
  let fileEnd: number | null = null;
  if (length < oldLength) {
    if (mode !== 'off') {
      throw invalidArgument("Preallocation can't be used for shrinking an image");
    }
    fileEnd = yield* shrink(image, length, oldLength, l1EntryCount);
  } else {
    yield* stepsWithContext('Failed to grow the L1 table', growL1(image, l1EntryCount, { exact: true }));
    // A raw data file must show the same as the image, so every new cluster has to be mapped to it.
    if (image.hasRawDataFile && mode === 'off') mode = 'metadata';
  }

  let restFlags = flags;
  if (mode === 'off') {
    if (image.hasDataFile) yield truncate(image.dataFile, length, { exact });
  } else if (mode === 'metadata' || image.hasDataFile) {
    yield* preallocateMetadata(image, oldLength, length, mode);
  } else {
    restFlags = yield* preallocateData(image, oldLength, length, mode, flags);
  }
  if ((restFlags & Req.ZERO_WRITE) !== 0 && length > oldLength) yield* zeroNewArea(image, oldLength, length);
  if (mode !== 'off') yield withContext('Failed to flush the preallocated area to disk', () => writeCaches(image));

  image.node.totalSectors = length / SECTOR_BYTES;
  const field = Buffer.alloc(8);
  writeUint64(field, length, 0);
  yield* stepsWithContext('Failed to update the image size', writeFileSync(image, HeaderField.LENGTH, field));
  image.l1VmStateIndex = l1EntryCount;
  for (const { bits } of image.bitmaps) bits?.resize(image.lengthBytes);
  try {
    // The default sizes of the caches follow from the length.
    const options = image.node.options.clone();
    commitOptions(image, yield* prepareOptions(image, options, image.node.openFlags, 'open'));
  } finally {
    // Not before the caches are on disk, which the options have seen to: L2 tables would point behind the end of the
    // file. If they could not be written, the file becomes as short as QEMU makes it.
    if (fileEnd !== null) yield* cutFile(image, fileEnd);
  }
}

/** Throws ENOTSUP if a bitmap stands in the way. */
async function checkBitmaps(image: Qcow2Image): Promise<void> {
  const { checkTruncate } = await import('../bitmaps/bitmaps.ts');
  await run(checkTruncate(image));
}

/** Gives back what lies behind a new length. Returns where the file can end then; null if there it ends already. */
function* shrink(image: Qcow2Image, length: number, oldLength: number, l1EntryCount: number): Steps<number | null> {
  const start = image.alignUpToCluster(length) as GuestOffset;
  yield* stepsWithContext(
    'Failed to discard cropped clusters',
    discardClusters(image, start, Math.max(0, oldLength - start), { reason: DiscardReason.ALWAYS, full: true }),
  );
  yield* stepsWithContext('Failed to reduce the number of L2 tables', shrinkL1(image, l1EntryCount));
  yield* stepsWithContext('Failed to discard unused refblocks', shrinkRefcountTable(image));
  const fileLength = withContext('Failed to inquire current file length', () => image.file.node.getLength());
  const last = yield* stepsWithContext('Failed to find the last cluster', lastUsedCluster(image, fileLength));
  const end = (last + 1) * image.clusterBytes;
  return end >= fileLength ? null : end;
}

function* cutFile(image: Qcow2Image, end: number): Steps<void> {
  try {
    yield truncate(image.file, end);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`warning: Failed to truncate the tail of the image: ${error.message}`);
  }
}

/** Makes the new area read as zeroes: by whole subclusters, and by a write in front of the first one. */
function* zeroNewArea(image: Qcow2Image, oldLength: number, length: number): Steps<void> {
  const zeroStart = Math.ceil(oldLength / image.subclusterBytes) * image.subclusterBytes;
  if (length > zeroStart) {
    yield* stepsWithContext(
      'Failed to zero out new clusters',
      zeroSubclusters(image, zeroStart as GuestOffset, length - zeroStart, 0),
    );
  }
  if (zeroStart <= oldLength) return;
  const bytes = Math.min(zeroStart, length) - oldLength;
  yield* image.lock.releasing(
    stepsWithContext('Failed to zero out the new area', writeZeroData(image, oldLength as GuestOffset, bytes)),
  );
}

function* writeZeroData(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<void> {
  yield writeRange(image, guest, image.node.context.allocate(bytes));
}
