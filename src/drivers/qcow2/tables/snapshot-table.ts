/** The table of internal snapshots: read when an image is opened or checked. */
import { BlockError, withContext } from '../../../block/error.ts';
import { alignUp } from '../../../util/align.ts';
import { Errno } from '../../../util/errno.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import { readUint64 } from '../format/offsets.ts';
import {
  KNOWN_EXTRA_BYTES,
  MAX_EXTRA_BYTES,
  MAX_SNAPSHOT_TABLE_BYTES,
  type Snapshot,
  SNAPSHOT_ENTRY_BYTES,
} from '../format/snapshot-entry.ts';
import { untilNul } from '../format/validate.ts';
import type { Qcow2Image } from './image.ts';
import { readFile } from './io.ts';

const INT_MAX = 0x7fff_ffff;

/** Repairs made while the table was read. */
export interface SnapshotRepair {
  /** Snapshots cut off the end, because the table was too long. */
  removedCount: number;
  /** Snapshots that lost extra data. */
  cutCount: number;
}

/**
 * Reads the table of `count` snapshots into `image`. With `repair` what is too long is dropped and counted there;
 * otherwise it is refused.
 */
export function* readSnapshots(image: Qcow2Image, count: number, repair: SnapshotRepair | null): Steps<void> {
  image.snapshots = [];
  image.snapshotsBytes = 0;
  if (count === 0) return;
  const start = image.snapshotsOffset;
  const snapshots: Snapshot[] = [];
  let tableBytes = 0;
  let offset = start;
  for (let index = 0; index < count; index++) {
    const entryStart = offset;
    const entry = yield* readEntry(image, alignUp(offset, 8), index, repair);
    ({ end: offset } = entry);
    tableBytes = alignUp(tableBytes, 8) + entry.bytes;
    if (tableBytes > MAX_SNAPSHOT_TABLE_BYTES || offset - start > INT_MAX) {
      const rest = count - index;
      if (repair === null) {
        throw new BlockError(
          Errno.EFBIG,
          'Snapshot table is too big\n' +
            `You can force-remove all ${rest} overhanging snapshots with qemu-img check -r all`,
        );
      }
      image.node.context.warn(`Discarding ${rest} overhanging snapshots (snapshot table is too big)`);
      repair.removedCount += rest;
      offset = entryStart;
      break;
    }
    snapshots.push(entry.snapshot);
  }
  image.snapshots = snapshots;
  image.snapshotsBytes = offset - start;
}

interface EntryRead {
  readonly snapshot: Snapshot;
  /** Offset of the end of the entry in the file. */
  readonly end: number;
  /** Bytes of the entry, without the extra data that was cut. */
  readonly bytes: number;
}

function* readEntry(image: Qcow2Image, start: number, index: number, repair: SnapshotRepair | null): Steps<EntryRead> {
  const fixed = Buffer.alloc(SNAPSHOT_ENTRY_BYTES);
  yield readOr(image, start, fixed);
  let offset = start + fixed.length;
  const idBytes = fixed.readUInt16BE(12);
  const nameBytes = fixed.readUInt16BE(14);
  const extraInImage = fixed.readUInt32BE(36);
  if (extraInImage > MAX_EXTRA_BYTES) {
    if (repair === null) {
      throw new BlockError(
        Errno.EFBIG,
        `Too much extra metadata in snapshot table entry ${index}\n` +
          'You can force-remove this extra metadata with qemu-img check -r all',
      );
    }
    image.node.context.warn(
      `Discarding too much extra metadata in snapshot table entry ${index} (${extraInImage} > ${MAX_EXTRA_BYTES})`,
    );
    repair.cutCount += 1;
  }
  const extra = Buffer.alloc(Math.min(extraInImage, MAX_EXTRA_BYTES));
  const known = extra.subarray(0, KNOWN_EXTRA_BYTES);
  yield readOr(image, offset, known);
  if (extra.length > KNOWN_EXTRA_BYTES) {
    yield readOr(image, offset + KNOWN_EXTRA_BYTES, extra.subarray(KNOWN_EXTRA_BYTES));
  }
  offset += extraInImage;
  const id = Buffer.alloc(idBytes);
  yield readOr(image, offset, id);
  offset += idBytes;
  const name = Buffer.alloc(nameBytes);
  yield readOr(image, offset, name);
  offset += nameBytes;
  const snapshot: Snapshot = {
    l1Offset: readUint64(fixed, 0),
    l1OffsetBytes: Buffer.from(fixed.subarray(0, 8)),
    l1EntryCount: fixed.readUInt32BE(8),
    id: untilNul(id),
    name: untilNul(name),
    vmStateBytes: extra.length >= 8 ? readUint64(extra, 0) : fixed.readUInt32BE(32),
    diskBytes: extra.length >= 16 ? readUint64(extra, 8) : image.lengthBytes,
    times: Buffer.from(fixed.subarray(16, 32)),
    extra,
  };
  return { snapshot, end: offset, bytes: fixed.length + extra.length + idBytes + nameBytes };
}

function readOr(image: Qcow2Image, offset: number, data: Buffer): Pending {
  return withContext('Failed to read snapshot table', () => readFile(image, offset, data));
}
