/**
 * Checking an image, and repairing it: what QEMU does when an image is opened that was not closed.
 *
 * First every reference is counted, then the counts are compared with those on disk, then the flags that say "only
 * reference" are. The messages are those of `qemu-img check`.
 */
import { BlockError } from '../../../block/error.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import { countBitmaps } from '../bitmaps/bitmaps.ts';
import { checkRefcountBlocks } from './blocks.ts';
import { checkCopiedFlags } from './copied.ts';
import { RefcountMap } from './map.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { countL1 } from './tables.ts';
import { markClean, markConsistent } from '../tables/header-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { writeFileSync } from '../tables/io.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES } from '../tables/l1.ts';
import { hex } from '../format/offsets.ts';
import { getRefcount, refcountTableIndexOf, updateRefcount } from '../refcounts/refcounts.ts';
import { REFCOUNT_ENTRY_BYTES } from '../tables/refcount-table.ts';
import { HEADER_SNAPSHOTS, readSnapshots, type SnapshotRepair, writeSnapshots } from '../snapshot.ts';

/** What a check found and mended, counted as `qemu-img check` counts it. */
export interface CheckResult {
  corruptions: number;
  leaks: number;
  checkErrors: number;
  corruptionsFixed: number;
  leaksFixed: number;
}

/** What may be mended: leaks harm nobody, errors do. */
export interface FixMode {
  readonly fixesLeaks: boolean;
  readonly fixesErrors: boolean;
}

const fixesNothing: FixMode = { fixesLeaks: false, fixesErrors: false };

/** What is on the way: the counts so far, and whether the refcount structures are beyond repair. */
export interface CheckState {
  readonly result: CheckResult;
  readonly fix: FixMode;
  readonly map: RefcountMap;
  needsRebuild: boolean;
}

const INT_MAX = 0x7fff_ffff;
/** Version 3 wants the sizes of VM state and disk with every snapshot. */
const MIN_EXTRA_BYTES = 16;

function emptyResult(): CheckResult {
  return { corruptions: 0, leaks: 0, checkErrors: 0, corruptionsFixed: 0, leaksFixed: 0 };
}

function add(sum: CheckResult, part: CheckResult): void {
  for (const key of Object.keys(sum) as (keyof CheckResult)[]) sum[key] += part[key];
}

/** Checks the image and repairs what `fix` allows; if all is well then, the dirty and the corrupt bit are taken away. */
export async function checkImage(image: Qcow2Image, fix: FixMode): Promise<CheckResult> {
  const total = emptyResult();
  const snapshots = emptyResult();
  await checkSnapshotTable(image, snapshots, fix);
  const refcounts = emptyResult();
  await checkRefcounts(image, refcounts, fix);
  add(total, refcounts);
  await fixSnapshotTable(image, snapshots, fix);
  add(total, snapshots);
  if ((fix.fixesErrors || fix.fixesLeaks) && total.checkErrors === 0 && total.corruptions === 0) {
    await markClean(image);
    await markConsistent(image);
  }
  return total;
}

/** Reads the snapshot table again, repairing it in memory. */
async function checkSnapshotTable(image: Qcow2Image, result: CheckResult, fix: FixMode): Promise<void> {
  const repair: SnapshotRepair = { removedCount: 0, cutCount: 0 };
  await readSnapshots(image, image.snapshots.length, fix.fixesErrors ? repair : null);
  result.corruptions += repair.removedCount + repair.cutCount;
  if (repair.removedCount > 0) {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(image.snapshots.length);
    await writeFileSync(image, HEADER_SNAPSHOTS, count);
    result.corruptionsFixed += repair.removedCount;
    result.corruptions -= repair.removedCount;
  }
  if (image.version < 3) return;
  for (const [index, snapshot] of image.snapshots.entries()) {
    if (snapshot.extra.length >= MIN_EXTRA_BYTES) continue;
    result.corruptions += 1;
    image.node.context.warn(`${verb(fix.fixesErrors)} snapshot table entry ${index} is incomplete`);
  }
}

async function fixSnapshotTable(image: Qcow2Image, result: CheckResult, fix: FixMode): Promise<void> {
  if (result.corruptions === 0 || !fix.fixesErrors) return;
  try {
    await writeSnapshots(image);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    result.checkErrors += 1;
    image.node.context.warn(`ERROR failed to update snapshot table: ${strerror(error.errno)}`);
    throw error;
  }
  result.corruptionsFixed += result.corruptions;
  result.corruptions = 0;
}

/** How a message begins: with what is done, or with what would have to be. */
export function verb(repairs: boolean): string {
  return repairs ? 'Repairing' : 'ERROR';
}

async function checkRefcounts(image: Qcow2Image, result: CheckResult, fix: FixMode): Promise<void> {
  const clusterCount = image.clustersFor(image.file.node.getLength());
  if (clusterCount > INT_MAX) {
    result.checkErrors += 1;
    throw new BlockError(Errno.EFBIG);
  }
  const state: CheckState = { result, fix, map: new RefcountMap(image, clusterCount), needsRebuild: false };
  await countReferences(image, state);
  const beforeComparison = { ...result };
  await compare(image, state, fixesNothing);

  if (state.needsRebuild && fix.fixesErrors) {
    await rebuild(image, state);
  } else if (fix.fixesErrors || fix.fixesLeaks) {
    if (state.needsRebuild) {
      image.node.context.warn('ERROR need to rebuild refcount structures');
      result.checkErrors += 1;
      throw new BlockError(Errno.EIO);
    }
    if (result.leaks > 0 || result.corruptions > 0) {
      Object.assign(result, beforeComparison);
      await compare(image, state, fix);
    }
  }
  await checkCopiedFlags(image, result, fix);
}

