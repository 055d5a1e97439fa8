/**
 * Persistent dirty bitmaps: which parts of the disk were written since somebody asked for it.
 *
 * While an image is open for writing its bitmaps are marked "in use" on disk, kept in memory, and stored anew when it is
 * closed. One that is found in use was not stored, and cannot be believed; it stays as it is. The autoclear bit says
 * that the directory is up to date: it is off while the directory is being written.
 */
import type { SpecificInfo } from '../../../block/driver.ts';
import { BlockError, errorWithErrno } from '../../../block/error.ts';
import { Perm } from '../../../block/flags.ts';
import { hashOrder } from '../../../block/options/options.ts';
import { Errno } from '../../../util/errno.ts';
import { BitmapBits } from './bits.ts';
import { BitmapFlag, type DirectoryEntry, encodeDirectory, readDirectory } from './directory.ts';
import { clustersOf, freeBitmap, readBits, readTable, writeBitmap } from './table.ts';
import type { CheckState } from '../check/check.ts';
import { updateHeaderSync, writeCaches } from '../tables/header-write.ts';
import { Autoclear, DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { explained, flushFile, writeFile } from '../tables/io.ts';
import { checkOverlap, Overlap } from '../tables/overlap.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';

/** All bitmaps of an image together take no more memory than this when they are read. */
const MAX_MEMORY_BYTES = 128 * 2 ** 20;

interface Bitmap {
  readonly name: Buffer;
  readonly granularityBits: number;
  /** Null if what is on disk cannot be believed. */
  readonly bits: BitmapBits | null;
  /** Whether writes are noted. */
  readonly isEnabled: boolean;
  /** Not marked in use: the image was opened, or reopened, read-only. */
  isReadOnly: boolean;
}

/** The bitmaps of an open image, in the order of their directory. */
export interface PersistentBitmaps {
  readonly all: readonly Bitmap[];
}

/** Reads the bitmaps, and marks them in use if the image may be written. True if the header was written for that. */
export async function loadBitmaps(image: Qcow2Image): Promise<boolean> {
  if (image.bitmapCount === 0) return false;
  const entries = await readDirectory(image);
  const all: Bitmap[] = [];
  let needsMark = false;
  let memory = 0;
  for (const entry of entries) {
    const { name, granularityBits } = entry;
    if (all.some((other) => other.name.equals(name))) {
      throw new BlockError(Errno.EINVAL, `Bitmap already exists: ${name.toString('latin1')}`);
    }
    const isInUse = (entry.flags & BitmapFlag.IN_USE) !== 0;
    const bits = isInUse ? null : await loadBits(image, entry, MAX_MEMORY_BYTES - memory);
    memory += bits?.memoryBytes ?? 0;
    const isEnabled = (entry.flags & BitmapFlag.AUTO) !== 0;
    all.push({ name, granularityBits, bits, isEnabled, isReadOnly: !image.isWritable });
    if (!isInUse) needsMark = true;
    entry.flags |= BitmapFlag.IN_USE;
  }
  if (needsMark && image.isWritable) {
    await explained(rewriteDirectory(image, entries), "Can't update bitmap directory");
  }
  image.bitmaps = { all };
  image.node.onChanged = (offset, bytes) => noteChange(all, offset, bytes);
  noteReadOnly(image);
  return needsMark && image.isWritable;
}

function noteChange(all: readonly Bitmap[], offset: number, bytes: number): void {
  for (const { bits, isEnabled } of all) if (isEnabled) bits?.mark(offset, bytes);
}

/** A bitmap that cannot note a change forbids it. */
function noteReadOnly(image: Qcow2Image): void {
  image.node.refusesChanges = image.bitmaps?.all.some(({ isReadOnly }) => isReadOnly) === true;
}

/** Finds the bitmap of a directory's entry. */
function bitmapOf(image: Qcow2Image, entry: DirectoryEntry): Bitmap | undefined {
  return image.bitmaps?.all.find(({ name }) => name.equals(entry.name));
}

async function loadBits(image: Qcow2Image, entry: DirectoryEntry, maxBytes: number): Promise<BitmapBits> {
  const name = entry.name.toString('latin1');
  const bits = new BitmapBits(image.lengthBytes, entry.granularityBits);
  let table: Buffer;
  try {
    table = await readTable(image, entry);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw errorWithErrno(error.errno, `Could not read bitmap_table table from image for bitmap '${name}'`);
  }
  try {
    await readBits(image, table, bits, maxBytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw errorWithErrno(error.errno, `Could not read bitmap '${name}' from image`);
  }
  return bits;
}

/** Writes the directory where it is, with the autoclear bit off meanwhile. */
async function rewriteDirectory(image: Qcow2Image, entries: readonly DirectoryEntry[]): Promise<void> {
  if ((image.autoclear & Autoclear.BITMAPS) === 0n || entries.length !== image.bitmapCount)
    throw new BlockError(Errno.EINVAL);
  image.autoclear &= ~Autoclear.BITMAPS;
  await updateHeaderSync(image);
  const directory = encodeDirectory(image, entries);
  if (directory.length !== image.bitmapDirectoryBytes) throw new BlockError(Errno.EINVAL);
  await checkOverlap(image, Overlap.BITMAP_DIRECTORY, image.bitmapDirectoryOffset, directory.length);
  await writeFile(image, image.bitmapDirectoryOffset, directory);
  await updateHeaderSync(image);
  image.autoclear |= Autoclear.BITMAPS;
  await updateHeaderSync(image);
}

/** Stores the bitmaps when the image is closed. False, and a message, if they are lost. */
export async function storeBitmaps(image: Qcow2Image): Promise<boolean> {
  image.node.onChanged = null;
  try {
    await store(image);
    return true;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    const { nodeName, context } = image.node;
    context.report(`Lost persistent bitmaps during inactivation of node '${nodeName}': ${error.message}`);
    return false;
  }
}

async function store(image: Qcow2Image): Promise<void> {
  if (image.bitmapCount === 0) return;
  const entries = await readDirectory(image);
  const changed: { entry: DirectoryEntry; before: DirectoryEntry; bits: BitmapBits }[] = [];
  // Looked at, and in the end dropped, with the one that was loaded last first (observed with qemu-io 7.2.22: an error that
  // meets the dropping leaks the tables of the last); stored in the order of the directory.
  for (const entry of entries.toReversed()) {
    const bitmap = bitmapOf(image, entry);
    if (bitmap === undefined || bitmap.bits === null || bitmap.isReadOnly) continue;
    if ((entry.flags & BitmapFlag.IN_USE) === 0) {
      throw new BlockError(Errno.EINVAL, `Bitmap '${entry.name.toString('latin1')}' already exists in the image`);
    }
    changed.push({ entry, before: { ...entry }, bits: bitmap.bits });
    entry.flags = bitmap.isEnabled ? BitmapFlag.AUTO : 0;
  }
  if (changed.length === 0) return;
  if (!image.isWritable) throw new BlockError(Errno.EINVAL, 'No write access');
  const stored: DirectoryEntry[] = [];
  try {
    for (const { entry, bits } of changed.toReversed()) {
      await writeBitmap(image, entry, bits);
      stored.push(entry);
    }
    await explained(replaceDirectory(image, entries), 'Failed to update bitmap extension');
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    for (const entry of stored) await freeBitmap(image, entry);
    throw error;
  }
  for (const { before } of changed) await freeBitmap(image, before);
}

/** Writes the directory to new clusters, and frees the old one. */
async function replaceDirectory(image: Qcow2Image, entries: readonly DirectoryEntry[]): Promise<void> {
  const directory = encodeDirectory(image, entries);
  const before = {
    bitmapDirectoryOffset: image.bitmapDirectoryOffset,
    bitmapDirectoryBytes: image.bitmapDirectoryBytes,
    autoclear: image.autoclear,
  };
  let offset = 0;
  try {
    offset = await allocateClusters(image, directory.length);
    await checkOverlap(image, 0, offset, directory.length);
    await writeFile(image, offset, directory);
    await writeCaches(image);
    await flushFile(image);
    image.autoclear |= Autoclear.BITMAPS;
    image.bitmapDirectoryOffset = offset;
    image.bitmapDirectoryBytes = directory.length;
    await updateHeaderSync(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    if (offset > 0) await freeClusters(image, offset, directory.length, DiscardReason.OTHER);
    Object.assign(image, before);
    throw error;
  }
  await freeClusters(image, before.bitmapDirectoryOffset, before.bitmapDirectoryBytes, DiscardReason.OTHER);
}

/** Stores the bitmaps before the image becomes read-only; they stay in memory. */
export async function storeBitmapsReadOnly(image: Qcow2Image): Promise<void> {
  await store(image);
  for (const bitmap of image.bitmaps?.all ?? []) bitmap.isReadOnly = true;
  noteReadOnly(image);
}

/** Marks the bitmaps as in use again, after the image has become writable. A failure is only printed. */
export async function resumeBitmaps(image: Qcow2Image): Promise<void> {
  if (!image.isWritable || image.bitmapCount === 0) return;
  try {
    await markInUse(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`${image.node.nodeName}: Failed to make dirty bitmaps writable: ${error.message}`);
  }
}

async function markInUse(image: Qcow2Image): Promise<void> {
  const entries = await readDirectory(image);
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
      throw new BlockError(Errno.EINVAL, 'Failed to reopen bitmaps rw: no write access the protocol file');
    }
    await explained(rewriteDirectory(image, entries), 'Cannot update bitmap directory');
  }
  for (const bitmap of image.bitmaps?.all ?? []) bitmap.isReadOnly = false;
  noteReadOnly(image);
}

/** Throws EINVAL if somebody else has changed the directory. */
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
  if (problem !== null) throw new BlockError(Errno.EINVAL, problem);
}

