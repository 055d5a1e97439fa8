/** Every reference of the metadata to the file: what a cluster is used for, and by which entry. */
import type { InspectedRange, Owner } from '../../../block/inspect.ts';
import type { Steps } from '../../../util/steps.ts';
import { parseDirectory } from '../bitmaps/directory.ts';
import { BlockError } from '../../../block/error.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { Cluster } from '../format/l2-entry.ts';
import { entryOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { isAllZero } from '../../../util/pattern.ts';
import { readL2Entry } from './entries.ts';
import { blockOffsetAt, l2OffsetAt, type MetadataView, type TwoSided } from './view.ts';

/** Which state of the metadata has a reference. */
export type Side = Owner['known'];

/** One reference to a range of the file. */
export type Reference = Omit<Owner, 'known'>;

/** Told of each reference. */
export type Told = (reference: Reference, side: Side) => void;

/** Bitmap tables longer than this are not read. */
const MAX_BITMAP_TABLE_BYTES = 1 << 26;

/** Tells of every reference to the image file, in memory or on disk. */
export function* eachReference(view: MetadataView, tell: Told): Steps<void> {
  const { image } = view;
  const none = { snapshot: null, guest: null, entryAt: null };
  tell({ ...none, owner: 'header', offset: 0, bytes: image.clusterBytes }, 'both');
  const l1 = yield* view.l1();
  tell({ ...none, owner: 'l1 table', offset: l1.offset, bytes: l1.memory.length }, 'both');
  yield* tableReferences(view, l1, null, tell);
  for (const { id, l1Offset, l1EntryCount } of image.snapshots) {
    const snapshot = id.toString('utf8');
    const bytes = l1EntryCount * L1_ENTRY_BYTES;
    if (bytes > MAX_L1_BYTES) continue;
    tell({ ...none, owner: 'l1 table', snapshot, offset: l1Offset, bytes }, 'both');
    const table = yield* view.onDisk(l1Offset, bytes);
    yield* tableReferences(view, { offset: l1Offset, memory: table, disk: table }, snapshot, tell);
  }
  if (image.snapshots.length > 0) {
    tell({ ...none, owner: 'snapshot table', offset: image.snapshotsOffset, bytes: image.snapshotsBytes }, 'both');
  }
  if (image.luksHeader !== null) {
    const { offset, bytes } = image.luksHeader;
    tell({ ...none, owner: 'luks header', offset, bytes }, 'both');
  }
  const table = yield* view.refcountTable();
  tell({ ...none, owner: 'refcount table', offset: table.offset, bytes: table.memory.length }, 'both');
  for (let index = 0; index * REFCOUNT_ENTRY_BYTES < table.memory.length; index++) {
    const [memory, disk] = [blockOffsetAt(table.memory, index), blockOffsetAt(table.disk, index)];
    const entryAt = table.offset + index * REFCOUNT_ENTRY_BYTES;
    tellSides(memory, disk, (offset, side) => {
      tell({ ...none, owner: 'refcount block', offset, bytes: image.clusterBytes, entryAt }, side);
    });
  }
  yield* bitmapReferences(view, tell);
}

/** Tells of an offset in memory and of that on disk, once if they are one; 0 is none. */
function tellSides(memory: number, disk: number, tell: (offset: number, side: Side) => void): void {
  if (memory === disk) {
    if (memory !== 0) tell(memory, 'both');
    return;
  }
  if (memory !== 0) tell(memory, 'memory');
  if (disk !== 0) tell(disk, 'disk');
}

/** The references of an L1 table and of the L2 tables that it names. */
function* tableReferences(
  view: MetadataView,
  l1: Pick<TwoSided, 'offset' | 'memory' | 'disk'>,
  snapshot: string | null,
  tell: Told,
): Steps<void> {
  const { image } = view;
  const covers = image.l2Entries * image.clusterBytes;
  const fileEnd = image.file.node.getLength();
  for (let index = 0; index * L1_ENTRY_BYTES < l1.memory.length; index++) {
    if (index % 4096 === 0) yield image.loop.breathe();
    const found: [offset: number, side: Side][] = [];
    tellSides(l2OffsetAt(l1.memory, index), l2OffsetAt(l1.disk, index), (offset, side) => found.push([offset, side]));
    for (const [offset, side] of found) {
      const entryAt = l1.offset + index * L1_ENTRY_BYTES;
      const guest = index * covers;
      tell({ owner: 'l2 table', snapshot, guest, offset, bytes: image.clusterBytes, entryAt }, side);
      // A table between clusters is none, and what is behind the end of the file is empty unless it is cached.
      if (image.intoCluster(offset) !== 0 || image.hasDataFile) continue;
      if (offset >= fileEnd && image.l2Cache.find(offset) === -1) continue;
      yield image.loop.breathe();
      const table = yield* view.l2(offset);
      l2References(image, table, side, { snapshot, guest }, tell);
    }
  }
}

function l2References(
  image: Qcow2Image,
  table: TwoSided,
  side: Side,
  { snapshot, guest }: Pick<Reference, 'snapshot' | 'guest'>,
  tell: Told,
): void {
  const { memory, disk, offset: tableOffset } = table;
  if (isAllZero(memory) && (memory === disk || isAllZero(disk))) return;
  const { l2Entries, l2EntryBytes, clusterBytes } = image;
  const tellEntry = (from: Buffer, index: number, which: Side): void => {
    const { host, hostBytes, type } = readL2Entry(image, from, index);
    if (host === null) return;
    tell(
      {
        owner: type === Cluster.COMPRESSED ? 'compressed data' : 'data',
        snapshot,
        guest: (guest ?? 0) + index * clusterBytes,
        offset: host,
        bytes: hostBytes,
        entryAt: tableOffset + index * l2EntryBytes,
      },
      which,
    );
  };
  for (let index = 0; index < l2Entries; index++) {
    const at = index * l2EntryBytes;
    const [high, low] = [readBe32(memory, at), readBe32(memory, at + 4)];
    const isSame = memory === disk || (high === readBe32(disk, at) && low === readBe32(disk, at + 4));
    if (isSame) {
      if (high !== 0 || low !== 0) tellEntry(memory, index, side);
      continue;
    }
    if (side !== 'disk') tellEntry(memory, index, 'memory');
    if (side !== 'memory') tellEntry(disk, index, 'disk');
  }
}

/** Bitmaps are on disk: while an image is open they change in memory alone, without a place. */
function* bitmapReferences(view: MetadataView, tell: Told): Steps<void> {
  const { image } = view;
  if (image.bitmapCount === 0) return;
  const none = { snapshot: null, guest: null };
  const { bitmapDirectoryOffset, bitmapDirectoryBytes } = image;
  const directory = { offset: bitmapDirectoryOffset, bytes: bitmapDirectoryBytes, entryAt: null };
  tell({ ...none, owner: 'bitmap directory', ...directory }, 'both');
  for (const { tableOffset, tableEntries } of yield* directoryOf(view)) {
    const bytes = tableEntries * 8;
    tell({ ...none, owner: 'bitmap table', offset: tableOffset, bytes, entryAt: null }, 'both');
    if (bytes > MAX_BITMAP_TABLE_BYTES) continue;
    const table = yield* view.onDisk(tableOffset, bytes);
    for (let at = 0; at < bytes; at += 8) {
      const offset = entryOffset(readBe32(table, at), readBe32(table, at + 4));
      if (offset === 0) continue;
      tell({ ...none, owner: 'bitmap data', offset, bytes: image.clusterBytes, entryAt: tableOffset + at }, 'both');
    }
  }
}

/** The bitmap directory on disk; empty if it cannot be read. */
export function* directoryOf(view: MetadataView): Steps<ReturnType<typeof parseDirectory>> {
  const { image } = view;
  if (image.bitmapCount === 0) return [];
  const data = yield* view.onDisk(image.bitmapDirectoryOffset, image.bitmapDirectoryBytes);
  try {
    return parseDirectory(image, data);
  } catch (error) {
    if (error instanceof BlockError) return [];
    throw error;
  }
}

/** How many references in memory each cluster of a range of the file has; those with none are left out. */
export function* countReferences(view: MetadataView, { offset, bytes }: InspectedRange): Steps<Map<number, number>> {
  const { image } = view;
  const counts = new Map<number, number>();
  yield* eachReference(view, (reference, side) => {
    if (side === 'disk') return;
    for (const cluster of clustersOf(image, reference)) {
      const start = cluster * image.clusterBytes;
      if (start + image.clusterBytes > offset && start < offset + bytes)
        counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
    }
  });
  return counts;
}

/** The clusters that a reference touches; those of a hostile offset are none. */
export function* clustersOf(image: Qcow2Image, { offset, bytes }: InspectedRange): Generator<number> {
  if (bytes === 0 || !Number.isSafeInteger(offset + bytes)) return;
  const last = image.clusterIndexOf(offset + bytes - 1);
  for (let cluster = image.clusterIndexOf(offset); cluster <= last; cluster++) yield cluster;
}
