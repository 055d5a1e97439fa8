/** The table of internal snapshots: read, kept, and written anew when it is repaired. */
import { BlockError } from '../../block/error.ts';
import { flush } from '../../block/request/flush.ts';
import { alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { DiscardReason, type Qcow2Image } from './tables/image.ts';
import { explained, readFile, writeFile, writeFileSync } from './tables/io.ts';
import { readUint64, writeUint64 } from './format/offsets.ts';
import { checkOverlap } from './tables/overlap.ts';
import { allocateClusters, freeClusters } from './refcounts/refcounts.ts';
import { untilNul } from './format/text.ts';

/** The most snapshots of an image; QEMU's limit. */
export const MAX_SNAPSHOTS = 65536;
/** The fixed part of a table entry. */
export const SNAPSHOT_ENTRY_BYTES = 40;
const MAX_TABLE_BYTES = 1024 * MAX_SNAPSHOTS;
const MAX_EXTRA_BYTES = 1024;
/** VM state size, disk size, instruction count. */
const KNOWN_EXTRA_BYTES = 24;
const INT_MAX = 0x7fff_ffff;
/** Where the number of snapshots and, behind it, the offset of their table are in the header. */
export const HEADER_SNAPSHOTS = 60;

/**
 * An entry of the table (qcow2 specification, "Snapshots"). Offsets and lengths in bytes; texts as they are, in no
 * known encoding.
 */
export interface Snapshot {
  readonly l1Offset: number;
  readonly l1EntryCount: number;
  readonly id: Buffer;
  readonly name: Buffer;
  readonly diskBytes: number;
  readonly vmStateBytes: number;
  /** Bytes 16 to 32 of the entry: date and VM clock. */
  readonly times: Buffer;
  /** All extra data as it is in the image, cut to what is accepted. */
  readonly extra: Buffer;
}

/** What reading the table had to mend. */
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
export async function readSnapshots(image: Qcow2Image, count: number, repair: SnapshotRepair | null): Promise<void> {
  image.snapshots = [];
  image.snapshotsBytes = 0;
  if (count === 0) return;
  const start = image.snapshotsOffset;
  const snapshots: Snapshot[] = [];
  let tableBytes = 0;
  let offset = start;
  for (let index = 0; index < count; index++) {
    const entryStart = offset;
    const entry = await readEntry(image, alignUp(offset, 8), index, repair);
    ({ end: offset } = entry);
    tableBytes = alignUp(tableBytes, 8) + entry.bytes;
    if (tableBytes > MAX_TABLE_BYTES || offset - start > INT_MAX) {
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

async function readEntry(image: Qcow2Image, start: number, index: number, repair: SnapshotRepair | null) {
  const fixed = Buffer.alloc(SNAPSHOT_ENTRY_BYTES);
  await readOr(image, start, fixed);
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
  await readOr(image, offset, known);
  if (extra.length > KNOWN_EXTRA_BYTES) {
    await readOr(image, offset + KNOWN_EXTRA_BYTES, extra.subarray(KNOWN_EXTRA_BYTES));
  }
  offset += extraInImage;
  const id = Buffer.alloc(idBytes);
  await readOr(image, offset, id);
  offset += idBytes;
  const name = Buffer.alloc(nameBytes);
  await readOr(image, offset, name);
  offset += nameBytes;
  const snapshot: Snapshot = {
    l1Offset: readUint64(fixed, 0),
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

function readOr(image: Qcow2Image, offset: number, data: Buffer): Promise<void> {
  return explained(readFile(image, offset, data), 'Failed to read snapshot table');
}

/** Writes the table anew, at a new place, with all that version 3 wants in each entry. The lock must be free. */
export async function writeSnapshots(image: Qcow2Image): Promise<void> {
  const table = encodeTable(image);
  if (table.length > MAX_TABLE_BYTES) throw new BlockError(Errno.EFBIG);
  const old = { offset: image.snapshotsOffset, bytes: image.snapshotsBytes };
  let offset = 0;
  try {
    offset = await allocateClusters(image, table.length);
    await flush(image.node);
    await checkOverlap(image, 0, offset, table.length);
    if (table.length > 0) await writeFile(image, offset, table);
    await flush(image.node);
    const pointer = Buffer.alloc(12);
    pointer.writeUInt32BE(image.snapshots.length, 0);
    writeUint64(pointer, offset, 4);
    await writeFileSync(image, HEADER_SNAPSHOTS, pointer);
  } catch (error) {
    if (error instanceof BlockError && offset > 0) {
      await freeClusters(image, offset, table.length, DiscardReason.ALWAYS);
    }
    throw error;
  }
  await freeClusters(image, old.offset, old.bytes, DiscardReason.SNAPSHOT);
  image.snapshotsOffset = offset;
  image.snapshotsBytes = table.length;
}

function encodeTable(image: Qcow2Image): Buffer {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const snapshot of image.snapshots) {
    const padding = Buffer.alloc(alignUp(bytes, 8) - bytes);
    const fixed = Buffer.alloc(SNAPSHOT_ENTRY_BYTES);
    const extra = Buffer.alloc(Math.max(KNOWN_EXTRA_BYTES, snapshot.extra.length));
    snapshot.extra.copy(extra);
    writeUint64(extra, snapshot.vmStateBytes, 0);
    writeUint64(extra, snapshot.diskBytes, 8);
    // No instruction count is all ones.
    if (snapshot.extra.length < KNOWN_EXTRA_BYTES) extra.fill(0xff, 16, 24);
    writeUint64(fixed, snapshot.l1Offset, 0);
    fixed.writeUInt32BE(snapshot.l1EntryCount, 8);
    fixed.writeUInt16BE(snapshot.id.length, 12);
    fixed.writeUInt16BE(snapshot.name.length, 14);
    snapshot.times.copy(fixed, 16);
    fixed.writeUInt32BE(snapshot.vmStateBytes <= 0xffff_ffff ? snapshot.vmStateBytes : 0, 32);
    fixed.writeUInt32BE(extra.length, 36);
    parts.push(padding, fixed, extra, snapshot.id, snapshot.name);
    bytes += padding.length + fixed.length + extra.length + snapshot.id.length + snapshot.name.length;
  }
  return Buffer.concat(parts);
}
