/** Checking the copied flag of L1 and L2 entries: set if, and only if, the cluster has one reference. */
import { BlockError } from '../../../block/error.ts';
import type { CheckCounts } from '../../../block/image-check.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import { emptyEntries } from './tables.ts';
import { exactRefcount, failing, type FixMode, verb } from './state.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readFile, writeFile } from '../tables/io.ts';
import { writeL1Entry } from '../tables/l1.ts';
import { Cluster, clusterType } from '../format/l2-entry.ts';
import { COPIED, entryOffset, hex64 } from '../format/offsets.ts';
import { checkOverlap, Overlap } from '../tables/overlap.ts';
import { getRefcount } from '../refcounts/refcounts.ts';

/** Checks the active tables. Leaks alone may be fixed without fixing errors, and then only if all else is well. */
export function* checkCopiedFlags(image: Qcow2Image, result: CheckCounts, fix: FixMode): Steps<void> {
  const isClean = result.checkErrors === 0 && result.corruptions === 0 && result.leaks === 0;
  const repairs = fix.fixesErrors || (fix.fixesLeaks && isClean);
  for (let index = 0; index < image.l1.entryCount; index++) {
    const l2Offset = image.l1.l2Offset(index);
    if (l2Offset === 0) continue;
    const refcount = yield* refcountOf(image, l2Offset);
    if (refcount === null) continue;
    yield* checkL1Entry(image, result, index, refcount, repairs);
    yield* checkL2Table(image, result, l2Offset, repairs);
    yield image.loop.breathe();
  }
}

/** Null if it cannot be read, which has been said before. */
function* refcountOf(image: Qcow2Image, offset: number): Steps<number | null> {
  try {
    return yield getRefcount(image, image.clusterIndexOf(offset));
  } catch (error) {
    if (error instanceof BlockError) return null;
    throw error;
  }
}

function* checkL1Entry(
  image: Qcow2Image,
  result: CheckCounts,
  index: number,
  refcount: number,
  repairs: boolean,
): Steps<void> {
  const { l1 } = image;
  const high = l1.high(index);
  const low = l1.low(index);
  if ((refcount === 1) === ((high & COPIED) !== 0)) return;
  result.corruptions += 1;
  const exact = yield* exactRefcount(image, image.clusterIndexOf(l1.l2Offset(index)), refcount);
  image.node.context.warn(
    `${verb(repairs)} OFLAG_COPIED L2 cluster: l1_index=${index} l1_entry=${hex64(high, low)} refcount=${exact}`,
  );
  if (!repairs) return;
  l1.set(index, withFlag(high, refcount), low);
  try {
    yield* writeL1Entry(image, index);
  } catch (error) {
    if (error instanceof BlockError) result.checkErrors += 1;
    throw error;
  }
  result.corruptions -= 1;
  result.corruptionsFixed += 1;
}

function withFlag(high: number, refcount: number): number {
  return (refcount === 1 ? high | COPIED : high & ~COPIED) >>> 0;
}

function* checkL2Table(image: Qcow2Image, result: CheckCounts, l2Offset: number, repairs: boolean): Steps<void> {
  const { warn } = image.node.context;
  const table = Buffer.alloc(image.clusterBytes);
  yield* failing(image, result, 'ERROR: Could not read L2 table', () => readFile(image, l2Offset, table));
  let changed = 0;
  const isEmpty = emptyEntries(image, table);
  for (let at = 0; at < table.length; at += image.l2EntryBytes) {
    if (isEmpty(at / image.l2EntryBytes)) continue;
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    const type = clusterType(image, high, low);
    if (type !== Cluster.NORMAL && type !== Cluster.ZERO_ALLOC) continue;
    const refcount = image.hasDataFile ? 1 : yield* refcountOf(image, entryOffset(high, low));
    if (refcount === null || (refcount === 1) === ((high & COPIED) !== 0)) continue;
    result.corruptions += 1;
    const exact = yield* exactRefcount(image, image.clusterIndexOf(entryOffset(high, low)), refcount);
    warn(`${verb(repairs)} OFLAG_COPIED data cluster: l2_entry=${hex64(high, low)} refcount=${exact}`);
    if (!repairs) continue;
    table.writeUInt32BE(withFlag(high, refcount), at);
    changed += 1;
  }
  if (changed === 0) return;
  const overlaps = (): Pending => checkOverlap(image, Overlap.ACTIVE_L2, l2Offset, image.clusterBytes);
  yield* failing(image, result, 'ERROR: Could not write L2 table; metadata overlap check failed', overlaps);
  yield* failing(image, result, 'ERROR: Could not write L2 table', () => writeFile(image, l2Offset, table));
  result.corruptions -= changed;
  result.corruptionsFixed += changed;
}
