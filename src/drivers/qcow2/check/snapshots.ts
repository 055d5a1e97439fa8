/** Checking and repairing the table of internal snapshots. */
import { BlockError } from '../../../block/error.ts';
import type { CheckCounts } from '../../../block/image-check.ts';
import { strerror } from '../../../util/errno.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { HeaderField, POINTER_BYTES } from '../format/header-fields.ts';
import { readUint64 } from '../format/offsets.ts';
import { MAX_SNAPSHOTS, SNAPSHOT_ENTRY_BYTES } from '../format/snapshot-entry.ts';
import { tableProblem } from '../format/validate.ts';
import { writeSnapshots } from '../refcounts/snapshot-write.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readFile, writeFileSync } from '../tables/io.ts';
import { readSnapshots, type SnapshotRepair } from '../tables/snapshot-table.ts';
import { failing, type FixMode, verb } from './state.ts';

/** Bytes of extra data that version 3 wants with every snapshot: the sizes of VM state and disk. */
const MIN_EXTRA_BYTES = 16;

/**
 * Reads where the snapshot table is, and the table, anew: an image that is opened to be checked has not read it.
 * Repairs it in memory.
 */
export function* checkSnapshotTable(image: Qcow2Image, result: CheckCounts, fix: FixMode): Steps<void> {
  const { context } = image.node;
  const repair: SnapshotRepair = { removedCount: 0, cutCount: 0 };
  const pointer = Buffer.alloc(POINTER_BYTES);
  yield* failing(image, result, 'ERROR failed to read the snapshot table pointer from the image header', () =>
    readFile(image, HeaderField.SNAPSHOT_COUNT, pointer),
  );
  let count = pointer.readUInt32BE(0);
  image.snapshotsOffset = readUint64(pointer, 4);
  if (count > MAX_SNAPSHOTS && fix.fixesErrors) {
    context.warn(`Discarding ${count - MAX_SNAPSHOTS} overhanging snapshots`);
    repair.removedCount += count - MAX_SNAPSHOTS;
    count = MAX_SNAPSHOTS;
  }
  const maxBytes = SNAPSHOT_ENTRY_BYTES * MAX_SNAPSHOTS;
  const problem = tableProblem(image, image.snapshotsOffset, count, SNAPSHOT_ENTRY_BYTES, maxBytes, 'snapshot table');
  if (problem !== null) {
    result.checkErrors += 1;
    context.report(`ERROR ${problem.message}`);
    if (count > MAX_SNAPSHOTS) {
      const excess = count - MAX_SNAPSHOTS;
      context.warn(`You can force-remove all ${excess} overhanging snapshots with qemu-img check -r all`);
    }
    forgetSnapshots(image);
    throw problem;
  }
  try {
    yield* readSnapshots(image, count, fix.fixesErrors ? repair : null);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    result.checkErrors += 1;
    context.report(`ERROR failed to read the snapshot table: ${error.message}`);
    forgetSnapshots(image);
    throw error;
  }
  result.corruptions += repair.removedCount + repair.cutCount;
  if (repair.removedCount > 0) {
    const newCount = Buffer.alloc(4);
    newCount.writeUInt32BE(image.snapshots.length);
    yield* failing(image, result, 'ERROR failed to update the snapshot count in the image header', () =>
      run(writeFileSync(image, HeaderField.SNAPSHOT_COUNT, newCount)),
    );
    result.corruptionsFixed += repair.removedCount;
    result.corruptions -= repair.removedCount;
  }
  if (image.version < 3) return;
  for (const [index, snapshot] of image.snapshots.entries()) {
    if (snapshot.extra.length >= MIN_EXTRA_BYTES) continue;
    result.corruptions += 1;
    image.node.context.warn(`${verb(fix.fixesErrors)} snapshot table entry ${index} is incomplete`);
  }
}

/** The table could not be read: nothing may be done by what is known of it. */
function forgetSnapshots(image: Qcow2Image): void {
  image.snapshots = [];
  image.snapshotsOffset = 0;
  image.snapshotsBytes = 0;
}

/** Writes the table anew if anything in it was repaired; counts the repairs. */
export function* fixSnapshotTable(image: Qcow2Image, result: CheckCounts, fix: FixMode): Steps<void> {
  if (result.corruptions === 0 || !fix.fixesErrors) return;
  try {
    yield* writeSnapshots(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    result.checkErrors += 1;
    image.node.context.warn(`ERROR failed to update snapshot table: ${strerror(error.errno)}`);
    throw error;
  }
  result.corruptionsFixed += result.corruptions;
  result.corruptions = 0;
}
