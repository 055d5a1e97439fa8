/** The structures `l1`, `l2` and `refcounts`: the entries in use, in memory and on disk. */
import type { Field, InspectedRange, RowSink, Structure } from '../../../block/inspect.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES } from '../format/header-fields.ts';
import { COPIED } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readL2Entry, stateText } from './entries.ts';
import { countReferences } from './references.ts';
import { entryText, l2OffsetAt, MetadataView, type TwoSided } from './view.ts';
import { wholeEntryText } from './way.ts';

const guest: Field = {
  key: 'guest',
  title: 'GUEST',
  unit: 'offset',
  help: 'the guest offset that the entry begins at',
};
const at: Field = { key: 'at', title: 'AT', unit: 'offset', help: 'where the entry is in the file' };
const entry: Field = { key: 'entry', title: 'ENTRY', help: 'the entry as it is in memory, in hexadecimal' };
const disk: Field = { key: 'disk', title: 'ON DISK', unlessAs: 'entry', help: 'the entry at this place on disk' };
const copied: Field = { key: 'copied', title: 'COPIED', help: 'whether the flag is set that says: the only reference' };
const refcount: Field = {
  key: 'refcount',
  title: 'REFS',
  help: 'the refcount of the cluster that it names; null if it names none',
};
const cache: Field = {
  key: 'cache',
  title: 'CACHE',
  help: 'the table that it is in: none (not cached), clean, or dirty (to be written back)',
};

const l1Fields: readonly Field[] = [
  { key: 'index', title: 'INDEX', help: 'its index in the L1 table' },
  guest,
  at,
  entry,
  disk,
  {
    key: 'table',
    title: 'L2 TABLE',
    unit: 'offset',
    help: 'where the L2 table is that it names; null if it names none',
  },
  copied,
  refcount,
];

/** The structure `l1`. */
export function l1Structure(image: Qcow2Image): Structure {
  return { name: 'l1', fields: l1Fields, range: 'guest', rows: (range, sink) => run(l1Rows(image, range, sink)) };
}

function* l1Rows(image: Qcow2Image, range: InspectedRange, sink: RowSink): Steps<void> {
  const view = new MetadataView(image);
  const l1 = yield* view.l1();
  const covers = image.l2Entries * image.clusterBytes;
  for (const index of l1Indices(image, range)) {
    if (index % 4096 === 0) yield image.loop.breathe();
    const position = index * L1_ENTRY_BYTES;
    if (isZero(l1, position, L1_ENTRY_BYTES)) continue;
    const table = l2OffsetAt(l1.memory, index);
    sink({
      index,
      guest: index * covers,
      at: l1.offset + position,
      entry: entryText(l1.memory, position),
      disk: entryText(l1.disk, position),
      table: table === 0 ? null : table,
      copied: (readBe32(l1.memory, position) & COPIED) !== 0,
      refcount: table === 0 ? null : (yield* view.refcount(image.clusterIndexOf(table))).memory,
    });
  }
}

/** The indices of the L1 entries of a guest range; all for one that reaches to the end, with those of the VM state. */
function* l1Indices(image: Qcow2Image, { offset, bytes }: InspectedRange): Generator<number> {
  const covers = image.l2Entries * image.clusterBytes;
  const count = image.l1.entryCount;
  const end = offset + bytes >= image.lengthBytes ? count : Math.min(count, Math.ceil((offset + bytes) / covers));
  for (let index = Math.floor(offset / covers); index < end; index++) yield index;
}

function isZero({ memory, disk: onDisk }: TwoSided, position: number, bytes: number): boolean {
  for (let index = position; index < position + bytes; index++) {
    if (memory[index] !== 0 || onDisk[index] !== 0) return false;
  }
  return true;
}

const l2Fields: readonly Field[] = [
  guest,
  { key: 'table', title: 'TABLE', help: 'the index of the L1 entry that names its table', isExact: true },
  { key: 'index', title: 'INDEX', help: 'its index in the table', isExact: true },
  at,
  entry,
  disk,
  {
    key: 'state',
    title: 'STATE',
    help: 'data, zero, allocated zero, compressed or unallocated; with subclusters the runs of them',
  },
  { key: 'host', title: 'HOST', unit: 'offset', help: 'where its data is in the file; null if it has no place' },
  { key: 'bytes', title: 'BYTES', unit: 'bytes', help: 'bytes that it takes there', isExact: true },
  copied,
  refcount,
  cache,
];

