/**
 * Space for writes: which clusters of a guest range can be overwritten in place, which need new ones, and who waits for
 * whom.
 *
 * A write that takes new clusters enters them into the L2 table only after its data is written. Until then it is in
 * flight, and another write to the same clusters waits for it and begins anew:
 *
 *     A  4k@0   takes cluster X for 0..64k ---- writes data ---- enters X into L2 ---- wakes B
 *     B  4k@32k overlaps 0..64k: waits ................................................ finds X, overwrites in place
 */
import { REQUEST_MAX_BYTES } from '../../block/flags.ts';
import type { Pending } from '../../block/driver.ts';
import type { WaitReason } from '../../block/loop.ts';
import { traceWait } from '../../block/request/traced.ts';
import { type Answer, later, laterWith } from '../../util/answer.ts';
import { readBe32 } from '../../util/big-endian.ts';
import { corrupt } from './corruption.ts';
import { sliceForUpdate } from './cluster-table.ts';
import type { Qcow2Image } from './image.ts';
import { isOwnData, needsNewCluster } from './l2-entry.ts';
import type { L2Meta } from './l2-meta.ts';
import { advance, COPIED, entryOffset, type GuestOffset, hex, type HostOffset, ZERO } from './offsets.ts';
import { allocateClusters, allocateClustersAt } from './refcount.ts';
import { addPart, checkPart, NOTHING_TO_DO } from './write-parts.ts';

/** No place, or any. */
export const NOWHERE = -1 as HostOffset;

/** What `allocate` found: contiguous host space, and the parts of it that have yet to be entered into the L2 table. */
export class Allocation {
  host: HostOffset = NOWHERE;
  bytes = 0;
  /** Newest first. Must be linked or given back, also if `allocate` failed. */
  parts: L2Meta | null = null;
}

/** Where a search is, and what one step of it finds. */
interface Cursor {
  /** Where the next cluster has to be to continue what was found; NOWHERE if anywhere will do. */
  host: HostOffset;
  /** Bytes wanted at first, then those found. */
  bytes: number;
}

/** A search: what it has found so far ends at `position` and, in the file, at `host`. */
interface Search extends Cursor {
  position: GuestOffset;
  remaining: number;
}

/** Go on; there is no more to be had; begin anew, since it had to wait and what was found before may be wrong. */
const Step = { MORE: 0, END: 1, ANEW: 2 } as const;
type Step = (typeof Step)[keyof typeof Step];

/**
 * Finds space for a write of `bytes` at a guest offset: as many as can be written in one piece, which is at least one.
 * Waits for other writes that allocate the same clusters. The lock is held, and given up only while waiting.
 */
export function allocate(image: Qcow2Image, guest: GuestOffset, bytes: number, result: Allocation): Pending {
  result.host = NOWHERE;
  result.bytes = 0;
  result.parts = null;
  const search: Search = { host: NOWHERE, bytes: 0, position: guest, remaining: bytes };
  const last = searchOn(image, search, result);
  return typeof last === 'number'
    ? endSearch(last, image, guest, bytes, result, search)
    : laterWith(last, endSearch, image, guest, bytes, result, search);
}

function endSearch(
  last: Step,
  image: Qcow2Image,
  guest: GuestOffset,
  bytes: number,
  result: Allocation,
  search: Search,
): Pending {
  if (last === Step.ANEW) return allocate(image, guest, bytes, result);
  result.bytes = bytes - search.remaining;
  return undefined;
}

/** Takes steps as long as there is more to be found. */
function searchOn(image: Qcow2Image, search: Search, result: Allocation): Answer<Step> {
  while (search.remaining > 0) {
    const step = searchStep(image, search, result);
    if (typeof step === 'object') return laterWith(step, searchOnAfter, image, search, result);
    if (step !== Step.MORE) return step;
  }
  return Step.END;
}

function searchOnAfter(taken: Step, image: Qcow2Image, search: Search, result: Allocation): Answer<Step> {
  return taken === Step.MORE ? searchOn(image, search, result) : taken;
}

function searchStep(image: Qcow2Image, search: Search, result: Allocation): Answer<Step> {
  search.bytes = search.remaining;
  if (image.allocations.length > 0) {
    const conflict = findConflict(image, search.position, search.remaining, search, result.parts !== null);
    if (conflict !== null) return waitFor(image, conflict);
  }
  if (search.bytes === 0) return Step.END;
  const isFound = findSpace(image, search, result);
  return typeof isFound === 'boolean' ? endStep(isFound, search, result) : laterWith(isFound, endStep, search, result);
}

function endStep(isFound: boolean, search: Search, result: Allocation): Step {
  if (!isFound) return Step.END;
  if (result.host === NOWHERE) result.host = search.host;
  search.host = advance(search.host, search.bytes);
  search.position = advance(search.position, search.bytes);
  search.remaining -= search.bytes;
  return Step.MORE;
}

