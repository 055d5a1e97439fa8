/** Where a range of the guest is in the file of a qed image. */
import { invalidArgument } from '../../block/error.ts';
import { strerror, Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { QedImage } from './qed-image.ts';
import type { Request } from './guest-io.ts';
import { Entry, entryAt, type L2Table } from './l2-tables.ts';
import { loadL2 } from './table-io.ts';

/** A range of clusters of one kind, all in one L2 table. */
export interface Mapping {
  /** `no-cluster`: unallocated in its table; `no-table`: not even that is there. */
  readonly kind: 'allocated' | 'zero' | 'no-cluster' | 'no-table';
  /** The offset of the first cluster in the file, if allocated. */
  readonly offset: number;
  /** From the position asked for. */
  readonly bytes: number;
}

/**
 * Finds the clusters from `position` on, at most `bytes`; the request then holds their table. EINVAL for a damaged
 * entry. The lock is held.
 */
export function* findClusters(image: QedImage, request: Request, position: number, bytes: number): Steps<Mapping> {
  const within = Math.min(bytes, image.l2Reach - (position % image.l2Reach));
  const l2Offset = entryAt(image.l1, Math.floor(position / image.l2Reach));
  if (l2Offset === Entry.UNALLOCATED) return { kind: 'no-table', offset: 0, bytes: within };
  if (!image.isTableOffset(l2Offset)) throw invalidArgument(strerror(Errno.EINVAL));
  request.release();
  const table = yield* loadL2(image, l2Offset);
  request.hold(table);
  const index = clusterIndex(image, position);
  const into = image.intoCluster(position);
  const count = countAlike(image, table, index, image.clustersFor(into + within));
  const first = entryAt(table.bytes, index);
  const kind = kindOf(image, first);
  return { kind, offset: first, bytes: Math.min(within, count * image.clusterBytes - into) };
}

/** The index of a position in its L2 table. */
export function clusterIndex(image: QedImage, position: number): number {
  return Math.floor(position / image.clusterBytes) % image.tableEntries;
}

function kindOf(image: QedImage, entry: number): Mapping['kind'] {
  if (entry === Entry.UNALLOCATED) return 'no-cluster';
  if (entry === Entry.ZERO) return 'zero';
  if (image.isClusterOffset(entry)) return 'allocated';
  throw invalidArgument(strerror(Errno.EINVAL));
}

/** Entries from `index` on, at most `count`, that are all unallocated, all zero, or follow each other in the file. */
function countAlike(
  { tableEntries, clusterBytes }: QedImage,
  { bytes }: L2Table,
  index: number,
  count: number,
): number {
  const end = Math.min(index + count, tableEntries);
  const first = entryAt(bytes, index);
  const step = first === Entry.UNALLOCATED || first === Entry.ZERO ? 0 : clusterBytes;
  let next = index + 1;
  while (next < end && entryAt(bytes, next) === first + (next - index) * step) next += 1;
  return next - index;
}
