/** Searches for used clusters, through files with holes that are too long to be searched cluster by cluster. */
import { BlockError } from '../../../block/error.ts';
import { strerror } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { corrupt } from '../tables/corruption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { getRefcount } from './refcounts.ts';

/** A search gives Node a turn, where it is time for one, each time it has seen so many clusters. */
const CLUSTERS_PER_BREATH = 4096;

/**
 * The first cluster at or behind one that a refcount block covers; `end` if there is none before.
 */
export function nextCovered(image: Qcow2Image, cluster: number, end: number): number {
  const { refcountTable, refcountBlockEntries } = image;
  let index = image.refcountTableIndexOf(cluster);
  if (refcountTable.blockOffset(index) !== 0) return cluster;
  while (index < refcountTable.entryCount && refcountTable.blockOffset(index) === 0) index += 1;
  return index >= refcountTable.entryCount ? end : Math.min(index * refcountBlockEntries, end);
}

/** The last cluster at or before one that a refcount block covers; -1 if there is none. */
function previousCovered(image: Qcow2Image, cluster: number): number {
  const { refcountTable, refcountBlockEntries } = image;
  let index = image.refcountTableIndexOf(cluster);
  if (refcountTable.blockOffset(index) !== 0) return cluster;
  index = Math.min(index, refcountTable.entryCount);
  while (index >= 0 && refcountTable.blockOffset(index) === 0) index -= 1;
  return (index + 1) * refcountBlockEntries - 1;
}

/** The last cluster of a file of this length that has a refcount. EIO, the image marked corrupt, if none has. */
export function* lastUsedCluster(image: Qcow2Image, fileLength: number): Steps<number> {
  for (let cluster = image.clustersFor(fileLength) - 1; ; cluster--) {
    cluster = previousCovered(image, cluster);
    if (cluster < 0) break;
    if (cluster % CLUSTERS_PER_BREATH === 0) yield image.loop.breathe();
    let refcount: number;
    try {
      refcount = yield getRefcount(image, cluster);
    } catch (error) {
      if (error instanceof BlockError) {
        image.node.context.warn(`Can't get refcount for cluster ${cluster}: ${strerror(error.errno)}`);
      }
      throw error;
    }
    if (refcount > 0) return cluster;
  }
  return yield* corrupt(image, 'There are no references in the refcount table.');
}
