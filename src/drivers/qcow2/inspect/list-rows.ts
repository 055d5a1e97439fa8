/** The structures `snapshots` and `bitmaps`. */
import type { Field, RowSink, Structure } from '../../../block/inspect.ts';
import { run, type Steps } from '../../../util/steps.ts';
import type { BitmapBits } from '../tables/bitmap-bits.ts';
import { BitmapFlag } from '../bitmaps/directory.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { directoryOf } from './references.ts';
import { MetadataView } from './view.ts';

const snapshotFields: readonly Field[] = [
  { key: 'id', title: 'ID', help: 'its number' },
  { key: 'name', title: 'NAME', help: 'its name' },
  { key: 'date', title: 'DATE', help: 'when it was made, in UTC' },
  { key: 'disk', title: 'DISK', unit: 'bytes', help: "the length of the guest's disk" },
  { key: 'state', title: 'VM STATE', unit: 'bytes', help: 'the length of the VM state; 0 without one' },
  { key: 'clock', title: 'CLOCK', help: "the guest's clock in nanoseconds, as text", isExact: true },
  {
    key: 'instructions',
    title: 'INSTRUCTIONS',
    help: 'the instructions that the guest had run, as text; null if unknown',
    isExact: true,
  },
  { key: 'l1', title: 'L1 TABLE', unit: 'offset', help: 'where its L1 table is in the file' },
  { key: 'entries', title: 'ENTRIES', help: 'how many entries this table has' },
  { key: 'refcount', title: 'REFS', help: "the refcount of the table's first cluster" },
];

/** The structure `snapshots`. */
export function snapshotStructure(image: Qcow2Image): Structure {
  return { name: 'snapshots', fields: snapshotFields, rows: (_range, sink) => run(snapshotRows(image, sink)) };
}

function* snapshotRows(image: Qcow2Image, sink: RowSink): Steps<void> {
  const view = new MetadataView(image);
  for (const { id, name, times, diskBytes, vmStateBytes, extra, l1Offset, l1EntryCount } of image.snapshots) {
    const count = extra.length >= 24 ? extra.readBigUInt64BE(16) : null;
    sink({
      id: id.toString('utf8'),
      name: name.toString('utf8'),
      date: new Date(times.readUInt32BE(0) * 1000).toISOString().replace('.000Z', 'Z'),
      disk: diskBytes,
      state: vmStateBytes,
      clock: String(times.readBigUInt64BE(8)),
      instructions: count === null || count === 2n ** 64n - 1n ? null : String(count),
      l1: l1Offset,
      entries: l1EntryCount,
      refcount: Number.isSafeInteger(l1Offset) ? (yield* view.refcount(image.clusterIndexOf(l1Offset))).memory : null,
    });
  }
}

const bitmapFields: readonly Field[] = [
  { key: 'name', title: 'NAME', help: 'its name' },
  { key: 'granularity', title: 'GRANULARITY', unit: 'bytes', help: 'bytes of the disk that a bit stands for' },
  { key: 'enabled', title: 'ENABLED', help: 'whether writes are noted' },
  {
    key: 'usable',
    title: 'USABLE',
    help: 'whether its bits are valid: false for one that was not stored when last in use',
  },
  {
    key: 'dirty',
    title: 'DIRTY',
    unit: 'bytes',
    help: 'bytes of the disk whose bits are set in memory; null if it is not usable',
  },
  {
    key: 'flags',
    title: 'FLAGS',
    help: 'the flags on disk: in-use, auto; in-use is normal while the image is open for writing',
  },
  { key: 'table', title: 'TABLE', unit: 'offset', help: 'where its table is in the file' },
  { key: 'entries', title: 'ENTRIES', help: 'how many entries the table has' },
];

/** The structure `bitmaps`. */
export function bitmapStructure(image: Qcow2Image): Structure {
  return { name: 'bitmaps', fields: bitmapFields, rows: (_range, sink) => run(bitmapRows(image, sink)) };
}

function* bitmapRows(image: Qcow2Image, sink: RowSink): Steps<void> {
  const directory = yield* directoryOf(new MetadataView(image));
  for (const { name, granularityBits, flags, tableOffset, tableEntries } of directory) {
    const bitmap = image.bitmaps.find((other) => other.name.equals(name));
    const bits = bitmap?.bits ?? null;
    const flagNames = [
      ...((flags & BitmapFlag.IN_USE) === 0 ? [] : ['in-use']),
      ...((flags & BitmapFlag.AUTO) === 0 ? [] : ['auto']),
    ];
    sink({
      name: name.toString('utf8'),
      granularity: 2 ** granularityBits,
      enabled: bitmap?.isEnabled ?? false,
      usable: bits !== null,
      dirty: bits === null ? null : yield* dirtyBytes(image, bits),
      flags: flagNames.join(' '),
      table: tableOffset,
      entries: tableEntries,
    });
  }
}

const PIECE_BYTES = 65536;

function* dirtyBytes(image: Qcow2Image, bits: BitmapBits): Steps<number> {
  let count = 0;
  for (let at = 0; at < bits.storedBytes; at += PIECE_BYTES) {
    yield image.loop.breathe();
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, bits.storedBytes - at));
    if (!bits.load(at, piece)) continue;
    for (const byte of piece) for (let rest = byte; rest !== 0; rest &= rest - 1) count += 1;
  }
  return count * 2 ** bits.granularityBits;
}
