/** Checking the refcount table: its blocks have to be in the file, and referenced once. */
import { BlockError, errorWithErrno } from '../../../block/error.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { Errno, strerror } from '../../../util/errno.ts';
import { type CheckState, verb } from './state.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from '../tables/image.ts';

/** Counts the refcount blocks. One that is behind the end of the file can be had by making the file longer. */
export function* checkRefcountBlocks(image: Qcow2Image, state: CheckState): Steps<void> {
  const { result, map, fix } = state;
  const { refcountTable } = image;
  const { warn } = image.node.context;
  for (let index = 0; index < refcountTable.entryCount; index++) {
    if (refcountTable.isEmpty(index)) continue;
    const offset = refcountTable.blockOffset(index);
    const cluster = Math.floor(offset / image.clusterBytes);
    if (refcountTable.hasReservedBits(index)) {
      warn(`ERROR refcount table entry ${index} has reserved bits set`);
      result.corruptions += 1;
      state.needsRebuild = true;
    } else if (refcountTable.isUnaligned(index)) {
      warn(`ERROR refcount block ${index} is not cluster aligned; refcount table entry corrupted`);
      result.corruptions += 1;
      state.needsRebuild = true;
    } else if (cluster >= map.clusterCount) {
      result.corruptions += 1;
      warn(`${verb(fix.fixesErrors)} refcount block ${index} is outside image`);
      if (fix.fixesErrors) yield* growFile(image, state, offset);
    } else if (offset !== 0) {
      map.addReference(result, offset, image.clusterBytes);
      const refcount = map.get(cluster);
      if (refcount !== 1) {
        warn(`ERROR refcount block ${index} refcount=${refcount}`);
        result.corruptions += 1;
        state.needsRebuild = true;
      }
    }
  }
}

function* growFile(image: Qcow2Image, state: CheckState, offset: number): Steps<void> {
  const { result, map } = state;
  const { warn } = image.node.context;
  let cannotGrow = '';
  try {
    yield* truncateBehind(image, offset);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    cannotGrow = strerror(error.errno);
  }
  if (cannotGrow === '') {
    map.growFor(result, image.clustersFor(image.file.node.getLength()));
    if (image.clusterIndexOf(offset) >= map.clusterCount) cannotGrow = strerror(Errno.EINVAL);
  }
  if (cannotGrow !== '') {
    state.needsRebuild = true;
    warn(`ERROR could not resize image: ${cannotGrow}`);
    return;
  }
  result.corruptions -= 1;
  result.corruptionsFixed += 1;
  map.addReference(result, offset, image.clusterBytes);
}

function* truncateBehind(image: Qcow2Image, offset: number): Steps<void> {
  if (offset >= 2 ** 63 - image.clusterBytes) throw new BlockError(Errno.EINVAL);
  try {
    // No host has files that end behind the offsets that are exact here.
    if (!Number.isSafeInteger(offset + image.clusterBytes)) throw errorWithErrno(Errno.EFBIG, 'Could not resize file');
    yield truncate(image.file, offset + image.clusterBytes);
  } catch (error) {
    if (error instanceof BlockError) image.node.context.report(error.message);
    throw error;
  }
}
