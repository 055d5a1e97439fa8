/** Copies of the metadata, and the entries in which two of them differ. */
import { BlockError } from '../../../block/error.ts';
import type { MetadataChange, InspectedRange, MetadataCopy, Row, Structure } from '../../../block/inspect.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { hex } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { headerStructure } from './header-rows.ts';
import { bitmapStructure, snapshotStructure } from './list-rows.ts';
import { entryText, l2OffsetAt, MetadataView, type TwoSided } from './view.ts';
import { wholeEntryText } from './way.ts';

/** A table as it was: only what it held, and where. */
interface TableCopy {
  readonly offset: number;
  readonly memory: Buffer;
  readonly disk: Buffer;
}

/** A copy of all metadata of one image. */
export class Qcow2Copy implements MetadataCopy {
  bytes = 0;
  header: readonly Row[] = [];
  snapshots: readonly Row[] = [];
  bitmaps: readonly Row[] = [];
  l1: TableCopy = noTable;
  refcountTable: TableCopy = noTable;
  /** By the index of the entry that names them. */
  readonly l2Tables = new Map<number, TableCopy>();
  readonly blocks = new Map<number, TableCopy>();
}

const noTable: TableCopy = { offset: 0, memory: Buffer.alloc(0), disk: Buffer.alloc(0) };
const everything: InspectedRange = { offset: 0, bytes: Number.MAX_SAFE_INTEGER };

/** Copies all metadata. ENOMEM for more than `maxBytes`. */
export function* copyMetadata(image: Qcow2Image, maxBytes: number): Steps<Qcow2Copy> {
  const view = new MetadataView(image);
  const copy = new Qcow2Copy();
  const keep = (table: TwoSided): TableCopy => {
    const { offset, disk } = table;
    const memory = table.memory.equals(disk) ? disk : Buffer.from(table.memory);
    copy.bytes += memory === disk ? disk.length : 2 * disk.length;
    if (copy.bytes > maxBytes) throw new BlockError(Errno.ENOMEM, `the metadata takes more than ${maxBytes} bytes`);
    return { offset, memory, disk };
  };
  copy.header = yield* rowsOf(headerStructure(image));
  copy.snapshots = yield* rowsOf(snapshotStructure(image));
  copy.bitmaps = yield* rowsOf(bitmapStructure(image));
  copy.l1 = keep(yield* view.l1());
  copy.refcountTable = keep(yield* view.refcountTable());
  for (let index = 0; index < image.l1.entryCount; index++) {
    const offset = l2OffsetAt(copy.l1.memory, index);
    if (offset !== 0) copy.l2Tables.set(index, keep(yield* view.l2(offset)));
  }
  for (let index = 0; index < image.refcountTable.entryCount; index++) {
    const block = yield* view.refcountBlock(index);
    if (block !== null) copy.blocks.set(index, keep(block));
  }
  return copy;
}

function* rowsOf(structure: Structure): Steps<Row[]> {
  const all: Row[] = [];
  yield structure.rows(everything, (row) => all.push(row));
  return all;
}

/** The entries of one kind of table, for the comparison. */
interface EntryKind {
  readonly structure: string;
  readonly count: number;
  /** Bits that an entry takes. */
  readonly bits: number;
  text(table: Buffer, index: number): string;
  which(index: number): string;
}

/** Tells of every entry that is not the same in both copies, in memory or on disk. */
export function* compareCopies(
  image: Qcow2Image,
  before: Qcow2Copy,
  now: Qcow2Copy,
  tell: (change: MetadataChange) => void,
): Steps<void> {
  compareRows('header', 'field', before.header, now.header, tell);
  const covers = image.l2Entries * image.clusterBytes;
  compareTables(before.refcountTable, now.refcountTable, refcountTableKind(image, now), tell);
  const blocks = [...new Set([...before.blocks.keys(), ...now.blocks.keys()])].toSorted((a, b) => a - b);
  for (const index of blocks) {
    const kind = refcountKind(image, index);
    compareTables(before.blocks.get(index), now.blocks.get(index), kind, tell);
    yield image.loop.breathe();
  }
  const l1Kind: EntryKind = {
    structure: 'l1',
    count: Math.max(before.l1.memory.length, now.l1.memory.length) / L1_ENTRY_BYTES,
    bits: L1_ENTRY_BYTES * 8,
    text: (table, index) => entryText(table, index * L1_ENTRY_BYTES),
    which: (index) => `guest ${hexOffset(index * covers)}`,
  };
  compareTables(before.l1, now.l1, l1Kind, tell);
  const tables = [...new Set([...before.l2Tables.keys(), ...now.l2Tables.keys()])].toSorted((a, b) => a - b);
  for (const index of tables) {
    const kind: EntryKind = {
      structure: 'l2',
      count: image.l2Entries,
      bits: image.l2EntryBytes * 8,
      text: (table, entry) => wholeEntryText(image, table, entry),
      which: (entry) => `guest ${hexOffset(index * covers + entry * image.clusterBytes)}`,
    };
    compareTables(before.l2Tables.get(index), now.l2Tables.get(index), kind, tell);
    yield image.loop.breathe();
  }
  compareRows('snapshots', 'id', before.snapshots, now.snapshots, tell);
  compareRows('bitmaps', 'name', before.bitmaps, now.bitmaps, tell);
}