function findSpace(image: Qcow2Image, search: Search, result: Allocation): Answer<boolean> {
  const isInPlace = withSlice(image, search.position, findInPlace, search, result);
  return typeof isInPlace === 'boolean'
    ? findNewUnless(isInPlace, image, search, result)
    : laterWith(isInPlace, findNewUnless, image, search, result);
}

function findNewUnless(isFound: boolean, image: Qcow2Image, search: Search, result: Allocation): Answer<boolean> {
  if (isFound || search.bytes === 0) return isFound;
  return withSlice(image, search.position, findNew, search, result);
}

/**
 * Looks for writes in flight that allocate what this one touches. Cuts `cursor.bytes` where such a one begins; returns
 * it if it is in the way from the first byte on. With parts found already the search ends there instead.
 */
function findConflict(
  image: Qcow2Image,
  start: GuestOffset,
  wanted: number,
  cursor: Cursor,
  hasParts: boolean,
): L2Meta | null {
  let bytes = wanted;
  for (const other of image.allocations) {
    const end = start + bytes;
    const otherStart = image.startOfCluster(other.start);
    const otherEnd = image.alignUpToCluster(other.end);
    if (end <= otherStart || start >= otherEnd) continue;
    // The cluster is there already, and what is copied in it is somewhere else.
    if (other.keepsOldClusters && (end <= other.start || start >= other.end)) continue;
    bytes = start < otherStart ? otherStart - start : 0;
    if (bytes > 0) continue;
    cursor.bytes = 0;
    return hasParts ? null : other;
  }
  cursor.bytes = bytes;
  return null;
}

async function waitFor(image: Qcow2Image, other: L2Meta): Promise<Step> {
  const reason: WaitReason = { kind: 'allocation', blockedBy: other.owner };
  image.lock.unlock();
  traceWait(image.node, reason);
  await other.dependents.wait(reason);
  const wait = image.lock.lock();
  if (wait !== undefined) await wait;
  // Somebody else has changed the table meanwhile.
  return Step.ANEW;
}

/**
 * The host offset of a guest range that can be overwritten in place as a whole, all of it holding data already; NOWHERE
 * if it is not so simple, or if finding out would take time. Nobody holds the lock.
 */
export function findOverwritable(image: Qcow2Image, guest: GuestOffset, bytes: number): HostOffset {
  if (image.lock.isLocked || image.allocations.length > 0 || bytes > REQUEST_MAX_BYTES) return NOWHERE;
  const { l1, l2Cache } = image;
  const l1Index = image.l1IndexOf(guest);
  if (l1Index >= l1.entryCount || (l1.high(l1Index) & COPIED) === 0) return NOWHERE;
  const l2Offset = l1.l2Offset(l1Index);
  const index = image.sliceIndexOf(guest);
  const into = image.intoCluster(guest);
  const clusterCount = image.clustersFor(into + bytes);
  if (image.intoCluster(l2Offset) !== 0 || index + clusterCount > image.sliceEntries) return NOWHERE;
  const sliceOffset = l2Offset + image.sliceStartOf(guest);
  const slot = l2Cache.find(sliceOffset);
  if (slot === -1) return NOWHERE;

  const table = l2Cache.table(slot);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  const host = entryOffset(high, low);
  const isSimple =
    image.intoCluster(host) === 0 &&
    (clusterCount === 1 && !image.hasSubclusters
      ? isOwnData(image, high, low)
      : countForWrite(image, table, index, clusterCount, false) === clusterCount &&
        checkPart(image, table, index, clusterCount, into, into + bytes, true) === NOTHING_TO_DO);
  if (!isSimple) return NOWHERE;
  // In use just now.
  l2Cache.touch(slot);
  return advance(host, into);
}

/** How many clusters to look at, from the one with `position` on: within the slice and the longest request. */
function clusterLimit(image: Qcow2Image, position: GuestOffset, bytes: number): number {
  return Math.min(
    image.clustersFor(image.intoCluster(position) + bytes),
    image.sliceEntries - image.sliceIndexOf(position),
    Math.floor(REQUEST_MAX_BYTES / image.clusterBytes),
  );
}

/** A look into the slice that has a position's entry. True, with `cursor` set, if there are clusters to be had. */
type SliceLook = (
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
) => Answer<boolean>;

