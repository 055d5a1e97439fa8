/** Where a grain of the guest is in its extent, and how it gets a place there. The lock is held. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwriteZeroes, pwritev } from '../../block/request/write.ts';
import { alignDown } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import type { Steps } from '../../util/steps.ts';
import type { TableSlot } from '../../util/table-slots.ts';
import type { Extent } from './extent.ts';
import { isParentRight } from './content-id.ts';

/** The entry of a table that says that a grain reads as zeroes. */
export const ZEROED = 1;
const ENTRY_BYTES = 4;
/** Grains begin below 2 TiB. */
const MAX_SECTORS = 2 ** 32;
/** Grains of an image that is damaged can have 1 GiB: they are filled in pieces, and with holes. */
const PIECE_BYTES = 1 << 26;

/** The entry of a grain: its table, in memory and in the file, and its place in there. */
interface EntryPlace {
  readonly slot: TableSlot;
  readonly tableOffset: number;
  readonly tableIndex: number;
  readonly index: number;
}

/** The result of a look-up: data at an offset of the file, zeroes, nothing, or that it cannot be told. */
export interface Grain {
  readonly kind: 'data' | 'zero' | 'none' | 'damaged';
  readonly offset: number;
  /** Null without a table. */
  readonly entry: EntryPlace | null;
}

const damaged: Grain = { kind: 'damaged', offset: 0, entry: null };
const noTable: Grain = { kind: 'none', offset: 0, entry: null };

/** Finds the grain of a position of the guest's disk. */
export function* findGrain(extent: Extent, position: number): Steps<Grain> {
  if (extent.kind === 'flat') return { kind: 'data', offset: extent.flatOffset, entry: null };
  const within = position - extent.startByte;
  const tableIndex = Math.floor(within / extent.reachBytes);
  if (tableIndex >= extent.directory.entryCount) return damaged;
  const tableSector = tableSectorAt(extent, tableIndex);
  if (tableSector === null) return damaged;
  if (tableSector === 0) return noTable;
  const slot = extent.tables.find(tableSector) ?? (yield* loadTable(extent, tableSector));
  if (slot === null) return damaged;
  const index = Math.floor(within / extent.grainBytes) % extent.tableEntries;
  const entry = { slot, tableOffset: tableSector * SECTOR_BYTES, tableIndex, index };
  return extent.kind === 'sesparse' ? seGrainAt(extent, entry) : grainAt(extent, entry);
}

/** The sector of a table; 0 for none, null if the directory's entry cannot be one. */
function tableSectorAt(extent: Extent, index: number): number | null {
  const { high, low } = extent.directory.get(index);
  if (extent.kind !== 'sesparse') return low;
  if (high === 0 && low === 0) return 0;
  // The upper half marks an entry in use; the lower one counts tables.
  if (high !== 0x1000_0000) return null;
  const sector = extent.tablesOffset + (low * extent.tableEntries * 8) / SECTOR_BYTES;
  return sector < MAX_SECTORS ? sector : null;
}

/** A slot that cannot be filled is taken for the table that it had (as in QEMU); null then. */
function* loadTable(extent: Extent, sector: number): Steps<TableSlot | null> {
  const slot = extent.tables.least();
  yield extent.fire(Event.L2_LOAD);
  try {
    yield preadv(extent.file, sector * SECTOR_BYTES, slot.bytes, 0);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return null;
  }
  slot.offset = sector;
  slot.count = 1;
  return slot;
}

function grainAt(extent: Extent, entry: EntryPlace): Grain {
  const sector = entry.slot.bytes.readUInt32LE(entry.index * ENTRY_BYTES);
  if (sector === ZEROED && extent.hasZeroGrains) return { kind: 'zero', offset: 0, entry };
  return { kind: sector === 0 ? 'none' : 'data', offset: sector * SECTOR_BYTES, entry };
}

/** An entry of a seSparse table: four bits of its kind, then twelve that are the lowest of the number of the grain. */
function seGrainAt(extent: Extent, entry: EntryPlace): Grain {
  const value = entry.slot.bytes.readBigUInt64LE(entry.index * 8);
  switch (value >> 60n) {
    case 0n:
      return value === 0n ? { kind: 'none', offset: 0, entry } : damaged;
    // Unmapped by the guest, or written as zeroes.
    case 1n:
    case 2n:
      return { kind: 'zero', offset: 0, entry };
    case 3n: {
      const number = ((value >> 48n) & 0xfffn) | ((value & 0xffff_ffff_ffffn) << 12n);
      const bytes = (extent.grainsOffset + number * BigInt(extent.grainBytes / SECTOR_BYTES)) * BigInt(SECTOR_BYTES);
      return { kind: 'data', offset: Number(BigInt.asIntN(64, bytes)), entry };
    }
    default:
      return damaged;
  }
}

