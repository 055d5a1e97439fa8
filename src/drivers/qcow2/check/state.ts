/** The state of a check: its counts, what it may repair, and how its messages begin. */
import { BlockError } from '../../../block/error.ts';
import type { CheckCounts } from '../../../block/image-check.ts';
import { strerror } from '../../../util/errno.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';
import type { RefcountMap } from './map.ts';

/** The problems that a check may repair. A leak only wastes space; an error endangers data. */
export interface FixMode {
  readonly fixesLeaks: boolean;
  readonly fixesErrors: boolean;
}

/** A check under way; `needsRebuild` if the refcount structures are beyond repair. */
export interface CheckState {
  readonly result: CheckCounts;
  readonly fix: FixMode;
  readonly map: RefcountMap;
  needsRebuild: boolean;
  /** The index of the last cluster that is in use or counted as such. */
  lastUsedCluster: number;
}

/** Adds the counts of `part` to those of `sum`. */
export function addCounts(sum: CheckCounts, part: CheckCounts): void {
  for (const key of Object.keys(sum) as (keyof CheckCounts)[]) sum[key] += part[key];
}

/** The first word of a message about a problem that is repaired, or that would have to be. */
export function verb(repairs: boolean): string {
  return repairs ? 'Repairing' : 'ERROR';
}

/** Does `call`; if it fails the check does, too: the error is counted, and said after `message`. */
export function* failing(image: Qcow2Image, result: CheckCounts, message: string, call: () => Pending): Steps<void> {
  try {
    yield call();
  } catch (error) {
    if (error instanceof BlockError) {
      image.node.context.warn(`${message}: ${strerror(error.errno)}`);
      result.checkErrors += 1;
    }
    throw error;
  }
}

/** A refcount that was read, to its last digit: one of 64 bits may be more than a number holds. */
export function* exactRefcount(image: Qcow2Image, cluster: number, refcount: number): Steps<number | bigint> {
  if (refcount <= Number.MAX_SAFE_INTEGER) return refcount;
  const slot: number = yield image.refcountCache.get(
    image.refcountTable.blockOffset(image.refcountTableIndexOf(cluster)),
  );
  const exact = image.refcountCache.table(slot).readBigUInt64BE(image.blockIndexOf(cluster) * 8);
  image.refcountCache.put(slot);
  return exact;
}
