/** vmdk: VMware's disks, in one file or in several. Found by `probe.ts`. */
import type { BlockStatus, Driver } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { SECTOR_BYTES, Status } from '../../block/flags.ts';
import { truncate } from '../../block/request/truncate.ts';
import { alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { checkImage } from './check.ts';
import { findGrain, gapAfter } from './find-grain.ts';
import { readGrains, writeGrains, zeroGrains } from './grain-data.ts';
import { createDisk } from './create-disk.ts';
import { vmdkCreateOptions } from './disk-options.ts';
import { imageInfo, specificInfo } from './image-info.ts';
import { openImage } from './open.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** The driver itself. */
export const vmdk: Driver<VmdkImage> = {
  formatName: 'vmdk',
  isFormat: true,
  supportsBacking: true,

  createOptions: async () => vmdkCreateOptions,
  create: createDisk,

  open: openImage,

  /** Nothing needs a look: the tables stay, and extents find the image's file by its node. */
  async reopenPrepare() {},

  /** As in QEMU only the file can be said in options. */
  namesChild: (name) => name === 'file',

  refreshLimits({ state, limits }) {
    for (const { kind, grainBytes } of state.extents) {
      if (kind !== 'flat') limits.pwriteZeroesAlignment = Math.max(limits.pwriteZeroesAlignment, grainBytes);
    }
  },

  getInfo: ({ state }) => imageInfo(state),
  getSpecificInfo: async ({ state }) => specificInfo(state),

  preadv: ({ state }, offset, data) => run(state.lock.holding(readGrains(state, offset, data))),
  pwritev: ({ state }, offset, data) => run(state.lock.holding(writeGrains(state, offset, data))),
  pwriteZeroes: ({ state }, offset, bytes) => run(state.lock.holding(zeroGrains(state, offset, bytes))),
  blockStatus: ({ state }, _wantZero, offset, bytes) => run(statusOf(state, offset, bytes)),

  pwritevCompressed({ state }, offset, data) {
    // A write of nothing ends the stream.
    if (data.length === 0) return run(alignEnds(state));
    return run(state.lock.holding(writeGrains(state, offset, data)));
  },

  check({ state }, { repair }) {
    if (repair !== 'none') throw new BlockError(Errno.ENOTSUP, 'This image format does not support checks');
    return run(checkImage(state));
  },
};

function* statusOf(image: VmdkImage, offset: number, bytes: number): Steps<BlockStatus> {
  const extent = image.extentAt(offset);
  if (extent === undefined) throw new BlockError(Errno.EIO);
  const grain = yield* image.lock.holding(findGrain(extent, offset));
  if (grain.kind === 'damaged') throw new BlockError(Errno.EIO);
  const into = extent.intoGrain(offset);
  const status = { bytes: Math.min(bytes, extent.grainBytes - into), map: 0, file: null };
  if (grain.kind === 'zero') return { ...status, flags: Status.ZERO };
  if (grain.kind === 'none') {
    return { ...status, flags: 0, bytes: Math.min(bytes, gapAfter(extent, grain, offset) - into) };
  }
  const data = { ...status, flags: Status.DATA, file: extent.file.node };
  if (extent.isCompressed) return data;
  const recurse = extent.kind === 'flat' ? Status.RECURSE : 0;
  return { ...data, flags: Status.DATA | Status.OFFSET_VALID | recurse, map: grain.offset + into };
}

/** Makes the files end at a sector. */
function* alignEnds({ extents }: VmdkImage): Steps<void> {
  for (const { file } of extents) yield truncate(file, alignUp(file.node.getLength(), SECTOR_BYTES));
}
