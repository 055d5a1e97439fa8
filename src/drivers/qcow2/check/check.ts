/**
 * Checking an image, and repairing it: what QEMU does when an image is opened that was not closed.
 *
 * First every reference is counted, then the counts are compared with those on disk, then the flags that say "only
 * reference" are. The messages are those of `qemu-img check`.
 */
import type { CheckRepair, CheckResult } from '../../../block/driver.ts';
import { BlockError } from '../../../block/error.ts';
import { type CheckCounts, noCounts } from '../../../block/image-check.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES, MAX_L1_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { hex, hex64 } from '../format/offsets.ts';
import { getRefcount, updateRefcount } from '../refcounts/refcounts.ts';
import { markClean, markConsistent } from '../tables/header-write.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { countBitmaps } from './bitmap-references.ts';
import { checkRefcountBlocks } from './blocks.ts';
import { checkCopiedFlags } from './copied.ts';
import { RefcountMap } from './map.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { checkSnapshotTable, fixSnapshotTable } from './snapshots.ts';
import { addCounts, type CheckState, exactRefcount, type FixMode } from './state.ts';
import { countL1 } from './tables.ts';

const fixesNothing: FixMode = { fixesLeaks: false, fixesErrors: false };

const INT_MAX = 0x7fff_ffff;

/**
 * Checks the image and repairs it; if all is well then, the dirty and the corrupt bit are taken away. Takes the lock,
 * but gives it back while the snapshot table is written.
 */
export function* checkImage(image: Qcow2Image, repair: CheckRepair): Steps<CheckResult> {
  const fix: FixMode = { fixesLeaks: repair !== 'none', fixesErrors: repair === 'all' };
  const snapshots = noCounts();
  const total = yield* image.lock.holding(checkTables(image, snapshots, fix));
  yield* fixSnapshotTable(image, snapshots, fix);
  addCounts(total, snapshots);
  if ((fix.fixesErrors || fix.fixesLeaks) && total.checkErrors === 0 && total.corruptions === 0) {
    yield* image.lock.holding(clearFlags(image));
  }
  return total;
}

function* checkTables(image: Qcow2Image, snapshots: CheckCounts, fix: FixMode): Steps<CheckCounts> {
  yield* checkSnapshotTable(image, snapshots, fix);
  const counts = noCounts();
  yield* checkRefcounts(image, counts, fix);
  return counts;
}

function* clearFlags(image: Qcow2Image): Steps<void> {
  yield* markClean(image);
  yield* markConsistent(image);
}

function* checkRefcounts(image: Qcow2Image, result: CheckCounts, fix: FixMode): Steps<void> {
  const clusterCount = image.clustersFor(image.file.node.getLength());
  if (clusterCount > INT_MAX) {
    result.checkErrors += 1;
    throw new BlockError(Errno.EFBIG);
  }
  const state: CheckState = {
    result,
    fix,
    map: new RefcountMap(image, clusterCount),
    needsRebuild: false,
    lastUsedCluster: 0,
  };
  result.totalClusters = image.clustersFor(image.lengthBytes);
  yield* countReferences(image, state);
  const beforeComparison = { ...result };
  yield* compare(image, state, fixesNothing);

  if (state.needsRebuild && fix.fixesErrors) {
    yield* rebuild(image, state);
  } else if (fix.fixesErrors || fix.fixesLeaks) {
    if (state.needsRebuild) {
      image.node.context.warn('ERROR need to rebuild refcount structures');
      result.checkErrors += 1;
      throw new BlockError(Errno.EIO);
    }
    if (result.leaks > 0 || result.corruptions > 0) {
      Object.assign(result, beforeComparison);
      yield* compare(image, state, fix);
    }
  }
  yield* checkCopiedFlags(image, result, fix);
  result.imageEndOffset = (state.lastUsedCluster + 1) * image.clusterBytes;
}

