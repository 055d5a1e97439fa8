/**
 * Persistent dirty bitmaps: which parts of the disk were written since the bitmap was made.
 *
 * While an image is open for writing its bitmaps are marked "in use" on disk, kept in memory, and stored anew when it
 * is closed. One that is found in use was not stored, and cannot be believed; it stays as it is. The autoclear bit says
 * that the directory is up to date: it is off while the directory is being written.
 *
 * Loaded with the first image that has bitmaps (`bitmapCount`), and called for such images alone.
 */
import type { SpecificInfo } from '../../../block/driver.ts';
import type { Steps } from '../../../util/steps.ts';
import { BlockError, invalidArgument, stepsWithContext } from '../../../block/error.ts';
import { Perm } from '../../../block/flags.ts';
import { Errno } from '../../../util/errno.ts';
import { type Bitmap, BitmapBits } from '../tables/bitmap-bits.ts';
import { BitmapFlag, type DirectoryEntry, encodeDirectory, readDirectory } from './directory.ts';
import { freeBitmap, readBits, readTable, writeBitmap } from './bitmap-table.ts';
import { updateHeaderSync, writeCaches } from '../tables/header-write.ts';
import { Autoclear } from '../format/features.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { flushFile, writeFile } from '../tables/io.ts';
import { checkOverlap, Overlap } from '../tables/overlap.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';

/** All bitmaps of an image together take no more memory than this when they are read. */
const MAX_MEMORY_BYTES = 128 * 2 ** 20;

/** Reads the bitmaps, and marks them in use if the image may be written. True if the header was written for that. */
export function* loadBitmaps(image: Qcow2Image): Steps<boolean> {
  const entries = yield* readDirectory(image);
  const all: Bitmap[] = [];
  let needsMark = false;
  let memory = 0;
  for (const entry of entries) {
    const { name, granularityBits } = entry;
    if (all.some((other) => other.name.equals(name))) {
      throw invalidArgument(`Bitmap already exists: ${name.toString('latin1')}`);
    }
    const isInUse = (entry.flags & BitmapFlag.IN_USE) !== 0;
    const bits = isInUse ? null : yield* loadBits(image, entry, MAX_MEMORY_BYTES - memory);
    memory += bits?.memoryBytes ?? 0;
    const isEnabled = (entry.flags & BitmapFlag.AUTO) !== 0;
    all.push({ name, granularityBits, bits, isEnabled, isReadOnly: !image.isWritable });
    if (!isInUse) needsMark = true;
    entry.flags |= BitmapFlag.IN_USE;
  }
  if (needsMark && image.isWritable) {
    yield* stepsWithContext("Can't update bitmap directory", rewriteDirectory(image, entries));
  }
  image.bitmaps = all;
  image.node.onChanged = (offset, bytes) => noteChange(all, offset, bytes);
  noteReadOnly(image);
  return needsMark && image.isWritable;
}

function noteChange(all: readonly Bitmap[], offset: number, bytes: number): void {
  for (const { bits, isEnabled } of all) if (isEnabled) bits?.mark(offset, bytes);
}

/** A bitmap that cannot note a change forbids it. */
function noteReadOnly(image: Qcow2Image): void {
  image.node.refusesChanges = image.bitmaps.some(({ isReadOnly }) => isReadOnly);
}

/** Finds the bitmap of a directory's entry. */
function bitmapOf(image: Qcow2Image, entry: DirectoryEntry): Bitmap | undefined {
  return image.bitmaps.find(({ name }) => name.equals(entry.name));
}

function* loadBits(image: Qcow2Image, entry: DirectoryEntry, maxBytes: number): Steps<BitmapBits> {
  const name = entry.name.toString('latin1');
  const bits = new BitmapBits(image.lengthBytes, entry.granularityBits);
  const table = yield* stepsWithContext(
    `Could not read bitmap_table table from image for bitmap '${name}'`,
    readTable(image, entry),
  );
  yield* stepsWithContext(`Could not read bitmap '${name}' from image`, readBits(image, table, bits, maxBytes));
  return bits;
}

