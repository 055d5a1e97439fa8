/**
 * The work of a write to new clusters beside its data: old content copied around it, and the clusters entered into L2.
 */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { Req } from '../../../block/flags.ts';
import { isZeroFast } from '../../../block/request/status.ts';
import { pwriteZeroes, pwritev } from '../../../block/request/write.ts';
import { assert } from '../../../util/assert.ts';
import { readBe32, writeBe32 } from '../../../util/big-endian.ts';
import { Errno } from '../../../util/errno.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { touchedBits } from '../format/l2-entry.ts';
import { advance, COPIED, type GuestOffset, highOf, type HostOffset, lowOf } from '../format/offsets.ts';
import { freeClusters, freeEntry } from '../refcounts/refcounts.ts';
import type { Encryption } from '../tables/encryption.ts';
import { markDirty } from '../tables/header-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { ignoringErrors } from '../tables/io.ts';
import { checkDataOverlap } from '../tables/overlap.ts';
import type { Allocation, PendingL2Update } from '../tables/pending-update.ts';
import { sliceForUpdate } from './cluster-table.ts';
import { checkOwnership, noteEntry } from './note-entry.ts';
import { readRange } from './read.ts';
import { inThread } from '../tables/worker.ts';

/** Head and tail are read in one go if no more than this lies between them. */
const MAX_READ_BETWEEN = 16384;

/**
 * Zeroes the space of parts whose head and tail read as zeroes, so that nothing has to be copied there. Only where the
 * file can zero without writing, and where stored zeroes are zeroes.
 */
export function* zeroNewSpace(image: Qcow2Image, parts: PendingL2Update): Steps<void> {
  if ((image.dataFile.node.supportedZeroFlags & Req.NO_FALLBACK) === 0 || image.encryption !== null) return;
  for (let part: PendingL2Update | null = parts; part !== null; part = part.next) {
    if (!part.needsCow) continue;
    const { guest, head, tail } = part;
    const isHeadZero = isZeroFast(image.node, guest + head.offset, head.bytes);
    if (!(typeof isHeadZero === 'boolean' ? isHeadZero : yield isHeadZero)) continue;
    const isTailZero = isZeroFast(image.node, guest + tail.offset, tail.bytes);
    if (!(typeof isTailZero === 'boolean' ? isTailZero : yield isTailZero)) continue;

    const host = part.host + head.offset;
    const bytes = tail.offset + tail.bytes - head.offset;
    const refusing = checkDataOverlap(image, host, bytes);
    if (refusing !== undefined) yield refusing;
    const told = image.fire(Event.CLUSTER_ALLOC_SPACE);
    if (told !== undefined) yield told;
    try {
      const zeroing = pwriteZeroes(image.dataFile, host, bytes, Req.NO_FALLBACK);
      if (zeroing !== undefined) yield zeroing;
      part.skipsCow = true;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      if (error.errno !== Errno.ENOTSUP && error.errno !== Errno.EAGAIN) throw error;
    }
  }
}

/** Leaves the data to the part around which head and tail are copied, if there is one that it fits into. */
export function mergeIntoCow(parts: PendingL2Update, guest: GuestOffset, data: Buffer): boolean {
  for (let part: PendingL2Update | null = parts; part !== null; part = part.next) {
    if (!part.needsCow || part.skipsCow) continue;
    // A part with a head begins where the write begins, one with a tail ends where it ends; other parts are inside.
    if (part.start + part.head.bytes !== guest) continue;
    if (part.guest + part.tail.offset !== guest + data.length) continue;
    part.data = data;
    return true;
  }
  return false;
}

/**
 * Copies head and tail of all parts and enters their clusters into the L2 table; the old ones are freed, and writers
 * that wait for a part go on. What could not be entered stays in `allocation.parts`. The lock is held.
 */
