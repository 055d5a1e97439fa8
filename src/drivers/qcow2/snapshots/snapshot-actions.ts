/** Internal snapshots: made, applied, deleted. No request may be in flight, and the lock is free: flushes take it. */
import { BlockError, errorWithErrno } from '../../../block/error.ts';
import type { NewSnapshot } from '../../../block/driver.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { truncateImage } from '../data/truncate.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES } from '../format/header-fields.ts';
import { writeUint64 } from '../format/offsets.ts';
import { KNOWN_EXTRA_BYTES, MAX_SNAPSHOTS, type Snapshot } from '../format/snapshot-entry.ts';
import { tableProblem } from '../format/validate.ts';
import { growL1 } from '../refcounts/l1-resize.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';
import { writeSnapshots } from '../refcounts/snapshot-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { readFile, writeFile, writeFileSync } from '../tables/io.ts';
import { checkOverlap, Overlap } from '../tables/overlap.ts';
import { countTable } from './shared-counts.ts';

function checkSupport(image: Qcow2Image): void {
  image.checkUsable();
  // Data in a file of its own is not counted, and cannot be shared.
  if (image.hasDataFile) throw new BlockError(Errno.ENOTSUP);
}

/** Takes a snapshot of the disk as it is now. */
export function* createSnapshot(image: Qcow2Image, { name, date }: NewSnapshot): Steps<void> {
  checkSupport(image);
  if (image.snapshots.length >= MAX_SNAPSHOTS) throw new BlockError(Errno.EFBIG);
  const { bytes, entryCount } = image.l1;
  const l1Offset = yield* allocateClusters(image, bytes.length);
  yield checkOverlap(image, 0, l1Offset, bytes.length);
  if (bytes.length > 0) yield writeFile(image, l1Offset, Buffer.from(bytes));
  // All counts are on disk before the table names the new L1 table.
  yield* countTable(image, image.l1.offset, entryCount, 1);
  const before = image.snapshots;
  const times = Buffer.alloc(16);
  times.writeUInt32BE(Math.floor(date.getTime() / 1000) >>> 0, 0);
  times.writeUInt32BE((date.getTime() % 1000) * 1_000_000, 4);
  const extra = Buffer.alloc(KNOWN_EXTRA_BYTES);
  writeUint64(extra, image.lengthBytes, 8);
  const l1OffsetBytes = Buffer.alloc(8);
  writeUint64(l1OffsetBytes, l1Offset, 0);
  const snapshot: Snapshot = {
    l1Offset,
    l1OffsetBytes,
    l1EntryCount: entryCount,
    id: Buffer.from(
      String(1 + Math.max(0, ...before.map(({ id }) => Number.parseInt(id.toString('latin1'), 10) || 0))),
    ),
    name: Buffer.from(name),
    diskBytes: image.lengthBytes,
    vmStateBytes: 0,
    times,
    extra,
  };
  image.snapshots = [...before, snapshot];
  try {
    yield* writeSnapshots(image);
  } catch (error) {
    image.snapshots = before;
    throw error;
  }
}

/** Makes the disk what it was: by number of a snapshot, else by name. Refcounts go up before others go down. */
export function* applySnapshot(image: Qcow2Image, which: string): Steps<void> {
  if (image.bitmaps.length > 0) throw new BlockError(Errno.EBUSY, 'Device has active dirty bitmaps');
  checkSupport(image);
  const name = Buffer.from(which);
  const found =
    image.snapshots.find(({ id }) => id.equals(name)) ?? image.snapshots.find((one) => one.name.equals(name));
  if (found === undefined) throw errorWithErrno(Errno.ENOENT, 'Failed to load snapshot');
  checkL1(image, found);
  const { diskBytes, l1Offset, l1EntryCount } = found;
  if (diskBytes !== image.lengthBytes) {
    yield* truncateImage(image, diskBytes, { exact: true, preallocation: 'off', flags: 0 });
  }
  yield* image.lock.holding(growL1(image, l1EntryCount, { exact: true }));
  const { l1 } = image;
  const table = Buffer.alloc(l1.entryCount * L1_ENTRY_BYTES);
  yield readFile(image, l1Offset, table.subarray(0, l1EntryCount * L1_ENTRY_BYTES));
  yield* countTable(image, l1Offset, l1EntryCount, 1);
  yield checkOverlap(image, Overlap.ACTIVE_L1, l1.offset, table.length);
  yield* writeFileSync(image, l1.offset, table);
  try {
    // The table in memory is still the old one: it is what loses its references.
    yield* countTable(image, l1.offset, l1.entryCount, -1);
  } finally {
    for (let index = 0; index < l1.entryCount; index++) {
      l1.set(index, table.readUInt32BE(index * L1_ENTRY_BYTES), table.readUInt32BE(index * L1_ENTRY_BYTES + 4));
    }
  }
  yield* countTable(image, l1.offset, l1.entryCount, 0);
}

/** Deletes a snapshot: first from the table; what fails behind that leaks clusters. */
export function* deleteSnapshot(image: Qcow2Image, which: string): Steps<void> {
  const name = Buffer.from(which);
  const found = image.snapshots.find((one) => one.name.equals(name));
  if (found === undefined) throw new BlockError(Errno.ENOENT, 'snapshot not found');
  checkSupport(image);
  checkL1(image, found);
  const before = image.snapshots;
  image.snapshots = before.filter((one) => one !== found);
  yield* said('Failed to remove snapshot from snapshot list', writeSnapshots(image));
  const { l1Offset, l1EntryCount } = found;
  yield* said('Failed to free the cluster and L1 table', countTable(image, l1Offset, l1EntryCount, -1));
  yield* freeClusters(image, l1Offset, l1EntryCount * L1_ENTRY_BYTES, DiscardReason.SNAPSHOT);
  const flags = countTable(image, image.l1.offset, image.l1.entryCount, 0);
  yield* said('Failed to update snapshot status in disk', flags);
}

function* said(what: string, steps: Steps<void>): Steps<void> {
  try {
    yield* steps;
  } catch (error) {
    throw error instanceof BlockError ? new BlockError(error.errno, `${what}: ${strerror(error.errno)}`) : error;
  }
}

function checkL1(image: Qcow2Image, { l1Offset, l1EntryCount }: Snapshot): void {
  const problem = tableProblem(image, l1Offset, l1EntryCount, L1_ENTRY_BYTES, MAX_L1_BYTES, 'Snapshot L1 table');
  if (problem !== null) throw problem;
}
