/** Truncate: the virtual disk made longer or shorter, with or without space for its content. */
import type { Preallocation, TruncateOptions } from '../../../block/driver.ts';
import { BlockError, errorWithErrno, prependError } from '../../../block/error.ts';
import { Req, SECTOR_BYTES } from '../../../block/flags.ts';
import type { ChildLink } from '../../../block/graph/node.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import { allocate, Allocation } from './allocate.ts';
import { checkTruncate, resizeBitmaps } from '../bitmaps/bitmaps.ts';
import { corrupt } from '../tables/corruption.ts';
import { abandonParts, linkPart, linkParts } from './cow.ts';
import { run } from '../../../util/steps.ts';
import { discardClusters } from './discard.ts';
import { writeCaches } from '../tables/header-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { explained, writeFileSync } from '../tables/io.ts';
import { growL1, shrinkL1 } from '../tables/l1.ts';
import { L2Meta } from './l2-meta.ts';
import { advance, type GuestOffset, type HostOffset, writeUint64 } from '../format/offsets.ts';
import { commitOptions, prepareOptions } from '../options.ts';
import { allocateClustersAt, freeClusters, getRefcount, previousCovered } from '../refcounts/refcounts.ts';
import { makeRefcountArea } from '../refcounts/grow.ts';
import { shrinkRefcountTable } from '../refcounts/shrink.ts';
import { writeRange } from './write.ts';
import { zeroSubclusters } from './zero.ts';

/** Where the length of the disk is in the header. */
const HEADER_LENGTH = 24;
const INT_MAX = 0x7fff_ffff;

/** Sets the length of the virtual disk, a multiple of 512. ZERO_WRITE: what is new reads as zeroes, whatever is below. */
export async function truncateImage(image: Qcow2Image, length: number, options: TruncateOptions): Promise<void> {
  if (length % SECTOR_BYTES !== 0) {
    throw new BlockError(Errno.EINVAL, `The new size must be a multiple of ${SECTOR_BYTES}`);
  }
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  try {
    await truncateLocked(image, length, options);
  } finally {
    image.lock.unlock();
  }
}

async function truncateLocked(
  image: Qcow2Image,
  length: number,
  { exact, preallocation, flags }: TruncateOptions,
): Promise<void> {
  if (image.snapshots.length > 0 && image.version < 3) {
    throw new BlockError(Errno.ENOTSUP, "Can't resize a v2 image which has snapshots");
  }
  await checkTruncate(image);
  const oldLength = image.lengthBytes;
  const l1EntryCount = Math.ceil(length / (image.l2Entries * image.clusterBytes));
  let mode = preallocation;
  let fileEnd: number | null = null;
  if (length < oldLength) {
    if (mode !== 'off') {
      throw new BlockError(Errno.EINVAL, "Preallocation can't be used for shrinking an image");
    }
    fileEnd = await shrink(image, length, oldLength, l1EntryCount);
  } else {
    await explained(growL1(image, l1EntryCount, true), 'Failed to grow the L1 table');
    // A raw data file must show the same as the image, so every new cluster has to be mapped to it.
    if (image.hasRawDataFile && mode === 'off') mode = 'metadata';
  }

  let restFlags = flags;
  if (mode === 'off') {
    if (image.hasDataFile) await truncate(image.dataFile, length, { exact });
  } else if (mode === 'metadata' || image.hasDataFile) {
    await preallocateMetadata(image, oldLength, length, mode);
  } else {
    restFlags = await preallocateData(image, oldLength, length, mode, flags);
  }
  if ((restFlags & Req.ZERO_WRITE) !== 0 && length > oldLength) await zeroNewArea(image, oldLength, length);
  if (mode !== 'off') await explained(() => writeCaches(image), 'Failed to flush the preallocated area to disk');

  image.node.totalSectors = length / SECTOR_BYTES;
  const field = Buffer.alloc(8);
  writeUint64(field, length, 0);
  await explained(writeFileSync(image, HEADER_LENGTH, field), 'Failed to update the image size');
  image.l1VmStateIndex = l1EntryCount;
  resizeBitmaps(image);
  try {
    // The default sizes of the caches follow from the length.
    commitOptions(image, await prepareOptions(image, image.node.options.clone(), image.node.openFlags));
  } finally {
    // Not before the caches are on disk, which the options have seen to: L2 tables would point behind the end of the file.
    // If they could not be written, the file becomes as short as QEMU makes it.
    if (fileEnd !== null) await cutFile(image, fileEnd);
  }
}

