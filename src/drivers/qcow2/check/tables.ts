/** Counting the references of an L1 table: its L2 tables and the clusters that those point to. */
import { BlockError } from '../../../block/error.ts';
import { strerror } from '../../../util/errno.ts';
import { type CheckState, verb } from './state.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readFile, writeFileSync } from '../tables/io.ts';
import { L1_ENTRY_BYTES } from '../format/header-fields.ts';
import { Cluster, clusterType } from '../format/l2-entry.ts';
import {
  COPIED,
  entryOffset,
  hex64,
  highOf,
  L1_RESERVED_HIGH,
  L1_RESERVED_LOW,
  L2_RESERVED_HIGH,
  L2_RESERVED_LOW,
  lowOf,
  ZERO,
} from '../format/offsets.ts';
import { checkOverlap, Overlap } from '../tables/overlap.ts';

/** Where an L1 table is. */
interface L1Location {
  readonly offset: number;
  /** The offset as messages say it, for one that may be inexact. */
  readonly shown?: string;
  readonly entryCount: number;
  /** Not that of a snapshot. */
  readonly isActive: boolean;
}

/** Counts an L1 table and everything below it, and checks the entries. */
export function* countL1(
  image: Qcow2Image,
  state: CheckState,
  { offset: l1Offset, shown, entryCount, isActive }: L1Location,
): Steps<void> {
  if (entryCount === 0) return;
  const { result, map } = state;
  const { warn } = image.node.context;
  map.addReference(result, l1Offset, entryCount * L1_ENTRY_BYTES, shown);
  const l1 = Buffer.alloc(entryCount * L1_ENTRY_BYTES);
  yield* readOrCount(image, state, l1Offset, l1, 'check_refcounts_l1');
  for (let at = 0; at < l1.length; at += L1_ENTRY_BYTES) {
    const high = l1.readUInt32BE(at);
    const low = l1.readUInt32BE(at + 4);
    if (high === 0 && low === 0) continue;
    if ((high & L1_RESERVED_HIGH) !== 0 || (low & L1_RESERVED_LOW) !== 0) {
      warn(`ERROR found L1 entry with reserved bits set: ${hex64(high, low)}`);
      result.corruptions += 1;
    }
    const l2Offset = entryOffset(high, low);
    map.addReference(result, l2Offset, image.clusterBytes);
    if (image.intoCluster(l2Offset) !== 0) {
      warn(`ERROR l2_offset=${hexOf(l2Offset)}: Table is not cluster aligned; L1 entry corrupted`);
      result.corruptions += 1;
    }
    yield* countL2(image, state, l2Offset, isActive);
    yield image.loop.breathe();
  }
}

function hexOf(offset: number): string {
  return hex64(highOf(offset), lowOf(offset));
}

function* readOrCount(image: Qcow2Image, state: CheckState, offset: number, data: Buffer, where: string): Steps<void> {
  try {
    yield readFile(image, offset, data);
  } catch (error) {
    if (error instanceof BlockError) {
      image.node.context.warn(`ERROR: I/O error in ${where}`);
      state.result.checkErrors += 1;
    }
    throw error;
  }
}

function* countL2(image: Qcow2Image, state: CheckState, l2Offset: number, isActive: boolean): Steps<void> {
  const table = Buffer.alloc(image.clusterBytes);
  yield* readOrCount(image, state, l2Offset, table, 'check_refcounts_l2');
  const neighbour: Neighbour = { end: 0 };
  const isEmpty = emptyEntries(image, table);
  for (let index = 0; index < image.l2Entries; index++) {
    if (isEmpty(index)) continue;
    const at = index * image.l2EntryBytes;
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    yield* countEntry(image, state, { table, index, at, high, low, l2Offset, isActive, neighbour });
  }
}

const NO_BITMAP = Buffer.alloc(8);

/** Whether an entry of a table is all zeroes, its bitmap included: most entries of most tables are. */
export function emptyEntries({ l2EntryBytes }: Qcow2Image, table: Buffer): (index: number) => boolean {
  const words = new Int32Array(table.buffer, table.byteOffset, table.length / 4);
  if (l2EntryBytes === 8) return (index) => ((words[2 * index] as number) | (words[2 * index + 1] as number)) === 0;
  return (index) => {
    const at = 4 * index;
    const entry = (words[at] as number) | (words[at + 1] as number);
    return (entry | (words[at + 2] as number) | (words[at + 3] as number)) === 0;
  };
}

/** The cluster before, in the order of the L2 table: the offset where it ends in the file; 0 for none. */
interface Neighbour {
  end: number;
}

interface Entry {
  readonly table: Buffer;
  readonly index: number;
  readonly at: number;
  readonly high: number;
  readonly low: number;
  readonly l2Offset: number;
  readonly isActive: boolean;
  readonly neighbour: Neighbour;
}

