/** Discards: clusters given back, reading as zeroes from then on where the format can say so. */
import { BlockError } from '../../../block/error.ts';
import { assert } from '../../../util/assert.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { sliceForUpdate } from './cluster-table.ts';
import { DiscardReason, type Qcow2Image } from '../tables/image.ts';
import { Cluster, clusterType, isAllocated } from '../format/l2-entry.ts';
import { advance, type GuestOffset, ZERO } from '../format/offsets.ts';
import { discardEntry, freeEntry } from '../refcounts/refcounts.ts';

/** A discard by the guest. ENOTSUP, which counts as done, for parts of clusters, and where old content could show. */
export function* discardRange(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<void> {
  if (image.version < 3 && image.node.backing !== null) throw new BlockError(Errno.ENOTSUP);
  if (image.intoCluster(guest) !== 0 || image.intoCluster(bytes) !== 0) {
    // Part of a cluster can only be all of the last one.
    const isTail = image.intoCluster(guest) === 0 && guest + bytes === image.lengthBytes;
    if (!isTail) throw new BlockError(Errno.ENOTSUP);
  }
  yield* image.lock.holding(discardClusters(image, guest, bytes, { reason: DiscardReason.REQUEST, full: false }));
}

/** Gives back every cluster of the disk: the backing file shows through. */
export function* emptyImage(image: Qcow2Image): Steps<void> {
  const end = image.alignUpToCluster(image.lengthBytes);
  yield* image.lock.holding(
    discardClusters(image, 0 as GuestOffset, end, { reason: DiscardReason.SNAPSHOT, full: true }),
  );
}

/** How clusters are given back. */
export interface DiscardMode {
  /** A value of `DiscardReason`. */
  readonly reason: number;
  /** The backing file shows through again; otherwise the range reads as zeroes. */
  readonly full: boolean;
}

/** Gives back the clusters of a range that begins at one. The lock is held. */
export function* discardClusters(image: Qcow2Image, guest: GuestOffset, bytes: number, mode: DiscardMode): Steps<void> {
  assert(image.lock.isLocked, 'the lock is held');
  assert(image.intoCluster(guest) === 0, 'a discard begins at a cluster');
  yield* withHeldDiscards(image, discardSlices(image, guest, bytes, mode));
}

function* discardSlices(image: Qcow2Image, guest: GuestOffset, bytes: number, mode: DiscardMode): Steps<void> {
  let position = guest;
  for (let rest = image.clustersFor(bytes); rest > 0; ) {
    const count = Math.min(rest, image.sliceEntries - image.sliceIndexOf(position));
    yield* discardInSlice(image, position, count, mode);
    yield image.loop.breathe();
    rest -= count;
    position = advance(position, count * image.clusterBytes);
  }
}

/** Collects the discards of all clusters that `steps` free, and passes them on at the end. */
export function* withHeldDiscards(image: Qcow2Image, steps: Steps<void>): Steps<void> {
  image.discards.isHeld = true;
  let succeeded = false;
  try {
    yield* steps;
    succeeded = true;
  } finally {
    image.discards.isHeld = false;
    yield image.discards.process({ succeeded });
  }
}

function* discardInSlice(
  image: Qcow2Image,
  guest: GuestOffset,
  clusterCount: number,
  { reason, full }: DiscardMode,
): Steps<void> {
  const { l2Cache, l2EntryBytes, hasSubclusters } = image;
  const slot: number = yield sliceForUpdate(image, guest);
  try {
    const table = l2Cache.table(slot);
    const index = image.sliceIndexOf(guest);
    for (let step = 0; step < clusterCount; step++) {
      const at = (index + step) * l2EntryBytes;
      const high = table.readUInt32BE(at);
      const low = table.readUInt32BE(at + 4);
      const zero = hasSubclusters ? table.readUInt32BE(at + 8) : 0;
      const allocated = hasSubclusters ? table.readUInt32BE(at + 12) : 0;
      // What has nothing and hides nothing can stay as it is.
      const type = clusterType(image, high, low);
      const mustChange = full || image.node.backing !== null || isAllocated(type);
      if (!mustChange) continue;
      const keeps = image.keepsDiscarded && reason === DiscardReason.REQUEST && !full && type !== Cluster.COMPRESSED;
      const newHigh = keeps ? high : 0;
      const mark = !full && !hasSubclusters && image.version >= 3 ? ZERO : 0;
      const newLow = ((keeps ? low : 0) | mark) >>> 0;
      const newZero = !full && hasSubclusters ? 0xffff_ffff : 0;
      if (high === newHigh && low === newLow && zero === newZero && allocated === 0) continue;

      l2Cache.markDirty(slot);
      table.writeUInt32BE(newHigh, at);
      table.writeUInt32BE(newLow, at + 4);
      if (hasSubclusters) {
        table.writeUInt32BE(newZero, at + 8);
        table.writeUInt32BE(0, at + 12);
      }
      yield* keeps ? discardEntry(image, high, low, reason) : freeEntry(image, high, low, reason);
    }
  } finally {
    l2Cache.put(slot);
  }
}