/** Throws ENOTSUP if a bitmap stands in the way of a new length. */
export async function checkTruncate(image: Qcow2Image): Promise<void> {
  if (image.bitmapCount === 0) return;
  for (const entry of await readDirectory(image)) {
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

/** Follows a change of the disk's length. */
export function resizeBitmaps(image: Qcow2Image): void {
  for (const { bits } of image.bitmaps?.all ?? []) bits?.resize(image.lengthBytes);
}

/** What `info` prints about the bitmaps: what is on disk. */
export async function bitmapInfo(image: Qcow2Image): Promise<SpecificInfo[]> {
  if (image.bitmapCount === 0) return [];
  return (await readDirectory(image)).map((entry) => {
    const flags = [];
    if ((entry.flags & BitmapFlag.IN_USE) !== 0) flags.push('in-use');
    if ((entry.flags & BitmapFlag.AUTO) !== 0) flags.push('auto');
    const info = { name: entry.name.toString('utf8'), granularity: 2 ** entry.granularityBits, flags };
    return Object.fromEntries(hashOrder(['name', 'granularity', 'flags']).map((key) => [key, info[key as 'name']]));
  });
}

/** Counts the clusters of all bitmaps for a check. */
export async function countBitmaps(image: Qcow2Image, { map, result }: CheckState): Promise<void> {
  if (image.bitmapCount === 0) return;
  map.addReference(result, image.bitmapDirectoryOffset, image.bitmapDirectoryBytes);
  let entries: DirectoryEntry[];
  try {
    entries = await readDirectory(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    result.corruptions += 1;
    throw new BlockError(Errno.EINVAL);
  }
  for (const entry of entries) {
    map.addReference(result, entry.tableOffset, entry.tableEntries * 8);
    let table: Buffer;
    try {
      table = await readTable(image, entry);
    } catch (error) {
      if (error instanceof BlockError) result.corruptions += 1;
      throw error;
    }
    for (const offset of clustersOf(table)) map.addReference(result, offset, image.clusterBytes);
  }
}