function hexOffset(offset: number): string {
  return offset === 0 ? '0x0' : hex(offset);
}

function refcountTableKind(image: Qcow2Image, now: Qcow2Copy): EntryKind {
  const covers = image.refcountBlockEntries * image.clusterBytes;
  return {
    structure: 'refcount table',
    count: now.refcountTable.memory.length / REFCOUNT_ENTRY_BYTES,
    bits: REFCOUNT_ENTRY_BYTES * 8,
    text: (table, index) => entryText(table, index * REFCOUNT_ENTRY_BYTES),
    which: (index) => `host ${hexOffset(index * covers)}`,
  };
}

function refcountKind(image: Qcow2Image, block: number): EntryKind {
  return {
    structure: 'refcount',
    count: image.refcountBlockEntries,
    bits: 2 ** image.refcountOrder,
    text: (table, index) => String(image.refcountWidth.get(table, index)),
    which: (index) => `host ${hexOffset((block * image.refcountBlockEntries + index) * image.clusterBytes)}`,
  };
}

/** Compares two tables entry by entry; one that is not there, or is shorter, has zeroes. */
function compareTables(
  before: TableCopy | undefined,
  now: TableCopy | undefined,
  kind: EntryKind,
  tell: (change: MetadataChange) => void,
): void {
  const isSame =
    before !== undefined && now !== undefined && before.memory.equals(now.memory) && before.disk.equals(now.disk);
  if (isSame) return;
  const bytes = Math.ceil((kind.count * kind.bits) / 8);
  const whole = (table: Buffer | undefined): Buffer => padded(table ?? noTable.memory, bytes);
  const [memoryBefore, memoryNow] = [whole(before?.memory), whole(now?.memory)];
  const [diskBefore, diskNow] = [whole(before?.disk), whole(now?.disk)];
  const step = kind.bits / 8;
  // Bits of a byte are told apart by their texts.
  const isUnchanged = (index: number): boolean =>
    step >= 1 &&
    isSamePart(memoryBefore, memoryNow, index * step, step) &&
    isSamePart(diskBefore, diskNow, index * step, step);
  for (let index = 0; index < kind.count; index++) {
    if (isUnchanged(index)) continue;
    const change = {
      before: kind.text(memoryBefore, index),
      now: kind.text(memoryNow, index),
      diskBefore: kind.text(diskBefore, index),
      disk: kind.text(diskNow, index),
    };
    if (change.before === change.now && change.diskBefore === change.disk) continue;
    const { offset } = now ?? before ?? noTable;
    tell({
      structure: kind.structure,
      which: kind.which(index),
      at: offset + Math.floor((index * kind.bits) / 8),
      ...change,
    });
  }
}

function isSamePart(a: Buffer, b: Buffer, start: number, bytes: number): boolean {
  return a.compare(b, start, start + bytes, start, start + bytes) === 0;
}

function padded(table: Buffer, bytes: number): Buffer {
  if (table.length >= bytes) return table;
  const longer = Buffer.alloc(bytes);
  table.copy(longer);
  return longer;
}

/** Compares rows that are found by a key; one that is missing is an empty text. */
function compareRows(
  structure: string,
  key: string,
  before: readonly Row[],
  now: readonly Row[],
  tell: (change: MetadataChange) => void,
): void {
  const old = new Map(before.map((row) => [row[key], row]));
  const fresh = new Map(now.map((row) => [row[key], row]));
  for (const name of new Set([...old.keys(), ...fresh.keys()])) {
    const [was, is] = [old.get(name), fresh.get(name)];
    const texts = structure === 'header' ? headerTexts(was, is) : listTexts(was, is);
    if (texts.before === texts.now && texts.diskBefore === texts.disk) continue;
    const at = is?.at ?? was?.at ?? null;
    tell({ structure, which: String(name), at: typeof at === 'number' ? at : null, ...texts });
  }
}

function headerTexts(was: Row | undefined, is: Row | undefined) {
  const text = (row: Row | undefined, field: string): string => String(row?.[field] ?? '');
  return {
    before: text(was, 'value'),
    now: text(is, 'value'),
    diskBefore: text(was, 'disk'),
    disk: text(is, 'disk'),
  };
}

/** Lists have no second state: their entries are written at once, or when the image is closed. */
function listTexts(was: Row | undefined, is: Row | undefined) {
  const text = (row: Row | undefined): string =>
    row === undefined
      ? ''
      : Object.entries(row)
          .map(([name, value]) => `${name}=${value ?? '-'}`)
          .join(' ');
  return { before: text(was), now: text(is), diskBefore: text(was), disk: text(is) };
}