/** Clusters that can be overwritten where they are. If there are some but at the wrong place, `cursor.bytes` becomes 0. */
function findInPlace(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
): Answer<boolean> {
  const index = image.sliceIndexOf(position);
  const at = index * image.l2EntryBytes;
  const high = readBe32(table, at);
  const low = readBe32(table, at + 4);
  if (needsNewCluster(image, high, low)) return false;
  const cluster = entryOffset(high, low);
  const into = image.intoCluster(position);
  if (image.intoCluster(cluster) !== 0) {
    const what = (low & ZERO) !== 0 ? 'Preallocated zero' : 'Data';
    return corrupt(image, `${what} cluster offset ${hex(cluster)} unaligned (guest offset: ${hex(position)})`);
  }
  if (cursor.host !== NOWHERE && cluster !== cursor.host) {
    cursor.bytes = 0;
    return false;
  }
  const clusters = countForWrite(image, table, index, clusterLimit(image, position, cursor.bytes), false);
  cursor.bytes = Math.min(cursor.bytes, clusters * image.clusterBytes - into);
  cursor.host = advance(cluster, into);
  const refusing = addPart(image, table, cluster, position, cursor.bytes, true, result);
  return refusing === undefined ? true : later(refusing, yes);
}

/** New clusters for those that need them. False, and `cursor.bytes` 0, if there are none at the place wanted. */
function findNew(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  cursor: Cursor,
  result: Allocation,
): Answer<boolean> {
  const limit = clusterLimit(image, position, cursor.bytes);
  const wanted = countForWrite(image, table, image.sliceIndexOf(position), limit, true);
  if (image.hasDataFile) {
    const host = image.startOfCluster(position) as number as HostOffset;
    return useSpace(host, image, table, position, wanted, cursor, result);
  }
  if (cursor.host !== NOWHERE) return findNewAt(image, table, position, wanted, cursor, result);
  const host = allocateClusters(image, wanted * image.clusterBytes);
  return typeof host === 'number'
    ? useSpace(host, image, table, position, wanted, cursor, result)
    : laterWith(host, useSpace, image, table, position, wanted, cursor, result);
}

/** As `findNew` for clusters that have to continue those that were found before: as many as are free there. */
async function findNewAt(
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  wanted: number,
  cursor: Cursor,
  result: Allocation,
): Promise<boolean> {
  const start = image.startOfCluster(cursor.host);
  const count = await allocateClustersAt(image, start, wanted);
  return useSpace(start, image, table, position, count, cursor, result);
}

/** Makes clusters that were taken a part of the write. */
function useSpace(
  host: HostOffset,
  image: Qcow2Image,
  table: Buffer,
  position: GuestOffset,
  clusterCount: number,
  cursor: Cursor,
  result: Allocation,
): Answer<boolean> {
  if (clusterCount === 0) {
    cursor.bytes = 0;
    return false;
  }
  const into = image.intoCluster(position);
  cursor.host = advance(host, into);
  cursor.bytes = Math.min(cursor.bytes, clusterCount * image.clusterBytes - into);
  const refusing = addPart(image, table, host, position, cursor.bytes, false, result);
  return refusing === undefined ? true : later(refusing, yes);
}

function yes(): boolean {
  return true;
}

/** Looks into the slice that has a guest offset's entry, and holds it meanwhile. */
function withSlice(
  image: Qcow2Image,
  position: GuestOffset,
  look: SliceLook,
  cursor: Cursor,
  result: Allocation,
): Answer<boolean> {
  const slot = sliceForUpdate(image, position);
  return typeof slot === 'number'
    ? inSlice(slot, image, position, look, cursor, result)
    : laterWith(slot, inSlice, image, position, look, cursor, result);
}

function inSlice(
  slot: number,
  image: Qcow2Image,
  position: GuestOffset,
  look: SliceLook,
  cursor: Cursor,
  result: Allocation,
): Answer<boolean> {
  const { l2Cache } = image;
  let answer: Answer<boolean>;
  try {
    answer = look(image, l2Cache.table(slot), position, cursor, result);
  } catch (error) {
    l2Cache.put(slot);
    throw error;
  }
  if (typeof answer === 'object') return putAfter(answer, image, slot);
  l2Cache.put(slot);
  return answer;
}

async function putAfter(answer: Promise<boolean>, image: Qcow2Image, slot: number): Promise<boolean> {
  try {
    return await answer;
  } finally {
    image.l2Cache.put(slot);
  }
}

/**
 * How many clusters of a slice, from `index` on, one write can treat alike: all of them in need of a new cluster, or
 * all in place and contiguous.
 */
function countForWrite(image: Qcow2Image, table: Buffer, index: number, limit: number, isNew: boolean): number {
  let expected = -1;
  for (let count = 0; count < limit; count++) {
    const at = (index + count) * image.l2EntryBytes;
    const high = readBe32(table, at);
    const low = readBe32(table, at + 4);
    if (needsNewCluster(image, high, low) !== isNew) return count;
    if (isNew) continue;
    const host = entryOffset(high, low);
    if (expected !== -1 && host !== expected) return count;
    expected = host + image.clusterBytes;
  }
  return limit;
}