function* countEntry(image: Qcow2Image, state: CheckState, entry: Entry): Steps<void> {
  const { result } = state;
  const { warn } = image.node.context;
  const { table, at, high, low } = entry;
  const type = clusterType(image, high, low);
  if (type !== Cluster.COMPRESSED && ((high & L2_RESERVED_HIGH) !== 0 || (low & L2_RESERVED_LOW) !== 0)) {
    warn(`ERROR found l2 entry with reserved bits set: ${hex64(high, low)}`);
    result.corruptions += 1;
  }
  switch (type) {
    case Cluster.COMPRESSED:
      countCompressed(image, state, entry);
      break;
    case Cluster.NORMAL:
    case Cluster.ZERO_ALLOC:
      yield* countCluster(image, state, entry);
      break;
    case Cluster.UNALLOCATED:
      if (image.hasSubclusters && table.readUInt32BE(at + 12) !== 0) {
        result.corruptions += 1;
        warn('ERROR: Unallocated cluster has non-zero subcluster allocation map');
      }
      break;
    default:
      break;
  }
}

function countCompressed(image: Qcow2Image, state: CheckState, entry: Entry): void {
  const { result, map } = state;
  const { warn } = image.node.context;
  const { table, index, at, low, isActive } = entry;
  let { high } = entry;
  const range = image.compressedRange(high, low);
  // An offset beyond 2^53 is only ever shown.
  const shown = hex64(high & ((1 << (38 - image.clusterBits)) - 1), low);
  if ((high & COPIED) !== 0) {
    warn(`ERROR: coffset=0x${shown}: copied flag must never be set for compressed clusters`);
    high = (high & ~COPIED) >>> 0;
    result.corruptions += 1;
  }
  if (image.hasDataFile) {
    warn(`ERROR compressed cluster ${index} with data file, entry=0x${hex64(high, low)}`);
    result.corruptions += 1;
    return;
  }
  if (image.hasSubclusters && !table.subarray(at + 8, at + 16).equals(NO_BITMAP)) {
    warn(`ERROR compressed cluster ${index} with non-zero subcluster allocation bitmap, entry=0x${hex64(high, low)}`);
    result.corruptions += 1;
    return;
  }
  map.addReference(result, range.offset, range.bytes, shown);
  if (!isActive) return;
  result.allocatedClusters += 1;
  result.compressedClusters += 1;
  // Neighbours share sectors: both have to be read again.
  result.fragmentedClusters += 1;
}

function* countCluster(image: Qcow2Image, state: CheckState, entry: Entry): Steps<void> {
  const { result, fix, map } = state;
  const { warn } = image.node.context;
  const { table, at, high, low, isActive, neighbour } = entry;
  const offset = entryOffset(high, low);
  const zero = image.hasSubclusters ? table.readUInt32BE(at + 8) : 0;
  const allocated = image.hasSubclusters ? table.readUInt32BE(at + 12) : 0;
  if ((zero & allocated) !== 0) {
    result.corruptions += 1;
    warn(`ERROR offset=${hexOf(offset)}: Allocated cluster has corrupted subcluster allocation bitmap`);
  }
  if (image.intoCluster(offset) !== 0) {
    result.corruptions += 1;
    const hasData = image.hasSubclusters ? allocated !== 0 : (low & ZERO) === 0;
    if (hasData) {
      warn(`ERROR offset=${hexOf(offset)}: Data cluster is not properly aligned; L2 entry corrupted.`);
    } else {
      warn(
        `${verb(fix.fixesErrors)} offset=${hexOf(offset)}: Preallocated cluster is not properly aligned; ` +
          'L2 entry corrupted.',
      );
      if (fix.fixesErrors && (yield* zeroEntry(image, state, entry))) return;
    }
  }
  if (isActive) {
    result.allocatedClusters += 1;
    if (neighbour.end !== 0 && offset !== neighbour.end) result.fragmentedClusters += 1;
    neighbour.end = offset + image.clusterBytes;
  }
  if (!image.hasDataFile) map.addReference(result, offset, image.clusterBytes);
}

/** Makes an entry say "zero", without a cluster. False if that could not be written. */
function* zeroEntry(image: Qcow2Image, state: CheckState, entry: Entry): Steps<boolean> {
  const { result } = state;
  const { warn } = image.node.context;
  const { table, at, index, l2Offset, isActive } = entry;
  table.writeUInt32BE(0, at);
  if (image.hasSubclusters) {
    const present = (table.readUInt32BE(at + 8) | table.readUInt32BE(at + 12)) >>> 0;
    table.writeUInt32BE(0, at + 4);
    table.writeUInt32BE(present, at + 8);
    table.writeUInt32BE(0, at + 12);
  } else {
    table.writeUInt32BE(ZERO, at + 4);
  }
  const offset = l2Offset + index * image.l2EntryBytes;
  try {
    yield checkOverlap(image, isActive ? Overlap.ACTIVE_L2 : Overlap.INACTIVE_L2, offset, image.l2EntryBytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    // Something is very wrong: no more of this table.
    warn('ERROR: Overlap check failed');
    result.checkErrors += 1;
    throw error;
  }
  try {
    yield* writeFileSync(image, offset, table.subarray(at, at + image.l2EntryBytes));
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    warn(`ERROR: Failed to overwrite L2 table entry: ${strerror(error.errno)}`);
    result.checkErrors += 1;
    return false;
  }
  result.corruptions -= 1;
  result.corruptionsFixed += 1;
  return true;
}
