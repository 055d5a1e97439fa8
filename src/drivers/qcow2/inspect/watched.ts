/** The places in the file of what is watched: entries, those that lead to them, and the clusters of data. */
import type { WatchedPlace } from '../../../block/debug/port.ts';
import { invalidArgument } from '../../../block/error.ts';
import type { InspectedRange, Watchable } from '../../../block/inspect.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { hex } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readL2Entry } from './entries.ts';
import { l2OffsetAt, MetadataView } from './view.ts';

/** The most tables, and clusters of data, of one watch: it looks at all of them at each write to the file. */
const MAX_TABLES = 256;
const MAX_CLUSTERS = 16384;

/** The places as the tables in memory have them now. EINVAL for too large a range. */
export function* watchedPlaces(
  image: Qcow2Image,
  what: Watchable,
  { offset, bytes }: InspectedRange,
): Steps<WatchedPlace[]> {
  const view = new MetadataView(image);
  const first = image.clusterIndexOf(offset);
  const last = image.clusterIndexOf(offset + bytes - 1);
  switch (what) {
    case 'cluster':
      return [{ what: 'cluster', offset: first * image.clusterBytes, bytes: (last - first + 1) * image.clusterBytes }];
    case 'refcount':
      return refcountPlaces(image, first, last);
    case 'l2':
      return yield* guestPlaces(view, first, last, false);
    case 'range':
      if (last - first >= MAX_CLUSTERS) throw invalidArgument(`a range is watched up to ${MAX_CLUSTERS} clusters`);
      return yield* guestPlaces(view, first, last, true);
  }
}

/** The L2 entries of clusters of the guest's disk and the L1 entries above them; with `withData` their data, too. */
function* guestPlaces(view: MetadataView, first: number, last: number, withData: boolean): Steps<WatchedPlace[]> {
  const { image } = view;
  const { l2Entries, l2EntryBytes, l1 } = image;
  const table = (cluster: number): number => Math.floor(cluster / l2Entries);
  checkTables(table(first), table(last));
  const { memory } = yield* view.l1();
  const entries: WatchedPlace[] = [];
  const above: WatchedPlace[] = [];
  const data: WatchedPlace[] = [];
  for (let index = table(first); index <= table(last); index++) {
    above.push({ what: 'L1 entry', offset: l1.offset + index * L1_ENTRY_BYTES, bytes: L1_ENTRY_BYTES });
    const l2Offset = l2OffsetAt(memory, index);
    if (l2Offset === 0) continue;
    const from = Math.max(first, index * l2Entries) % l2Entries;
    const to = Math.min(last, (index + 1) * l2Entries - 1) % l2Entries;
    for (let entry = from; entry <= to; entry++) {
      const cluster = index * l2Entries + entry;
      const name = `L2 entry of guest ${hex(cluster * image.clusterBytes)}`;
      entries.push({ what: name, offset: l2Offset + entry * l2EntryBytes, bytes: l2EntryBytes });
    }
    if (withData && !image.hasDataFile) data.push(...dataPlaces(image, (yield* view.l2(l2Offset)).memory, from, to));
  }
  return [...entries, ...above, ...data];
}

function dataPlaces(image: Qcow2Image, table: Buffer, from: number, to: number): WatchedPlace[] {
  const places: WatchedPlace[] = [];
  for (let entry = from; entry <= to; entry++) {
    const { host, hostBytes } = readL2Entry(image, table, entry);
    if (host !== null) places.push({ what: 'data', offset: host, bytes: hostBytes });
  }
  return places;
}

/** The refcounts of clusters of the file, and the entries of the refcount table above them. */
function refcountPlaces(image: Qcow2Image, first: number, last: number): WatchedPlace[] {
  const { refcountTable, refcountBlockEntries, refcountOrder } = image;
  const table = (cluster: number): number => image.refcountTableIndexOf(cluster);
  checkTables(table(first), table(last));
  const counts: WatchedPlace[] = [];
  const above: WatchedPlace[] = [];
  for (let index = table(first); index <= table(last); index++) {
    const at = refcountTable.offset + index * REFCOUNT_ENTRY_BYTES;
    above.push({ what: 'refcount table entry', offset: at, bytes: REFCOUNT_ENTRY_BYTES });
    const block = refcountTable.blockOffset(index);
    if (block === 0) continue;
    const from = Math.max(first, index * refcountBlockEntries);
    const to = Math.min(last, (index + 1) * refcountBlockEntries - 1);
    for (let cluster = from; cluster <= to; cluster++) {
      const bits = (cluster % refcountBlockEntries) * 2 ** refcountOrder;
      const name = `refcount of cluster ${hex(cluster * image.clusterBytes)}`;
      const width = 2 ** refcountOrder;
      const place = { what: name, offset: block + Math.floor(bits / 8), bytes: Math.max(1, width / 8) };
      // Narrow counts share a byte, the first one in its lowest bits.
      counts.push(width >= 8 ? place : { ...place, bits: (2 ** width - 1) << (bits % 8) });
    }
  }
  return [...counts, ...above];
}

function checkTables(first: number, last: number): void {
  if (last - first >= MAX_TABLES) throw invalidArgument(`a range is watched within ${MAX_TABLES} tables`);
}
