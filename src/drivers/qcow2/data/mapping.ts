/** Where a guest range is: the lookup through L1 and L2, for reads and block status. */
import { assert } from '../../../util/assert.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { corrupt } from '../tables/corruption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { hasHost, Subcluster, subclusterRun, subclusterType } from '../format/l2-entry.ts';
import { type GuestOffset, entryOffset, hex, type HostOffset } from '../format/offsets.ts';

/** The answer of `lookUp`; made once for a request and filled again for each part of it. */
export class Mapping {
  /** A value of `Subcluster`, never INVALID. */
  type: number = Subcluster.UNALLOCATED_PLAIN;
  /** Bytes from the offset asked for with this type, and contiguous in the file. */
  bytes = 0;
  /** Where they are, for the types that have a host cluster. */
  host = 0 as HostOffset;
  /** The entry itself, for a compressed cluster. */
  high = 0;
  low = 0;
}

/**
 * Looks up `bytes` at a guest offset. The answer is for as many of them as are alike, at most to the end of the table
 * slice; a compressed cluster is alone. EIO, the image marked corrupt, for what no entry may be. The lock is held.
 */
export function lookUp(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Mapping): Pending {
  assert(image.lock.isLocked, 'the lock is held');
  const l1Index = image.l1IndexOf(guest);
  const l2Offset = l1Index < image.l1.entryCount ? image.l1.l2Offset(l1Index) : 0;
  if (l2Offset === 0) {
    findNothing(image, guest, bytes, result);
    return undefined;
  }
  if (image.intoCluster(l2Offset) !== 0) return run(refuseL2Offset(image, l2Offset, l1Index));
  const slot = image.l2Cache.get(l2Offset + image.sliceStartOf(guest));
  if (typeof slot === 'number') return lookUpIn(image, slot, guest, bytes, result);
  return run(lookUpWhenLoaded(image, slot, guest, bytes, result));
}

function* lookUpWhenLoaded(
  image: Qcow2Image,
  slot: Promise<number>,
  guest: GuestOffset,
  bytes: number,
  result: Mapping,
): Steps<Pending> {
  return lookUpIn(image, yield slot, guest, bytes, result);
}

/** Fills the answer from a slice that is held, and puts it back. */
function lookUpIn(image: Qcow2Image, slot: number, guest: GuestOffset, bytes: number, result: Mapping): Pending {
  const problem = readEntry(image, image.l2Cache.table(slot), guest, bytes, result);
  image.l2Cache.put(slot);
  return problem === null ? undefined : run(corrupt(image, problem));
}

/** The answer where there is no L2 table. */
function findNothing(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Mapping): void {
  const into = image.intoCluster(guest);
  result.type = Subcluster.UNALLOCATED_PLAIN;
  result.host = 0 as HostOffset;
  result.bytes = withinSlice(image, image.sliceIndexOf(guest), into + bytes) - into;
}

/** `bytes` from the start of the cluster at `index` of a slice on, cut at the end of the slice. */
function withinSlice(image: Qcow2Image, index: number, bytes: number): number {
  return Math.min(bytes, (image.sliceEntries - index) * image.clusterBytes);
}

/** Marks the image corrupt for an L1 entry that points between clusters; EIO. */
export function refuseL2Offset(image: Qcow2Image, l2Offset: number, l1Index: number): Steps<never> {
  return corrupt(image, `L2 table offset ${hex(l2Offset)} unaligned (L1 index: ${hex(l1Index)})`);
}

/** Fills the answer from a slice. Returns the problem of an entry that must not be, or null. */
function readEntry(
  image: Qcow2Image,
  table: Buffer,
  guest: GuestOffset,
  bytes: number,
  result: Mapping,
): string | null {
  const index = image.sliceIndexOf(guest);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  const zero = image.hasSubclusters ? readBe32(table, at + 8) : 0;
  const allocated = image.hasSubclusters ? readBe32(table, at + 12) : 0;
  const first = image.subclusterIndexOf(guest);
  const type = subclusterType(image, high, low, allocated, zero, first);
  const into = image.intoCluster(guest);

  const host = entryOffset(high, low);
  result.type = type;
  result.host = 0 as HostOffset;
  if (image.version < 3 && (type === Subcluster.ZERO_PLAIN || type === Subcluster.ZERO_ALLOC)) {
    return `Zero cluster entry found in pre-v3 image ${placeOf(image, guest, index)}`;
  }
  if (type === Subcluster.COMPRESSED) {
    if (image.hasDataFile) {
      return `Compressed cluster entry found in image with external data file ${placeOf(image, guest, index)}`;
    }
    result.high = high;
    result.low = low;
  } else if (hasHost(type)) {
    result.host = (host + into) as HostOffset;
    if (image.intoCluster(host) !== 0) {
      return `Cluster allocation offset ${hex(host)} unaligned ${placeOf(image, guest, index)}`;
    }
    if (image.hasDataFile && result.host !== (guest as number)) {
      return (
        `External data file host cluster offset ${hex(host)} does not match guest cluster offset: ` +
        `${hex(guest - into)}, L2 index: ${hex(index)})`
      );
    }
  }
  const needed = withinSlice(image, index, into + bytes);
  // A cluster alone, without subclusters, is as its entry says.
  const isAlone = needed <= image.clusterBytes && !image.hasSubclusters;
  const run = isAlone ? 1 : countAlike(image, table, index, image.clustersFor(needed), first, type);
  if (run < 0) return `Invalid cluster entry found  ${placeOf(image, guest, -1 - run)}`;
  result.bytes = Math.min((run + first) * image.subclusterBytes, needed) - into;
  return null;
}

/** Where an entry of the table with a guest offset is, as messages say it. */
export function placeOf(image: Qcow2Image, guest: GuestOffset, index: number): string {
  return `(L2 offset: ${hex(image.l1.l2Offset(image.l1IndexOf(guest)))}, L2 index: ${hex(index)})`;
}

/**
 * How many subclusters from a place in a slice on have the same type, those with a host cluster being contiguous there;
 * at most `clusterCount` clusters are looked at. -1 - index if the entry at this index is invalid.
 */
function countAlike(
  image: Qcow2Image,
  table: Buffer,
  index: number,
  clusterCount: number,
  firstSubcluster: number,
  wanted: number,
): number {
  const { l2EntryBytes, hasSubclusters, subclustersPerCluster, clusterBytes } = image;
  const mustFollow = hasHost(wanted);
  let count = 0;
  let expectedHost = 0;
  for (let step = 0; step < clusterCount; step++) {
    const at = (index + step) * l2EntryBytes;
    const high = readBe32(table, at);
    const low = readBe32(table, at + 4);
    const zero = hasSubclusters ? readBe32(table, at + 8) : 0;
    const allocated = hasSubclusters ? readBe32(table, at + 12) : 0;
    const first = step === 0 ? firstSubcluster : 0;
    const type = subclusterType(image, high, low, allocated, zero, first);
    if (type === Subcluster.INVALID) return -1 - (index + step);
    const run = subclusterRun(image, type, allocated, zero, first);
    if (step === 0) {
      if (type === Subcluster.COMPRESSED) return run;
      expectedHost = entryOffset(high, low);
    } else {
      if (type !== wanted) break;
      expectedHost += clusterBytes;
      if (mustFollow && entryOffset(high, low) !== expectedHost) break;
    }
    count += run;
    if (first + run < subclustersPerCluster) break;
  }
  return count;
}