function* countReferences(image: Qcow2Image, state: CheckState): Steps<void> {
  const { map, result } = state;
  const { warn } = image.node.context;
  map.addReference(result, 0, image.clusterBytes);
  yield* countL1(image, state, { offset: image.l1.offset, entryCount: image.l1.entryCount, isActive: true });
  if (image.hasDataFile && image.snapshots.length > 0) {
    warn(`ERROR ${image.snapshots.length} snapshots in image with data file`);
    result.corruptions += 1;
  }
  for (const { id, name, l1Offset, l1OffsetBytes, l1EntryCount } of image.snapshots) {
    const which = `ERROR snapshot ${id.toString('latin1')} (${name.toString('latin1')})`;
    const low = l1OffsetBytes.readUInt32BE(4);
    const shown = hex64(l1OffsetBytes.readUInt32BE(0), low);
    if ((low & image.clusterMask) !== 0) {
      warn(`${which} l1_offset=0x${shown}: L1 table is not cluster aligned; snapshot table entry corrupted`);
      result.corruptions += 1;
    } else if (l1EntryCount > MAX_L1_BYTES / L1_ENTRY_BYTES) {
      warn(`${which} l1_size=${hex(l1EntryCount)}: L1 table is too large; snapshot table entry corrupted`);
      result.corruptions += 1;
    } else {
      yield* countL1(image, state, { offset: l1Offset, shown, entryCount: l1EntryCount, isActive: false });
    }
  }
  map.addReference(result, image.snapshotsOffset, image.snapshotsBytes);
  const { refcountTable } = image;
  const tableBytes = refcountTable.entryCount * REFCOUNT_ENTRY_BYTES;
  map.addReference(result, refcountTable.offset, tableBytes, refcountTable.offsetText);
  const { luksHeader } = image;
  if (luksHeader !== null) map.addReference(result, luksHeader.offset, luksHeader.bytes);
  yield* countBitmaps(image, state);
  yield* checkRefcountBlocks(image, state);
}

/** Compares the counts on disk with those that should be there, and changes them as far as `fix` allows. */
function* compare(image: Qcow2Image, state: CheckState, fix: FixMode): Steps<void> {
  const { map, result } = state;
  const { warn } = image.node.context;
  const { refcountTable, refcountBlockEntries } = image;
  state.lastUsedCluster = 0;
  for (let cluster = 0; cluster < map.clusterCount; cluster++) {
    if (cluster % 4096 === 0) yield image.loop.breathe();
    const block = image.refcountTableIndexOf(cluster);
    if (map.isEmptyBlock(block) && refcountTable.blockOffset(block) === 0) {
      cluster = (block + 1) * refcountBlockEntries - 1;
      continue;
    }
    let onDisk: number;
    try {
      onDisk = yield getRefcount(image, cluster);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      warn(`Can't get refcount for cluster ${cluster}: ${strerror(error.errno)}`);
      result.checkErrors += 1;
      continue;
    }
    const counted = map.get(cluster);
    if (onDisk > 0 || counted > 0) state.lastUsedCluster = cluster;
    if (onDisk === counted) continue;
    const isLeak = onDisk > counted;
    // A cluster that is in use and counts as free: nothing that is allocated now would be safe.
    if (onDisk === 0) state.needsRebuild = true;
    const fixes = onDisk !== 0 && (isLeak ? fix.fixesLeaks : fix.fixesErrors);
    const word = fixes ? 'Repairing' : isLeak ? 'Leaked' : 'ERROR';
    const exact = yield* exactRefcount(image, cluster, onDisk);
    warn(`${word} cluster ${cluster} refcount=${exact} reference=${counted}`);
    const change = typeof exact === 'number' ? counted - exact : BigInt(counted) - exact;
    if (fixes && (yield* setRefcount(image, cluster, change))) {
      if (isLeak) result.leaksFixed += 1;
      else result.corruptionsFixed += 1;
    } else if (isLeak) {
      result.leaks += 1;
    } else {
      result.corruptions += 1;
    }
  }
}

function* setRefcount(image: Qcow2Image, cluster: number, change: number | bigint): Steps<boolean> {
  try {
    yield* updateRefcount(image, cluster * image.clusterBytes, 1, change, DiscardReason.ALWAYS);
    return true;
  } catch (error) {
    if (error instanceof BlockError) return false;
    throw error;
  }
}

/** Makes new refcount structures from what was counted, and checks again. */
function* rebuild(image: Qcow2Image, state: CheckState): Steps<void> {
  const { result, fix, map } = state;
  const { warn } = image.node.context;
  const before = { ...result };
  warn('Rebuilding refcount structure');
  try {
    yield* rebuildRefcounts(image, map);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(error.message);
    result.checkErrors += 1;
    throw error;
  }
  result.corruptions = 0;
  result.leaks = 0;
  map.clear();
  const recount: CheckState = { result, fix: fixesNothing, map, needsRebuild: false, lastUsedCluster: 0 };
  yield* countReferences(image, recount);

  let freshLeaks = 0;
  if (fix.fixesLeaks) {
    // The old structures are leaked now. Only what cannot be freed of them counts.
    const leaks: CheckState = { ...recount, result: noCounts() };
    yield* compare(image, leaks, { fixesLeaks: true, fixesErrors: false });
    if (leaks.needsRebuild) warn('ERROR rebuilt refcount structure is still broken');
    freshLeaks = leaks.result.leaks;
    state.lastUsedCluster = leaks.lastUsedCluster;
  }
  result.corruptionsFixed += Math.max(0, before.corruptions - result.corruptions);
  result.leaksFixed += Math.max(0, before.leaks - result.leaks);
  result.leaks += freshLeaks;
}
