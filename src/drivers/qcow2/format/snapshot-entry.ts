/** Entries of the snapshot table: their layout, and the encoding of a whole table. */
import { alignUp } from '../../../util/align.ts';
import type { SnapshotInfo } from '../../../block/driver.ts';
import { writeUint64 } from './offsets.ts';

/** The most snapshots of an image; QEMU's limit. */
export const MAX_SNAPSHOTS = 65536;
/** The longest snapshot table, in bytes; QEMU's limit. */
export const MAX_SNAPSHOT_TABLE_BYTES = 1024 * MAX_SNAPSHOTS;
/** Bytes of the fixed part of an entry. */
export const SNAPSHOT_ENTRY_BYTES = 40;
/** The most extra data of an entry in bytes; QEMU's limit. */
export const MAX_EXTRA_BYTES = 1024;
/** Bytes of the extra data that is known here: VM state size, disk size, instruction count. */
export const KNOWN_EXTRA_BYTES = 24;

/**
 * An entry of the table (qcow2 specification, "Snapshots"). Offsets and lengths in bytes; texts as they are, in no
 * known encoding.
 */
export interface Snapshot {
  readonly l1Offset: number;
  /** The offset as it is on disk: an image may say more than a number holds. */
  readonly l1OffsetBytes: Buffer;
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

const NO_COUNT = 2n ** 64n - 1n;

/** A snapshot as drivers tell of it. */
export function snapshotInfo({ id, name, vmStateBytes, times, extra }: Snapshot): SnapshotInfo {
  const count = extra.length >= KNOWN_EXTRA_BYTES ? extra.readBigUInt64BE(16) : NO_COUNT;
  return {
    id: id.toString('utf8'),
    name: name.toString('utf8'),
    vmStateBytes,
    date: new Date(times.readUInt32BE(0) * 1000),
    vmClockNs: times.readBigUInt64BE(8),
    instructions: count === NO_COUNT ? null : count,
  };
}

/** The table as it is on disk, with all that version 3 wants in each entry. */
export function encodeSnapshots(snapshots: readonly Snapshot[]): Buffer {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const snapshot of snapshots) {
    const padding = Buffer.alloc(alignUp(bytes, 8) - bytes);
    const fixed = Buffer.alloc(SNAPSHOT_ENTRY_BYTES);
    const extra = Buffer.alloc(Math.max(KNOWN_EXTRA_BYTES, snapshot.extra.length));
    snapshot.extra.copy(extra);
    // Lengths that are there stay as they are: an image may say more than a number holds.
    if (snapshot.extra.length < 8) writeUint64(extra, snapshot.vmStateBytes, 0);
    if (snapshot.extra.length < 16) writeUint64(extra, snapshot.diskBytes, 8);
    // No instruction count is all ones.
    if (snapshot.extra.length < KNOWN_EXTRA_BYTES) extra.fill(0xff, 16, 24);
    snapshot.l1OffsetBytes.copy(fixed, 0);
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
