/** Overlap checks: does a write hit metadata that it must not? A last guard against corrupt refcounts. */
import { readBe32 } from '../../../util/big-endian.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { readFile } from './io.ts';
import { corrupt } from './corruption.ts';
import type { Qcow2Image } from './image.ts';
import { Autoclear } from '../format/features.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { entryOffset } from '../format/offsets.ts';
import { tableProblem } from '../format/validate.ts';

/** The kinds of metadata, as bits. Their order is that in which messages prefer one. */
export const Overlap = {
  MAIN_HEADER: 1,
  ACTIVE_L1: 2,
  ACTIVE_L2: 4,
  REFCOUNT_TABLE: 8,
  REFCOUNT_BLOCK: 16,
  SNAPSHOT_TABLE: 32,
  INACTIVE_L1: 64,
  INACTIVE_L2: 128,
  BITMAP_DIRECTORY: 256,
} as const;

const CONSTANT =
  Overlap.MAIN_HEADER | Overlap.ACTIVE_L1 | Overlap.REFCOUNT_TABLE | Overlap.SNAPSHOT_TABLE | Overlap.BITMAP_DIRECTORY;
const CACHED = CONSTANT | Overlap.ACTIVE_L2 | Overlap.REFCOUNT_BLOCK | Overlap.INACTIVE_L1;

/** The values of `overlap-check`. Only `all` reads from disk. */
export const overlapTemplates: ReadonlyMap<string, number> = new Map([
  ['none', 0],
  ['constant', CONSTANT],
  ['cached', CACHED],
  ['all', CACHED | Overlap.INACTIVE_L2],
]);

const names: ReadonlyMap<number, string> = new Map([
  [Overlap.MAIN_HEADER, 'qcow2_header'],
  [Overlap.ACTIVE_L1, 'active L1 table'],
  [Overlap.ACTIVE_L2, 'active L2 table'],
  [Overlap.REFCOUNT_TABLE, 'refcount table'],
  [Overlap.REFCOUNT_BLOCK, 'refcount block'],
  [Overlap.SNAPSHOT_TABLE, 'snapshot table'],
  [Overlap.INACTIVE_L1, 'inactive L1 table'],
  [Overlap.INACTIVE_L2, 'inactive L2 table'],
  [Overlap.BITMAP_DIRECTORY, 'bitmap directory'],
]);

/**
 * Checks a write to the image file before it is done; `ignored` are bits of `Overlap`. Fails with EIO, the image marked
 * corrupt, if it hits metadata. Undefined, without waiting, if all is well.
 */
export function checkOverlap(image: Qcow2Image, ignored: number, offset: number, bytes: number): Pending {
  const checks = image.overlapChecks & ~ignored;
  if (checks === 0 || bytes === 0) return undefined;
  // All is checked by whole clusters.
  const start = image.startOfCluster(offset);
  const end = image.alignUpToCluster(offset + bytes);
  const hit = findOverlap(image, checks, start, end);
  const mayHitInactive = (checks & Overlap.INACTIVE_L2) !== 0 && image.snapshots.length > 0;
  if (mayHitInactive && (hit === 0 || hit > Overlap.INACTIVE_L2)) return run(checkInactiveL2(image, start, end, hit));
  return hit === 0 ? undefined : run(refuse(image, hit));
}

/** Checks a write of guest data as `checkOverlap` does; an external data file has no metadata to hit. */
export function checkDataOverlap(image: Qcow2Image, offset: number, bytes: number): Pending {
  return image.hasDataFile ? undefined : checkOverlap(image, 0, offset, bytes);
}

function refuse(image: Qcow2Image, hit: number): Steps<never> {
  return corrupt(image, `Preventing invalid write on metadata (overlaps with ${names.get(hit) ?? hit})`);
}

function overlaps(start: number, end: number, offset: number, bytes: number): boolean {
  return bytes !== 0 && offset < end && start < offset + bytes;
}

