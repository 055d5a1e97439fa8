/** Where a guest range is: the lookup through L1 and L2, for reads and block status. */
import { readBe32 } from '../../util/big-endian.ts';
import { corrupt } from './corruption.ts';
import type { Qcow2Image } from './image.ts';
import { Subcluster, subclusterRun, subclusterType } from './l2-entry.ts';
import { type GuestOffset, entryOffset, hex, type HostOffset } from './offsets.ts';

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
export function lookUp(
  image: Qcow2Image,
  guest: GuestOffset,
  bytes: number,
  result: Mapping,
): Promise<void> | undefined {
  const into = image.intoCluster(guest);
  const untilSliceEnd = (image.sliceEntries - image.sliceIndexOf(guest)) * image.clusterBytes;
  const needed = Math.min(bytes + into, untilSliceEnd);
  const l1Index = image.l1IndexOf(guest);
  const l2Offset = l1Index < image.l1.entryCount ? image.l1.l2Offset(l1Index) : 0;
  if (l2Offset === 0) {
    result.type = Subcluster.UNALLOCATED_PLAIN;
    result.host = 0 as HostOffset;
    result.bytes = needed - into;
    return undefined;
  }
  if (image.intoCluster(l2Offset) !== 0) return refuseL2Offset(image, l2Offset, l1Index);
  const slot = image.l2Cache.get(l2Offset + image.sliceStartOf(guest));
  if (typeof slot === 'number') return lookUpIn(image, slot, guest, needed, l2Offset, result);
  return lookUpWhenLoaded(image, slot, guest, needed, l2Offset, result);
}

/** Whether nobody holds the lock and the table is cached, if there is one: then looking up takes no time, and no lock. */
export function canLookUpNow(image: Qcow2Image, guest: GuestOffset): boolean {
  if (image.lock.isLocked) return false;
  const l1Index = image.l1IndexOf(guest);
  if (l1Index >= image.l1.entryCount) return true;
  const l2Offset = image.l1.l2Offset(l1Index);
  return l2Offset === 0 || image.l2Cache.find(l2Offset + image.sliceStartOf(guest)) !== -1;
}

/** Marks the image corrupt for an L1 entry that points between clusters; rejects with EIO. */
export function refuseL2Offset(image: Qcow2Image, l2Offset: number, l1Index: number): Promise<never> {
  return corrupt(image, `L2 table offset ${hex(l2Offset)} unaligned (L1 index: ${hex(l1Index)})`);
}

async function lookUpWhenLoaded(
  image: Qcow2Image,
  slot: Promise<number>,
  guest: GuestOffset,
  needed: number,
  l2Offset: number,
  result: Mapping,
): Promise<void> {
  await lookUpIn(image, await slot, guest, needed, l2Offset, result);
}

function lookUpIn(
  image: Qcow2Image,
  slot: number,
  guest: GuestOffset,
  needed: number,
  l2Offset: number,
  result: Mapping,
): Promise<void> | undefined {
  const table = image.l2Cache.table(slot);
  const index = image.sliceIndexOf(guest);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  const zero = image.hasSubclusters ? readBe32(table, at + 8) : 0;
  const allocated = image.hasSubclusters ? readBe32(table, at + 12) : 0;
  const first = image.subclusterIndexOf(guest);
  const type = subclusterType(image, high, low, allocated, zero, first);
  const into = image.intoCluster(guest);

  let problem: string | null = null;
  const host = entryOffset(high, low);
  result.type = type;
  result.host = 0 as HostOffset;
  if (image.version < 3 && (type === Subcluster.ZERO_PLAIN || type === Subcluster.ZERO_ALLOC)) {
    problem = `Zero cluster entry found in pre-v3 image ${place(l2Offset, index)}`;
  } else if (type === Subcluster.COMPRESSED) {
    if (image.hasDataFile)
      problem = `Compressed cluster entry found in image with external data file ${place(l2Offset, index)}`;
    result.high = high;
    result.low = low;
  } else if (hasHost(type)) {
    result.host = (host + into) as HostOffset;
    if (image.intoCluster(host) !== 0) {
      problem = `Cluster allocation offset ${hex(host)} unaligned ${place(l2Offset, index)}`;
    } else if (image.hasDataFile && result.host !== (guest as number)) {
      problem =
        `External data file host cluster offset ${hex(host)} does not match guest cluster offset: ` +
        `${hex(guest - into)}, L2 index: ${hex(index)})`;
    }
  }
  let run = 0;
  if (problem === null) {
    run = countAlike(image, table, index, image.clustersFor(needed), first, type);
    if (run < 0) problem = `Invalid cluster entry found  ${place(l2Offset, -1 - run)}`;
  }
  image.l2Cache.put(slot);
  if (problem !== null) return corrupt(image, problem);
  result.bytes = Math.min((run + first) * image.subclusterBytes, needed) - into;
  return undefined;
}

/** Where an entry is, as messages say it. */
export function place(l2Offset: number, index: number): string {
  return `(L2 offset: ${hex(l2Offset)}, L2 index: ${hex(index)})`;
}

function hasHost(type: number): boolean {
  return type === Subcluster.NORMAL || type === Subcluster.ZERO_ALLOC || type === Subcluster.UNALLOCATED_ALLOC;
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
