/** Writing the table of internal snapshots. */
import { BlockError } from '../../../block/error.ts';
import { flush } from '../../../block/request/flush.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { HeaderField, POINTER_BYTES } from '../format/header-fields.ts';
import { writeUint64 } from '../format/offsets.ts';
import { encodeSnapshots, MAX_SNAPSHOT_TABLE_BYTES } from '../format/snapshot-entry.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFile, writeFileSync } from '../tables/io.ts';
import { checkOverlap } from '../tables/overlap.ts';
import { allocateClusters, freeClusters } from './refcounts.ts';

/** Writes the table anew, at a new place, with all that version 3 wants in each entry. The lock must be free. */
export function* writeSnapshots(image: Qcow2Image): Steps<void> {
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