/** The first kind of metadata that the clusters hit, of those that can be told without reading; 0 if none. */
function findOverlap(image: Qcow2Image, checks: number, start: number, end: number): number {
  const { clusterBytes, l1, refcountTable } = image;
  if ((checks & Overlap.MAIN_HEADER) !== 0 && start === 0) return Overlap.MAIN_HEADER;
  if ((checks & Overlap.ACTIVE_L1) !== 0 && overlaps(start, end, l1.offset, l1.entryCount * L1_ENTRY_BYTES)) {
    return Overlap.ACTIVE_L1;
  }
  if (
    (checks & Overlap.REFCOUNT_TABLE) !== 0 &&
    overlaps(start, end, refcountTable.offset, refcountTable.entryCount * REFCOUNT_ENTRY_BYTES)
  ) {
    return Overlap.REFCOUNT_TABLE;
  }
  if (image.snapshotsBytes > 0 || image.snapshots.length > 0) {
    const hit = findSnapshotOverlap(image, checks, start, end);
    if (hit !== 0) return hit;
  }
  const firstCluster = start / clusterBytes;
  const clusterCount = (end - start) / clusterBytes;
  if ((checks & Overlap.ACTIVE_L2) !== 0 && !l1.isReleased && l1.l2Clusters.hits(firstCluster, clusterCount)) {
    return Overlap.ACTIVE_L2;
  }
  if ((checks & Overlap.REFCOUNT_BLOCK) !== 0 && refcountTable.blocks.hits(firstCluster, clusterCount)) {
    return Overlap.REFCOUNT_BLOCK;
  }
  const hasBitmaps = (checks & Overlap.BITMAP_DIRECTORY) !== 0 && (image.autoclear & Autoclear.BITMAPS) !== 0n;
  return hasBitmaps && hitsBitmapDirectory(image, start, end) ? Overlap.BITMAP_DIRECTORY : 0;
}

function findSnapshotOverlap(image: Qcow2Image, checks: number, start: number, end: number): number {
  if ((checks & Overlap.SNAPSHOT_TABLE) !== 0 && overlaps(start, end, image.snapshotsOffset, image.snapshotsBytes)) {
    return Overlap.SNAPSHOT_TABLE;
  }
  if ((checks & Overlap.INACTIVE_L1) === 0) return 0;
  for (const { l1Offset, l1EntryCount } of image.snapshots) {
    if (overlaps(start, end, l1Offset, l1EntryCount * L1_ENTRY_BYTES)) return Overlap.INACTIVE_L1;
  }
  return 0;
}

function hitsBitmapDirectory(image: Qcow2Image, start: number, end: number): boolean {
  const { bitmapDirectoryOffset, bitmapDirectoryBytes } = image;
  // Without a directory every write is refused, as QEMU does it: its arithmetic makes nothing at offset 0 everything.
  return bitmapDirectoryBytes === 0 || overlaps(start, end, bitmapDirectoryOffset, bitmapDirectoryBytes);
}

/** Reads the L1 table of every snapshot: only `all` asks for this. Then `hit` counts, unless it is 0. */
function* checkInactiveL2(image: Qcow2Image, start: number, end: number, hit: number): Steps<void> {
  for (const { l1Offset, l1EntryCount } of image.snapshots) {
    const problem = tableProblem(image, l1Offset, l1EntryCount, L1_ENTRY_BYTES, MAX_L1_BYTES, '');
    if (problem !== null) throw problem;
    const table = Buffer.alloc(l1EntryCount * L1_ENTRY_BYTES);
    yield readFile(image, l1Offset, table);
    for (let at = 0; at < table.length; at += L1_ENTRY_BYTES) {
      const l2Offset = entryOffset(readBe32(table, at), readBe32(table, at + 4));
      if (l2Offset !== 0 && overlaps(start, end, l2Offset, image.clusterBytes)) {
        yield* refuse(image, Overlap.INACTIVE_L2);
      }
    }
  }
  if (hit !== 0) yield* refuse(image, hit);
}