/** Gives back what lies behind a new length. Returns where the file can end then; null if there it ends already. */
async function shrink(
  image: Qcow2Image,
  length: number,
  oldLength: number,
  l1EntryCount: number,
): Promise<number | null> {
  const start = image.alignUpToCluster(length) as GuestOffset;
  await explained(
    discardClusters(image, start, Math.max(0, oldLength - start), DiscardReason.ALWAYS, true),
    'Failed to discard cropped clusters',
  );
  await explained(shrinkL1(image, l1EntryCount), 'Failed to reduce the number of L2 tables');
  await explained(shrinkRefcountTable(image), 'Failed to discard unused refblocks');
  const fileLength = lengthOf(image.file, 'Failed to inquire current file length');
  const last = await explained(lastUsedCluster(image, fileLength), 'Failed to find the last cluster');
  const end = (last + 1) * image.clusterBytes;
  return end >= fileLength ? null : end;
}

async function cutFile(image: Qcow2Image, end: number): Promise<void> {
  try {
    await truncate(image.file, end);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`warning: Failed to truncate the tail of the image: ${error.message}`);
  }
}

function lengthOf(child: ChildLink, message: string): number {
  try {
    return child.node.getLength();
  } catch (error) {
    if (error instanceof BlockError) throw errorWithErrno(error.errno, message);
    throw error;
  }
}

/** The last cluster of a file of this length that has a refcount. */
async function lastUsedCluster(image: Qcow2Image, fileLength: number): Promise<number> {
  for (let cluster = image.clustersFor(fileLength) - 1; ; cluster--) {
    cluster = previousCovered(image, cluster);
    if (cluster < 0) break;
    let refcount;
    try {
      refcount = await getRefcount(image, cluster);
    } catch (error) {
      if (error instanceof BlockError) {
        image.node.context.warn(`Can't get refcount for cluster ${cluster}: ${strerror(error.errno)}`);
      }
      throw error;
    }
    if (refcount > 0) return cluster;
  }
  return corrupt(image, 'There are no references in the refcount table.');
}

/** Maps the new area to new clusters. What is in them stays undefined in the file, and unwritten in the image. */
async function preallocateMetadata(
  image: Qcow2Image,
  oldLength: number,
  length: number,
  mode: Preallocation,
): Promise<void> {
  const maxBytes = INT_MAX - (INT_MAX % image.clusterBytes);
  const allocation = new Allocation();
  let end = 0;
  try {
    for (let position = oldLength as GuestOffset; position < length; position = advance(position, allocation.bytes)) {
      const bytes = Math.min(length - position, maxBytes);
      await explained(() => run(allocate(image, position, bytes, allocation)), 'Allocating clusters failed');
      for (let part = allocation.parts; part !== null; part = part.next) part.isPreallocation = true;
      await explained(() => run(linkParts(image, allocation)), 'Mapping clusters failed');
      end = allocation.host + allocation.bytes;
    }
    const fileLength = lengthOf(image.dataFile, 'Could not get file size');
    // Reading a cluster that is mapped must not run into the end of the file.
    if (end > fileLength) await truncate(image.dataFile, end, { preallocation: mode === 'metadata' ? 'off' : mode });
  } finally {
    await abandonParts(image, allocation);
  }
}