async function countReferences(image: Qcow2Image, state: CheckState): Promise<void> {
  const { map, result } = state;
  const { warn } = image.node.context;
  map.addReference(result, 0, image.clusterBytes);
  await countL1(image, state, image.l1.offset, image.l1.entryCount, true);
  if (image.hasDataFile && image.snapshots.length > 0) {
    warn(`ERROR ${image.snapshots.length} snapshots in image with data file`);
    result.corruptions += 1;
  }
  for (const { id, name, l1Offset, l1EntryCount } of image.snapshots) {
    const which = `ERROR snapshot ${id.toString('latin1')} (${name.toString('latin1')})`;
    if (image.intoCluster(l1Offset) !== 0) {
      warn(`${which} l1_offset=${hex(l1Offset)}: L1 table is not cluster aligned; snapshot table entry corrupted`);
      result.corruptions += 1;
    } else if (l1EntryCount > MAX_L1_BYTES / L1_ENTRY_BYTES) {
      warn(`${which} l1_size=${hex(l1EntryCount)}: L1 table is too large; snapshot table entry corrupted`);
      result.corruptions += 1;
    } else {
      await countL1(image, state, l1Offset, l1EntryCount, false);
    }
  }
  map.addReference(result, image.snapshotsOffset, image.snapshotsBytes);
  const { refcountTable } = image;
  map.addReference(result, refcountTable.offset, refcountTable.entryCount * REFCOUNT_ENTRY_BYTES);
  await countBitmaps(image, state);
  await checkRefcountBlocks(image, state);
}

/** Compares the counts on disk with those that should be there, and changes them as far as `fix` allows. */
async function compare(image: Qcow2Image, state: CheckState, fix: FixMode): Promise<void> {
  const { map, result } = state;
  const { warn } = image.node.context;
  const { refcountTable, refcountBlockEntries } = image;
  for (let cluster = 0; cluster < map.clusterCount; cluster++) {
    const block = refcountTableIndexOf(image, cluster);
    if (map.isEmptyBlock(block) && refcountTable.blockOffset(block) === 0) {
      cluster = (block + 1) * refcountBlockEntries - 1;
      continue;
    }
    let onDisk;
    try {
      const got = getRefcount(image, cluster);
      onDisk = typeof got === 'number' ? got : await got;
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      warn(`Can't get refcount for cluster ${cluster}: ${strerror(error.errno)}`);
      result.checkErrors += 1;
      continue;
    }
    const counted = map.get(cluster);
    if (onDisk === counted) continue;
    const isLeak = onDisk > counted;
    // A cluster that is in use and counts as free: nothing that is allocated now would be safe.
    if (onDisk === 0) state.needsRebuild = true;
    const fixes = onDisk !== 0 && (isLeak ? fix.fixesLeaks : fix.fixesErrors);
    const word = fixes ? 'Repairing' : isLeak ? 'Leaked' : 'ERROR';
    warn(`${word} cluster ${cluster} refcount=${onDisk} reference=${counted}`);
    if (fixes && (await setRefcount(image, cluster, counted - onDisk))) {
      if (isLeak) result.leaksFixed += 1;
      else result.corruptionsFixed += 1;
    } else if (isLeak) {
      result.leaks += 1;
    } else {
      result.corruptions += 1;
    }
  }
}

async function setRefcount(image: Qcow2Image, cluster: number, change: number): Promise<boolean> {
  try {
    await updateRefcount(image, cluster * image.clusterBytes, 1, change, DiscardReason.ALWAYS);
    return true;
  } catch (error) {
    if (error instanceof BlockError) return false;
    throw error;
  }
}

/** Makes new refcount structures from what was counted, and checks again. */
async function rebuild(image: Qcow2Image, state: CheckState): Promise<void> {
  const { result, fix, map } = state;
  const { warn } = image.node.context;
  const before = { ...result };
  warn('Rebuilding refcount structure');
  try {
    await rebuildRefcounts(image, map);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(error.message);
    result.checkErrors += 1;
    throw error;
  }
  result.corruptions = 0;
  result.leaks = 0;
  map.clear();
  const recount: CheckState = { result, fix: fixesNothing, map, needsRebuild: false };
  await countReferences(image, recount);

  let freshLeaks = 0;
  if (fix.fixesLeaks) {
    // The old structures are leaked now. Only what cannot be freed of them counts.
    const leaks: CheckState = { ...recount, result: emptyResult() };
    await compare(image, leaks, { fixesLeaks: true, fixesErrors: false });
    if (leaks.needsRebuild) warn('ERROR rebuilt refcount structure is still broken');
    freshLeaks = leaks.result.leaks;
  }
  result.corruptionsFixed += Math.max(0, before.corruptions - result.corruptions);
  result.leaksFixed += Math.max(0, before.leaks - result.leaks);
  result.leaks += freshLeaks;
}
