/** Checking and repairing the table of internal snapshots. */
import { BlockError } from '../../../block/error.ts';
import { flush } from '../../../block/request/flush.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { HeaderField, POINTER_BYTES } from '../format/header-fields.ts';
import { writeUint64 } from '../format/offsets.ts';
import { encodeSnapshots, MAX_SNAPSHOT_TABLE_BYTES } from '../format/snapshot-entry.ts';
import { allocateClusters, freeClusters } from '../refcounts/refcounts.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFile, writeFileSync } from '../tables/io.ts';
import { checkOverlap } from '../tables/overlap.ts';
import { readSnapshots, type SnapshotRepair } from '../tables/snapshot-table.ts';
import { type CheckResult, type FixMode, verb } from './state.ts';

/** Bytes of extra data that version 3 wants with every snapshot: the sizes of VM state and disk. */
const MIN_EXTRA_BYTES = 16;

/** Reads the snapshot table again, repairing it in memory. */
export function* checkSnapshotTable(image: Qcow2Image, result: CheckResult, fix: FixMode): Steps<void> {
  const repair: SnapshotRepair = { removedCount: 0, cutCount: 0 };
  yield* readSnapshots(image, image.snapshots.length, fix.fixesErrors ? repair : null);
  result.corruptions += repair.removedCount + repair.cutCount;
  if (repair.removedCount > 0) {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(image.snapshots.length);
    yield* writeFileSync(image, HeaderField.SNAPSHOT_COUNT, count);
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

/** Writes the table anew if anything in it was repaired; counts the repairs. */
export function* fixSnapshotTable(image: Qcow2Image, result: CheckResult, fix: FixMode): Steps<void> {
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

/** Writes the table anew, at a new place, with all that version 3 wants in each entry. The lock must be free. */
function* writeSnapshots(image: Qcow2Image): Steps<void> {
  const table = encodeSnapshots(image.snapshots);
  if (table.length > MAX_SNAPSHOT_TABLE_BYTES) throw new BlockError(Errno.EFBIG);
  const old = { offset: image.snapshotsOffset, bytes: image.snapshotsBytes };
  let offset = 0;
  try {
    offset = yield* allocateClusters(image, table.length);
    yield flush(image.node);
    yield checkOverlap(image, 0, offset, table.length);
    if (table.length > 0) yield writeFile(image, offset, table);
    yield flush(image.node);
    const pointer = Buffer.alloc(POINTER_BYTES);
    pointer.writeUInt32BE(image.snapshots.length, 0);
    writeUint64(pointer, offset, 4);
    yield* writeFileSync(image, HeaderField.SNAPSHOT_COUNT, pointer);
  } catch (error) {
    if (error instanceof BlockError && offset > 0) {
      yield* freeClusters(image, offset, table.length, DiscardReason.ALWAYS);
    }
    throw error;
  }
  yield* freeClusters(image, old.offset, old.bytes, DiscardReason.SNAPSHOT);
  image.snapshotsOffset = offset;
  image.snapshotsBytes = table.length;
}
