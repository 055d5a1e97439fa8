/** Space for the new part of a disk that is made longer: mapped to clusters before anything is written there. */
import type { Preallocation } from '../../../block/driver.ts';
import { BlockError, errorWithErrno, prependError, stepsWithContext, withContext } from '../../../block/error.ts';
import { Req } from '../../../block/flags.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { advance, type GuestOffset, type HostOffset } from '../format/offsets.ts';
import { makeRefcountArea } from '../refcounts/grow.ts';
import { allocateClustersAt, freeClusters } from '../refcounts/refcounts.ts';
import { lastUsedCluster } from '../refcounts/used-clusters.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { Allocation, PendingL2Update } from '../tables/pending-update.ts';
import { allocate } from './allocate.ts';
import { abandonParts, linkParts } from './cow.ts';

const INT_MAX = 0x7fff_ffff;

/** Maps the new area to new clusters. What is in them stays undefined in the file, and unwritten in the image. */
export function* preallocateMetadata(
  image: Qcow2Image,
  oldLength: number,
  length: number,
  mode: Preallocation,
): Steps<void> {
  const maxBytes = INT_MAX - (INT_MAX % image.clusterBytes);
  const allocation = new Allocation();
  let end = 0;
  try {
    for (let position = oldLength as GuestOffset; position < length; position = advance(position, allocation.bytes)) {
      yield image.loop.breathe();
      const bytes = Math.min(length - position, maxBytes);
      allocation.clear();
      yield* stepsWithContext('Allocating clusters failed', allocate(image, position, bytes, allocation));
      for (let part = allocation.parts; part !== null; part = part.next) part.isPreallocation = true;
      yield* stepsWithContext('Mapping clusters failed', linkParts(image, allocation));
      end = allocation.host + allocation.bytes;
    }
    const fileLength = withContext('Could not get file size', () => image.dataFile.node.getLength());
    // Reading a cluster that is mapped must not run into the end of the file.
    if (end > fileLength) yield truncate(image.dataFile, end, { preallocation: mode === 'metadata' ? 'off' : mode });
  } finally {
    yield abandonParts(image, allocation);
  }
}

/**
 * Makes space at the end of the file, as the file's driver does it, and maps the new area to it. Returns flags left.
 */
export function* preallocateData(
  image: Qcow2Image,
  oldLength: number,
  length: number,
  mode: Preallocation,
  flags: number,
): Steps<number> {
  const { clusterBytes } = image;
  let fileEnd = withContext('Failed to inquire current file length', () => image.file.node.getLength());
  const last = yield* lastUsedClusterOrNone(image, fileEnd);
  fileEnd = last >= 0 ? (last + 1) * clusterBytes : image.alignUpToCluster(fileEnd);
  const clusterCount = (image.alignUpToCluster(length) - image.startOfCluster(oldLength)) / clusterBytes;
  // More than will be needed, so that mapping the clusters needs no new refcount blocks.
  const l2Tables = Math.ceil(clusterCount / image.l2Entries) + 1;
  const start = (yield* stepsWithContext(
    'Failed to resize refcount structures',
    makeRefcountArea(image, { start: fileEnd, extraClusters: clusterCount + l2Tables, exact: true, newBlock: null }),
  )) as HostOffset;
  const taken = yield* stepsWithContext(
    'Failed to allocate data clusters',
    allocateClustersAt(image, start, clusterCount),
  );
  // Only a corrupt image counts something behind its last cluster.
  if (taken !== clusterCount) throw errorWithErrno(Errno.EIO, 'Failed to allocate data clusters');

  const isZeroed = yield* growFile(image, start, clusterCount, mode, flags);
  yield* mapClusters(image, start, oldLength as GuestOffset, clusterCount, !isZeroed);
  return isZeroed ? flags & ~Req.ZERO_WRITE : flags;
}

function* lastUsedClusterOrNone(image: Qcow2Image, fileLength: number): Steps<number> {
  try {
    return yield* lastUsedCluster(image, fileLength);
  } catch (error) {
    if (error instanceof BlockError) return -1;
    throw error;
  }
}

/** Makes the file longer by the new clusters. True if they were zeroed, as `flags` may ask for. */
function* growFile(
  image: Qcow2Image,
  start: number,
  clusterCount: number,
  mode: Preallocation,
  flags: number,
): Steps<boolean> {
  const bytes = clusterCount * image.clusterBytes;
  if ((flags & Req.ZERO_WRITE) !== 0) {
    try {
      yield truncate(image.file, start + bytes, { preallocation: mode, flags: Req.ZERO_WRITE });
      return true;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
    }
  }
  try {
    yield truncate(image.file, start + bytes, { preallocation: mode });
    return false;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    yield* freeClusters(image, start, bytes, DiscardReason.OTHER);
    throw prependError(error, 'Failed to resize underlying file: ');
  }
}

function* mapClusters(
  image: Qcow2Image,
  start: HostOffset,
  oldLength: GuestOffset,
  clusterCount: number,
  isPreallocation: boolean,
): Steps<void> {
  let host = start;
  let guest = oldLength;
  for (let rest = clusterCount; rest > 0; ) {
    const count = Math.min(rest, image.sliceEntries - image.sliceIndexOf(guest));
    const end = count * image.clusterBytes;
    const bytes = end - image.intoCluster(guest);
    // What the last cluster held before stays.
    const part = new PendingL2Update(
      image,
      { cluster: host, position: guest, bytes, keepsOldClusters: false },
      0,
      end,
      null,
    );
    part.isPreallocation = isPreallocation;
    const mapped = new Allocation();
    mapped.parts = part;
    try {
      yield image.loop.breathe();
      yield* linkParts(image, mapped);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      yield* freeClusters(image, host, rest * image.clusterBytes, DiscardReason.OTHER);
      throw errorWithErrno(error.errno, 'Failed to update L2 tables');
    }
    guest = advance(guest, bytes);
    host = advance(host, end);
    rest -= count;
  }
}