/** Makes space at the end of the file, as the file's driver does it, and maps the new area to it. Returns flags left. */
async function preallocateData(
  image: Qcow2Image,
  oldLength: number,
  length: number,
  mode: Preallocation,
  flags: number,
): Promise<number> {
  const { clusterBytes } = image;
  let fileEnd = lengthOf(image.file, 'Failed to inquire current file length');
  const last = await lastUsedClusterOrNone(image, fileEnd);
  fileEnd = last >= 0 ? (last + 1) * clusterBytes : image.alignUpToCluster(fileEnd);
  const clusterCount = (image.alignUpToCluster(length) - image.startOfCluster(oldLength)) / clusterBytes;
  // More than will be needed, so that mapping the clusters needs no new refcount blocks.
  const l2Tables = Math.ceil(clusterCount / image.l2Entries) + 1;
  const start = (await explained(
    makeRefcountArea(image, fileEnd, clusterCount + l2Tables, true, 0, 0),
    'Failed to resize refcount structures',
  )) as HostOffset;
  const taken = await explained(allocateClustersAt(image, start, clusterCount), 'Failed to allocate data clusters');
  // Only a corrupt image counts something behind its last cluster.
  if (taken !== clusterCount) throw errorWithErrno(Errno.EIO, 'Failed to allocate data clusters');

  const isZeroed = await growFile(image, start, clusterCount, mode, flags);
  await mapClusters(image, start, oldLength as GuestOffset, clusterCount, !isZeroed);
  return isZeroed ? flags & ~Req.ZERO_WRITE : flags;
}

async function lastUsedClusterOrNone(image: Qcow2Image, fileLength: number): Promise<number> {
  try {
    return await lastUsedCluster(image, fileLength);
  } catch (error) {
    if (error instanceof BlockError) return -1;
    throw error;
  }
}

/** Makes the file longer by the new clusters. True if they were zeroed, as `flags` may ask for. */
async function growFile(
  image: Qcow2Image,
  start: number,
  clusterCount: number,
  mode: Preallocation,
  flags: number,
): Promise<boolean> {
  const bytes = clusterCount * image.clusterBytes;
  if ((flags & Req.ZERO_WRITE) !== 0) {
    try {
      await truncate(image.file, start + bytes, { preallocation: mode, flags: Req.ZERO_WRITE });
      return true;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
    }
  }
  try {
    await truncate(image.file, start + bytes, { preallocation: mode });
    return false;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    await freeClusters(image, start, bytes, DiscardReason.OTHER);
    throw prependError(error, 'Failed to resize underlying file: ');
  }
}

async function mapClusters(
  image: Qcow2Image,
  start: HostOffset,
  oldLength: GuestOffset,
  clusterCount: number,
  isPreallocation: boolean,
): Promise<void> {
  let host = start;
  let guest = oldLength;
  for (let rest = clusterCount; rest > 0; ) {
    const count = Math.min(rest, image.sliceEntries - image.sliceIndexOf(guest));
    const part = new L2Meta(image, {
      guest: image.startOfCluster(guest),
      host,
      clusterCount: count,
      keepsOldClusters: false,
      // What the last cluster held before stays.
      head: { offset: 0, bytes: image.intoCluster(guest) },
      tail: { offset: count * image.clusterBytes, bytes: 0 },
      next: null,
    });
    part.isPreallocation = isPreallocation;
    try {
      await run(linkPart(image, part));
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      await freeClusters(image, host, rest * image.clusterBytes, DiscardReason.OTHER);
      throw errorWithErrno(error.errno, 'Failed to update L2 tables');
    }
    guest = advance(part.guest, count * image.clusterBytes);
    host = advance(host, count * image.clusterBytes);
    rest -= count;
  }
}

/** Makes the new area read as zeroes: by whole subclusters, and by a write in front of the first one. */
async function zeroNewArea(image: Qcow2Image, oldLength: number, length: number): Promise<void> {
  const zeroStart = Math.ceil(oldLength / image.subclusterBytes) * image.subclusterBytes;
  if (length > zeroStart) {
    await explained(
      zeroSubclusters(image, zeroStart as GuestOffset, length - zeroStart, 0),
      'Failed to zero out new clusters',
    );
  }
  if (zeroStart <= oldLength) return;
  const zeroes = image.node.context.allocate(Math.min(zeroStart, length) - oldLength);
  image.lock.unlock();
  try {
    const writing = (async () => writeRange(image, oldLength as GuestOffset, zeroes))();
    await explained(writing, 'Failed to zero out the new area');
  } finally {
    const locking = image.lock.lock();
    if (locking !== undefined) await locking;
  }
}
