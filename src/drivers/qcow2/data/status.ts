/** Block status and the numbers about the image. */
import type { BlockStatus, DirtyBitmap, DriverInfo, SpecificInfo } from '../../../block/driver.ts';
import { BlockError } from '../../../block/error.ts';
import { Status } from '../../../block/flags.ts';
import type { BlockNode } from '../../../block/graph/node.ts';
import { inQemuOrder } from '../../../block/options/options.ts';
import { type Answer, run, type Steps } from '../../../util/steps.ts';
import { Compatible, Compression, Incompatible } from '../format/features.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { hasHost, Subcluster } from '../format/l2-entry.ts';
import { lookUp, Mapping } from './mapping.ts';
import type { GuestOffset } from '../format/offsets.ts';
import { getRefcount } from '../refcounts/refcounts.ts';
import { nextCovered } from '../refcounts/used-clusters.ts';

const INT_MAX = 0x7fff_ffff;

/**
 * The content of the image itself, without its backing file, at a guest offset: at most `bytes`, and as far as it is of
 * one kind. Takes the lock. What reading the L2 table throws.
 */
export function statusOf(image: Qcow2Image, guest: GuestOffset, bytes: number): Answer<BlockStatus> {
  const mapping = new Mapping();
  const most = Math.min(bytes, INT_MAX);
  const looking = image.lock.hold(() =>
    image.isPreallocated === null ? run(lookUpFirst(image, guest, most, mapping)) : lookUp(image, guest, most, mapping),
  );
  return looking === undefined ? statusFrom(image, mapping) : run(statusWhenKnown(looking, image, mapping));
}

/** The first question, which finds out as well whether metadata was preallocated. */
function* lookUpFirst(image: Qcow2Image, guest: GuestOffset, bytes: number, mapping: Mapping): Steps<void> {
  image.isPreallocated = yield* looksPreallocated(image);
  yield lookUp(image, guest, bytes, mapping);
}

function* statusWhenKnown(looking: Promise<void>, image: Qcow2Image, mapping: Mapping): Steps<BlockStatus> {
  yield looking;
  return statusFrom(image, mapping);
}

function statusFrom(image: Qcow2Image, mapping: Mapping): BlockStatus {
  const { type } = mapping;
  let flags = 0;
  // Where encrypted data lies is not where it could be read.
  const isMapped = hasHost(type) && image.encryption === null;
  if (isMapped) flags |= Status.OFFSET_VALID;
  if (type === Subcluster.ZERO_PLAIN || type === Subcluster.ZERO_ALLOC) flags |= Status.ZERO;
  else if (type === Subcluster.NORMAL || type === Subcluster.COMPRESSED) flags |= Status.DATA;
  const isMappedData = Status.DATA | Status.OFFSET_VALID;
  if (image.isPreallocated === true && (flags & isMappedData) === isMappedData) flags |= Status.RECURSE;
  return {
    flags,
    bytes: mapping.bytes,
    map: isMapped ? mapping.host : 0,
    file: isMapped ? image.dataFile.node : null,
  };
}

/** The space that a node takes on the host, as far as its driver can say. */
function allocatedBytes(node: BlockNode): number | null {
  const { driver } = node;
  if (driver.getAllocatedBytes !== undefined) return driver.getAllocatedBytes(node);
  if (driver.protocolName !== undefined) return null;
  if (node.filteredChild !== null) return allocatedBytes(node.filteredChild.node);
  return null;
}

/**
 * Whether far more clusters are counted than the file has space for: then metadata was preallocated, and what L2 calls
 * data may be holes. The lock is held.
 */
function* looksPreallocated(image: Qcow2Image): Steps<boolean> {
  try {
    const { node } = image.file;
    const fileLength = node.getLength();
    const bytes = allocatedBytes(node);
    if (bytes === null) return false;
    const real = Math.floor(bytes / image.clusterBytes);
    const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
    const end = image.clustersFor(fileLength);
    let counted = 0;
    for (let cluster = 0; counted < threshold; cluster++) {
      cluster = nextCovered(image, cluster, end);
      if (cluster >= end) break;
      const answer = getRefcount(image, cluster);
      const refcount: number = typeof answer === 'number' ? answer : yield answer;
      if (refcount !== 0) counted += 1;
    }
    return counted >= threshold;
  } catch (error) {
    if (error instanceof BlockError) return false;
    throw error;
  }
}

/** The numbers for `info`: the sizes of clusters and subclusters, and the offset of the VM state in bytes. */
export function infoOf(image: Qcow2Image): DriverInfo {
  return {
    clusterBytes: image.clusterBytes,
    subclusterBytes: image.subclusterBytes,
    vmStateOffset: image.vmStateOffset,
    isDirty: !image.needsAccurateRefcounts,
  };
}

/** The persistent bitmap of this name; null if there is none. */
export function findBitmap({ bitmaps, lengthBytes }: Qcow2Image, name: string): DirtyBitmap | null {
  const bitmap = bitmaps.find((one) => one.name.equals(Buffer.from(name)));
  if (bitmap === undefined) return null;
  const { bits, granularityBits } = bitmap;
  return { lengthBytes, granuleBytes: 2 ** granularityBits, runs: bits === null ? null : () => bits.runs() };
}

/** The values that `info` prints about the format, in the order in which it does. Throws as reading bitmaps does. */
export async function specificInfoOf(image: Qcow2Image): Promise<SpecificInfo> {
  const always = {
    'refcount-bits': 1 << image.refcountOrder,
    'compression-type': image.compressionType === Compression.ZSTD ? 'zstd' : 'zlib',
  };
  const encrypt = image.encryption === null ? {} : { encrypt: image.encryption.info };
  if (image.version === 2) return inQemuOrder({ compat: '0.10', ...always, ...encrypt });
  const bitmaps = image.bitmapCount === 0 ? [] : await bitmapsOf(image);
  return inQemuOrder({
    compat: '1.1',
    ...(image.dataFileName === null ? {} : { 'data-file': image.dataFileName.toString('utf8') }),
    ...(image.hasDataFile ? { 'data-file-raw': image.hasRawDataFile } : {}),
    'extended-l2': image.hasSubclusters,
    'lazy-refcounts': (image.compatible & Compatible.LAZY_REFCOUNTS) !== 0n,
    corrupt: (image.incompatible & Incompatible.CORRUPT) !== 0n,
    ...(bitmaps.length > 0 ? { bitmaps } : {}),
    ...always,
    ...encrypt,
  });
}

async function bitmapsOf(image: Qcow2Image): Promise<SpecificInfo[]> {
  const { bitmapInfo } = await import('../bitmaps/bitmaps.ts');
  return run(bitmapInfo(image));
}
