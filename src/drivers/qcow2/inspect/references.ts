/** Every reference of the metadata to the file: what a cluster is used for, and by which entry. */
import type { InspectedRange } from '../../../block/inspect.ts';
import type { Steps } from '../../../util/steps.ts';
import { parseDirectory } from '../bitmaps/directory.ts';
import { BlockError } from '../../../block/error.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { Cluster } from '../format/l2-entry.ts';
import { entryOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { readL2Entry } from './entries.ts';
import { blockOffsetAt, l2OffsetAt, type MetadataView } from './view.ts';

/** Which state of the metadata is followed. */
export type Side = 'memory' | 'disk';

/** One reference to a range of the file. */
export interface Reference {
  readonly owner: string;
  readonly snapshot: string | null;
  readonly guest: number | null;
  readonly offset: number;
  readonly bytes: number;
  readonly entryAt: number | null;
}

/** Bitmap tables longer than this are not read. */
const MAX_BITMAP_TABLE_BYTES = 1 << 26;

/** Tells of every reference to the image file that one state of the metadata has. */
export function* eachReference(view: MetadataView, side: Side, tell: (reference: Reference) => void): Steps<void> {
  const { image } = view;
  const none = { snapshot: null, guest: null, entryAt: null };
  tell({ ...none, owner: 'header', offset: 0, bytes: image.clusterBytes });
  const l1 = yield* view.l1();
  tell({ ...none, owner: 'l1 table', offset: l1.offset, bytes: l1.memory.length });
  yield* tableReferences(view, side, l1.offset, l1[side], null, tell);
  for (const { id, l1Offset, l1EntryCount } of image.snapshots) {
    const snapshot = id.toString('utf8');
    const bytes = l1EntryCount * L1_ENTRY_BYTES;
    if (bytes > MAX_L1_BYTES) continue;
    tell({ ...none, owner: 'l1 table', snapshot, offset: l1Offset, bytes });
    yield* tableReferences(view, side, l1Offset, yield* view.onDisk(l1Offset, bytes), snapshot, tell);
  }
  if (image.snapshots.length > 0) {
    tell({ ...none, owner: 'snapshot table', offset: image.snapshotsOffset, bytes: image.snapshotsBytes });
  }
  const table = yield* view.refcountTable();
  tell({ ...none, owner: 'refcount table', offset: table.offset, bytes: table.memory.length });
  for (let index = 0; index * REFCOUNT_ENTRY_BYTES < table.memory.length; index++) {
    const offset = blockOffsetAt(table[side], index);
    const entryAt = table.offset + index * REFCOUNT_ENTRY_BYTES;
    if (offset !== 0) tell({ ...none, owner: 'refcount block', offset, bytes: image.clusterBytes, entryAt });
  }
  yield* bitmapReferences(view, tell);
}

/** The references of an L1 table and of the L2 tables that it names. */
function* tableReferences(
  view: MetadataView,
  side: Side,
  l1Offset: number,
  l1: Buffer,
  snapshot: string | null,
  tell: (reference: Reference) => void,
): Steps<void> {
  const { image } = view;
  const { clusterBytes, l2Entries, l2EntryBytes } = image;
  for (let table = 0; table * L1_ENTRY_BYTES < l1.length; table++) {
    const offset = l2OffsetAt(l1, table);
    if (table % 4096 === 0) yield image.loop.breathe();
    if (offset === 0) continue;
    const start = table * l2Entries * clusterBytes;
    const entryAt = l1Offset + table * L1_ENTRY_BYTES;
    tell({ owner: 'l2 table', snapshot, guest: start, offset, bytes: clusterBytes, entryAt });
    if (image.intoCluster(offset) !== 0) continue;
    yield image.loop.breathe();
    const l2 = (yield* view.l2(offset))[side];
    if (image.hasDataFile) continue;
    for (let index = 0; index < l2Entries; index++) {
      const { host, hostBytes, type } = readL2Entry(image, l2, index);
      if (host === null) continue;
      tell({
        owner: type === Cluster.COMPRESSED ? 'compressed data' : 'data',
        snapshot,
        guest: start + index * clusterBytes,
        offset: host,
        bytes: hostBytes,
        entryAt: offset + index * l2EntryBytes,
      });
    }
  }
}

/** Bitmaps are on disk: while an image is open they change in memory alone, without a place. */
function* bitmapReferences(view: MetadataView, tell: (reference: Reference) => void): Steps<void> {
  const { image } = view;
  if (image.bitmapCount === 0) return;
  const none = { snapshot: null, guest: null };
  tell({
    ...none,
    owner: 'bitmap directory',
    offset: image.bitmapDirectoryOffset,
    bytes: image.bitmapDirectoryBytes,
    entryAt: null,
  });
  for (const { tableOffset, tableEntries } of yield* directoryOf(view)) {
    const bytes = tableEntries * 8;
    tell({ ...none, owner: 'bitmap table', offset: tableOffset, bytes, entryAt: null });
    if (bytes > MAX_BITMAP_TABLE_BYTES) continue;
    const table = yield* view.onDisk(tableOffset, bytes);
    for (let at = 0; at < bytes; at += 8) {
      const offset = entryOffset(readBe32(table, at), readBe32(table, at + 4));
      if (offset === 0) continue;
      tell({ ...none, owner: 'bitmap data', offset, bytes: image.clusterBytes, entryAt: tableOffset + at });
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
  yield* eachReference(view, 'memory', (reference) => {
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