export function* linkParts(image: Qcow2Image, allocation: Allocation): Steps<void> {
  assert(image.lock.isLocked, 'the lock is held');
  for (let part = allocation.parts; part !== null; part = allocation.parts) {
    const preparing = prepareToLink(image, part);
    if (preparing !== undefined) yield preparing;
    const loading = sliceForUpdate(image, part.guest);
    const freeing = enterPart(image, part, typeof loading === 'number' ? loading : yield loading);
    if (freeing !== undefined) yield freeing;
    endPart(image, allocation, part);
  }
}

/** Copies head and tail of a part where that is needed, and sees to it that refcounts come before its entries. */
function prepareToLink(image: Qcow2Image, part: PendingL2Update): Pending {
  const copies = part.needsCow && !part.skipsCow;
  return copies || image.useLazyRefcounts ? run(copyBeforeLink(image, part, copies)) : dependOnRefcounts(image);
}

function* copyBeforeLink(image: Qcow2Image, part: PendingL2Update, copies: boolean): Steps<void> {
  if (copies) yield* copyAround(image, part);
  if (image.useLazyRefcounts) yield* ignoringErrors(markDirty(image));
  yield dependOnRefcounts(image);
}

/** A new cluster's refcount is on disk before the L2 entry that points to it. */
function dependOnRefcounts(image: Qcow2Image): Pending {
  return image.needsAccurateRefcounts ? image.l2Cache.dependOn(image.refcountCache) : undefined;
}

/** Gives back what all parts took, because the write has failed. The lock is held. */
export function abandonParts(image: Qcow2Image, allocation: Allocation): Pending {
  assert(image.lock.isLocked, 'the lock is held');
  return allocation.parts === null ? undefined : run(abandonEach(image, allocation));
}

function* abandonEach(image: Qcow2Image, allocation: Allocation): Steps<void> {
  for (let part = allocation.parts; part !== null; part = part.next) {
    if (!image.hasDataFile && !part.keepsOldClusters) {
      yield* freeClusters(image, part.host, part.clusterCount * image.clusterBytes, DiscardReason.NEVER);
    }
    endPart(image, allocation, part);
  }
}

/** A part is done: the writers that wait for it go on. */
function endPart(image: Qcow2Image, allocation: Allocation, part: PendingL2Update): void {
  image.pendingUpdates.delete(part);
  part.dependents?.wakeAll();
  allocation.parts = part.next;
}

/** Enters the clusters of a part into its slice, which is held and put back, and frees the old ones. */
function enterPart(image: Qcow2Image, part: PendingL2Update, slot: number): Pending {
  const { l2Cache, hazards } = image;
  const table = l2Cache.table(slot);
  l2Cache.markDirty(slot);
  if (hazards !== null) checkOwnership(image, part, table);
  const old = enterClusters(image, part, table);
  if (hazards !== null) noteEntry(image, table, image.sliceIndexOf(part.guest) * image.l2EntryBytes, part);
  l2Cache.put(slot);
  return part.keepsOldClusters || old.length === 0 ? undefined : run(freeOld(image, old));
}

/**
 * Writes the entries of a part into its slice. Returns those that were there, two numbers each, without the empty ones.
 */
function enterClusters(image: Qcow2Image, part: PendingL2Update, table: Buffer): number[] {
  const index = image.sliceIndexOf(part.guest);
  const old: number[] = [];
  for (let step = 0; step < part.clusterCount; step++) {
    const at = (index + step) * image.l2EntryBytes;
    const high = readBe32(table, at);
    const low = readBe32(table, at + 4);
    if (high !== 0 || low !== 0) old.push(high, low);
    const host = part.host + step * image.clusterBytes;
    writeBe32(table, at, highOf(host) | COPIED);
    writeBe32(table, at + 4, lowOf(host));
    if (image.hasSubclusters && !part.isPreallocation) markWritten(image, table, at, part, step);
  }
  return old;
}