/** Writes the directory where it is, with the autoclear bit off meanwhile. */
function* rewriteDirectory(image: Qcow2Image, entries: readonly DirectoryEntry[]): Steps<void> {
  if ((image.autoclear & Autoclear.BITMAPS) === 0n || entries.length !== image.bitmapCount)
    throw new BlockError(Errno.EINVAL);
  image.autoclear &= ~Autoclear.BITMAPS;
  yield* updateHeaderSync(image);
  const directory = encodeDirectory(image, entries);
  if (directory.length !== image.bitmapDirectoryBytes) throw new BlockError(Errno.EINVAL);
  yield checkOverlap(image, Overlap.BITMAP_DIRECTORY, image.bitmapDirectoryOffset, directory.length);
  yield writeFile(image, image.bitmapDirectoryOffset, directory);
  yield* updateHeaderSync(image);
  image.autoclear |= Autoclear.BITMAPS;
  yield* updateHeaderSync(image);
}

/** Stores the bitmaps when the image is closed. False, and a message, if they are lost. */
export function* storeBitmaps(image: Qcow2Image): Steps<boolean> {
  image.node.onChanged = null;
  try {
    yield* store(image);
    return true;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const { nodeName, context } = image.node;
    context.report(`Lost persistent bitmaps during inactivation of node '${nodeName}': ${error.message}`);
    return false;
  }
}

function* store(image: Qcow2Image): Steps<void> {
  const entries = yield* readDirectory(image);
  const changed: { entry: DirectoryEntry; before: DirectoryEntry; bits: BitmapBits }[] = [];
  // Looked at, and in the end dropped, with the one that was loaded last first (observed with qemu-io 7.2.22: an error
  // that meets the dropping leaks the tables of the last); stored in the order of the directory.
  for (const entry of entries.toReversed()) {
    const bitmap = bitmapOf(image, entry);
    if (bitmap === undefined || bitmap.bits === null || bitmap.isReadOnly) continue;
    if ((entry.flags & BitmapFlag.IN_USE) === 0) {
      throw invalidArgument(`Bitmap '${entry.name.toString('latin1')}' already exists in the image`);
    }
    changed.push({ entry, before: { ...entry }, bits: bitmap.bits });
    entry.flags = bitmap.isEnabled ? BitmapFlag.AUTO : 0;
  }
  if (changed.length === 0) return;
  if (!image.isWritable) throw invalidArgument('No write access');
  const stored: DirectoryEntry[] = [];
  try {
    for (const { entry, bits } of changed.toReversed()) {
      yield* writeBitmap(image, entry, bits);
      stored.push(entry);
    }
    yield* stepsWithContext('Failed to update bitmap extension', replaceDirectory(image, entries));
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    for (const entry of stored) yield* freeBitmap(image, entry);
    throw error;
  }
  for (const { before } of changed) yield* freeBitmap(image, before);
}