/**
 * The bytes from the beginning of a grain that has no place up to the next one that has, or to the end of its table; in
 * whole grains. QEMU asks for each grain; a disk of terabytes would take hours so.
 */
export function gapAfter(extent: Extent, { entry }: Grain, position: number): number {
  const { reachBytes, grainBytes, directory } = extent;
  const within = alignDown(position - extent.startByte, grainBytes);
  let count = 1;
  if (entry === null) {
    const next = directory.nextUsed(Math.floor(within / reachBytes)) * reachBytes;
    count = Math.floor((next - within) / grainBytes);
  } else {
    const { slot, index } = entry;
    while (index + count < extent.tableEntries && isUnused(extent, slot, index + count)) count += 1;
    // As if each of them had been asked for: tables leave the cache in the order that they leave it in QEMU.
    slot.count += count - 1;
  }
  const left = Math.ceil((extent.lengthBytes - within) / grainBytes);
  return Math.max(1, Math.min(count, left)) * grainBytes;
}

function isUnused({ kind }: Extent, { bytes }: TableSlot, index: number): boolean {
  return kind === 'sesparse' ? bytes.readBigUInt64LE(index * 8) === 0n : bytes.readUInt32LE(index * ENTRY_BYTES) === 0;
}

/**
 * Gives a grain a place at the end of the file, with what the backing file has around `[from, to)` of it, or zeroes:
 * the tables will never point to what is not there yet. `damaged` if that fails.
 */
export function* allocateGrain(extent: Extent, position: number, old: Grain, from: number, to: number): Steps<Grain> {
  // QEMU 7.2 goes on without a table, and writes to where chance leads it.
  if (old.entry === null || extent.nextSector >= MAX_SECTORS) return damaged;
  const offset = extent.nextSector * SECTOR_BYTES;
  extent.nextSector += extent.grainBytes / SECTOR_BYTES;
  try {
    if (!(yield* fillAround(extent, position, offset, { from, to, isZero: old.kind === 'zero' }))) return damaged;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    return damaged;
  }
  return { kind: 'data', offset, entry: old.entry };
}

/** False if the backing file is another one than the image was made over. */
function* fillAround(
  extent: Extent,
  position: number,
  offset: number,
  { from, to, isZero }: { readonly from: number; readonly to: number; readonly isZero: boolean },
): Steps<boolean> {
  const { image, grainBytes } = extent;
  const { backing } = image.node;
  if (backing !== null && !(yield* isParentRight(image))) return false;
  // As in QEMU 7.2 it is the position within the extent that is read, not the one on the disk.
  const start = alignDown(position - extent.startByte, grainBytes);
  const pieces = [...cut(0, from), ...cut(to, grainBytes)];
  for (const [begin, end] of pieces) {
    const isCopied = backing !== null && !isZero;
    const isHole = grainBytes > PIECE_BYTES && !(isCopied && start + begin < backing.node.getLength());
    const data = isHole ? null : image.node.context.allocate(end - begin);
    if (isCopied && data !== null) {
      yield extent.fire(Event.COW_READ);
      yield preadv(backing, start + begin, data, 0);
    }
    yield extent.fire(Event.COW_WRITE);
    if (data === null) yield pwriteZeroes(extent.file, offset + begin, end - begin, 0);
    else yield pwritev(extent.file, offset + begin, data, 0);
  }
  return true;
}

function* cut(from: number, to: number): Generator<readonly [number, number]> {
  for (let at = from; at < to; at += PIECE_BYTES) yield [at, Math.min(at + PIECE_BYTES, to)];
}

/** Enters a grain into its table, and into the second one. In memory it is there once both are on stable storage. */
export function* linkGrain(extent: Extent, { entry }: Grain, sector: number): Steps<void> {
  assert(entry !== null, 'a grain that gets an entry has a table');
  const { slot, tableOffset, tableIndex, index } = entry;
  const data = Buffer.alloc(ENTRY_BYTES);
  data.writeUInt32LE(sector);
  yield extent.fire(Event.L2_UPDATE);
  yield pwritev(extent.file, tableOffset + index * ENTRY_BYTES, data, 0);
  if (extent.backup !== null) {
    const backupOffset = extent.backup.get(tableIndex).low * SECTOR_BYTES;
    yield pwritev(extent.file, backupOffset + index * ENTRY_BYTES, data, 0);
  }
  yield flush(extent.file.node);
  data.copy(slot.bytes, index * ENTRY_BYTES);
}