function* freeOld(image: Qcow2Image, old: readonly number[]): Steps<void> {
  for (let at = 0; at < old.length; at += 2) {
    // No discard: the next write takes these clusters again.
    yield* freeEntry(image, old[at] ?? 0, old[at + 1] ?? 0, DiscardReason.NEVER);
  }
}

/** Notes in one entry's bitmap which subclusters now hold data. */
function markWritten(image: Qcow2Image, table: Buffer, at: number, part: PendingL2Update, step: number): void {
  const written = touchedBits(image, step, part.head.offset, part.tail.offset + part.tail.bytes);
  writeBe32(table, at + 8, readBe32(table, at + 8) & ~written);
  writeBe32(table, at + 12, readBe32(table, at + 12) | written);
}

/**
 * Copies head and tail into the new clusters, together with the data if the part has it. Gives up the lock meanwhile.
 */
function* copyAround(image: Qcow2Image, part: PendingL2Update): Steps<void> {
  yield* image.lock.releasing(copyUnlocked(image, part));
  // The copy has to be on disk before the L2 entry that points to it.
  image.l2Cache.dependOnFlush();
}

/** The ranges of the file that old data was copied into. */
function copiedRanges({ host, head, tail }: PendingL2Update): { offset: number; bytes: number }[] {
  return [head, tail].flatMap(({ offset, bytes }) => (bytes === 0 ? [] : [{ offset: host + offset, bytes }]));
}

function* copyUnlocked(image: Qcow2Image, part: PendingL2Update): Steps<void> {
  const { head, tail, data } = part;
  const between = tail.offset - (head.offset + head.bytes);
  const start = advance(part.guest, head.offset);
  const host = advance(part.host, head.offset);
  const readsTogether = head.bytes > 0 && tail.bytes > 0 && between <= MAX_READ_BETWEEN;
  // Everything in its place, if it is read or written in one go; otherwise head and tail side by side.
  const whole = readsTogether || data !== null;
  const buffer = image.node.context.allocate(head.bytes + tail.bytes + (whole ? between : 0));
  const headData = buffer.subarray(0, head.bytes);
  const tailData = buffer.subarray(buffer.length - tail.bytes);
  if (readsTogether) {
    yield* readOld(image, start, buffer);
  } else {
    yield* readOld(image, start, headData);
    yield* readOld(image, advance(part.guest, tail.offset), tailData);
  }
  const { encryption } = image;
  if (encryption !== null) {
    yield* encryptCopy(image, encryption, host, start, headData);
    const tailStart = advance(part.guest, tail.offset);
    yield* encryptCopy(image, encryption, advance(part.host, tail.offset), tailStart, tailData);
  }
  if (data !== null) {
    data.copy(buffer, head.bytes);
    // Two events, one write: so it is in QEMU.
    yield image.fire(Event.WRITE_AIO);
    yield* writeCopy(image, host, buffer);
  } else {
    yield* writeCopy(image, host, headData);
    yield* writeCopy(image, advance(part.host, tail.offset), tailData);
  }
  if (image.hazards !== null) part.copied = image.hazards.order.copied(copiedRanges(part));
}

function* readOld(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  if (data.length === 0) return;
  yield image.fire(Event.COW_READ);
  image.checkUsable();
  yield readRange(image, guest, data);
}

/** The data of the part is encrypted already. */
function* encryptCopy(
  image: Qcow2Image,
  encryption: Encryption,
  host: HostOffset,
  guest: GuestOffset,
  data: Buffer,
): Steps<void> {
  if (data.length === 0) return;
  yield* inThread(image, () => encryption.encrypt(host, guest, data, data));
}

function* writeCopy(image: Qcow2Image, host: HostOffset, data: Buffer): Steps<void> {
  if (data.length === 0) return;
  yield checkDataOverlap(image, host, data.length);
  yield image.fire(Event.COW_WRITE);
  yield pwritev(image.dataFile, host, data, 0);
}