/** The structure `l2`. */
export function l2Structure(image: Qcow2Image): Structure {
  return { name: 'l2', fields: l2Fields, range: 'guest', rows: (range, sink) => run(l2Rows(image, range, sink)) };
}

function* l2Rows(image: Qcow2Image, range: InspectedRange, sink: RowSink): Steps<void> {
  const view = new MetadataView(image);
  const l1 = yield* view.l1();
  const covers = image.l2Entries * image.clusterBytes;
  const rangeEnd =
    range.offset + range.bytes >= image.lengthBytes ? Number.MAX_SAFE_INTEGER : range.offset + range.bytes;
  for (const table of l1Indices(image, range)) {
    const tableOffset = l2OffsetAt(l1.memory, table);
    if (tableOffset === 0) continue;
    yield image.loop.breathe();
    const l2 = yield* view.l2(tableOffset);
    const first = Math.max(0, Math.floor((range.offset - table * covers) / image.clusterBytes));
    const end = Math.min(image.l2Entries, Math.ceil((rangeEnd - table * covers) / image.clusterBytes));
    for (let index = first; index < end; index++) {
      const position = index * image.l2EntryBytes;
      if (isZero(l2, position, image.l2EntryBytes)) continue;
      const { host, hostBytes, isCopied, ...rest } = readL2Entry(image, l2.memory, index);
      sink({
        guest: table * covers + index * image.clusterBytes,
        table,
        index,
        at: tableOffset + position,
        entry: wholeEntryText(image, l2.memory, index),
        disk: wholeEntryText(image, l2.disk, index),
        state: stateText(image, { host, hostBytes, isCopied, ...rest }),
        host,
        bytes: hostBytes,
        copied: isCopied,
        refcount: host === null || image.hasDataFile ? null : (yield* view.refcount(image.clusterIndexOf(host))).memory,
        cache: l2.cacheAt(position),
      });
    }
  }
}

const refcountFields: readonly Field[] = [
  { key: 'host', title: 'HOST', unit: 'offset', help: 'where the first cluster of the run is in the file' },
  { key: 'cluster', title: 'CLUSTER', help: 'the index of this cluster, from 0 on', isExact: true },
  { key: 'clusters', title: 'CLUSTERS', help: 'how many clusters in a row are alike' },
  { key: 'refcount', title: 'REFS', help: 'their refcount in memory; null where no block counts them' },
  { key: 'disk', title: 'ON DISK', unlessAs: 'refcount', help: 'their refcount on disk' },
  {
    key: 'references',
    title: 'REFERENCES',
    help: 'how many references to them the metadata in memory has, counted now: another number is a leak or a corruption',
  },
  cache,
];

/** The structure `refcounts`. */
export function refcountStructure(image: Qcow2Image): Structure {
  return {
    name: 'refcounts',
    fields: refcountFields,
    range: 'host',
    rows: (range, sink) => run(refcountRows(image, range, sink)),
  };
}

/** A run of clusters that are alike. */
interface Run {
  readonly first: number;
  readonly refcount: number | null;
  readonly disk: number | null;
  readonly references: number;
  readonly cacheState: string | null;
}

function* refcountRows(image: Qcow2Image, range: InspectedRange, sink: RowSink): Steps<void> {
  const view = new MetadataView(image);
  const references = yield* countReferences(view, range);
  const first = image.clusterIndexOf(range.offset);
  const end = image.clustersFor(range.offset + range.bytes);
  let current: Run | null = null;
  const finish = (endCluster: number): void => {
    if (current === null || (!current.refcount && !current.disk && current.references === 0)) return;
    const { cacheState, first: cluster, ...counts } = current;
    sink({ host: cluster * image.clusterBytes, cluster, clusters: endCluster - cluster, ...counts, cache: cacheState });
  };
  for (let cluster = first; cluster < end; cluster++) {
    if (cluster % 4096 === 0) yield image.loop.breathe();
    const counts = yield* view.refcount(cluster);
    const counted = references.get(cluster) ?? 0;
    const isAlike: boolean =
      current?.refcount === counts.memory &&
      current.disk === counts.disk &&
      current.references === counted &&
      current.cacheState === counts.cache;
    if (isAlike) continue;
    finish(cluster);
    current = {
      first: cluster,
      refcount: counts.memory,
      disk: counts.disk,
      references: counted,
      cacheState: counts.cache,
    };
  }
  finish(end);
}