/** Writes the directory to new clusters, and frees the old one. */
function* replaceDirectory(image: Qcow2Image, entries: readonly DirectoryEntry[]): Steps<void> {
  const directory = encodeDirectory(image, entries);
  const before = {
    bitmapDirectoryOffset: image.bitmapDirectoryOffset,
    bitmapDirectoryBytes: image.bitmapDirectoryBytes,
    autoclear: image.autoclear,
  };
  let offset = 0;
  try {
    offset = yield* allocateClusters(image, directory.length);
    yield checkOverlap(image, 0, offset, directory.length);
    yield writeFile(image, offset, directory);
    yield writeCaches(image);
    yield flushFile(image);
    image.autoclear |= Autoclear.BITMAPS;
    image.bitmapDirectoryOffset = offset;
    image.bitmapDirectoryBytes = directory.length;
    yield* updateHeaderSync(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (offset > 0) yield* freeClusters(image, offset, directory.length, DiscardReason.OTHER);
    Object.assign(image, before);
    throw error;
  }
  yield* freeClusters(image, before.bitmapDirectoryOffset, before.bitmapDirectoryBytes, DiscardReason.OTHER);
}

/** Stores the bitmaps before the image becomes read-only; they stay in memory. */
export function* storeBitmapsReadOnly(image: Qcow2Image): Steps<void> {
  yield* store(image);
  for (const bitmap of image.bitmaps) bitmap.isReadOnly = true;
  noteReadOnly(image);
}

/** Marks the bitmaps as in use again, after the image has become writable. A failure is only printed. */
export function* resumeBitmaps(image: Qcow2Image): Steps<void> {
  if (!image.isWritable) return;
  try {
    yield* markInUse(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`${image.node.nodeName}: Failed to make dirty bitmaps writable: ${error.message}`);
  }
}

function* markInUse(image: Qcow2Image): Steps<void> {
  const entries = yield* readDirectory(image);
  let needsMark = false;
  for (const entry of entries) {
    const bitmap = bitmapOf(image, entry);
    checkResumable(image, entry, bitmap);
    if ((entry.flags & BitmapFlag.IN_USE) === 0) needsMark = true;
    entry.flags |= BitmapFlag.IN_USE;
  }
  if (needsMark) {
    const { node, perm } = image.file;
    if (node.isReadOnly || (perm & Perm.WRITE) === 0) {
      throw invalidArgument('Failed to reopen bitmaps rw: no write access the protocol file');
    }
    yield* stepsWithContext('Cannot update bitmap directory', rewriteDirectory(image, entries));
  }
  for (const bitmap of image.bitmaps) bitmap.isReadOnly = false;
  noteReadOnly(image);
}

/** Throws EINVAL if another program has changed the directory. */
function checkResumable(image: Qcow2Image, entry: DirectoryEntry, bitmap: Bitmap | undefined): void {
  const name = entry.name.toString('latin1');
  const { filename } = image.node;
  const isInUse = (entry.flags & BitmapFlag.IN_USE) !== 0;
  let problem: string | null = null;
  if (bitmap === undefined) {
    problem = `Unexpected bitmap '${name}' in image '${filename}'`;
  } else if (!isInUse && !bitmap.isReadOnly) {
    problem =
      `Corruption: bitmap '${name}' is not marked IN_USE in the image '${filename}' ` +
      'and not marked readonly in RAM';
  } else if (!isInUse && bitmap.bits === null) {
    problem = `Corruption: bitmap '${name}' is inconsistent but is not marked IN_USE in the image '${filename}'`;
  } else if (isInUse && bitmap.isReadOnly && bitmap.bits !== null) {
    problem =
      `Corruption: bitmap '${name}' is marked IN_USE in the image '${filename}' ` +
      'but it is readonly and consistent in RAM';
  }
  if (problem !== null) throw invalidArgument(problem);
}

/** Throws ENOTSUP if a bitmap stands in the way of a new length. */
export function* checkTruncate(image: Qcow2Image): Steps<void> {
  for (const entry of yield* readDirectory(image)) {
    const name = entry.name.toString('latin1');
    const bitmap = bitmapOf(image, entry);
    if (bitmap === undefined) {
      const problem = 'Cannot resize qcow2 with persistent bitmaps that were not loaded into memory';
      throw new BlockError(Errno.ENOTSUP, problem);
    }
    if (bitmap.isReadOnly) {
      throw new BlockError(Errno.ENOTSUP, `Bitmap '${name}' is readonly and cannot be modified`);
    }
    if (bitmap.bits === null) {
      throw new BlockError(
        Errno.ENOTSUP,
        `Bitmap '${name}' is inconsistent and cannot be used\n` +
          'Try block-dirty-bitmap-remove to delete this bitmap from disk',
      );
    }
  }
}

/** The bitmaps on disk, for `info`. */
export function* bitmapInfo(image: Qcow2Image): Steps<SpecificInfo[]> {
  return (yield* readDirectory(image)).map((entry) => {
    const flags = [];
    if ((entry.flags & BitmapFlag.IN_USE) !== 0) flags.push('in-use');
    if ((entry.flags & BitmapFlag.AUTO) !== 0) flags.push('auto');
    return { name: entry.name.toString('utf8'), granularity: 2 ** entry.granularityBits, flags };
  });
}
