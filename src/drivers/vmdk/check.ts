/** The check of a vmdk image: each grain that has a place lies within its file. Nothing is repaired. */
import type { CheckResult } from '../../block/driver.ts';
import { BlockError, errnoOf } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { noCounts } from '../../block/image-check.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { Extent } from './extent.ts';
import { findGrain, gapAfter } from './find-grain.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** Ends with the first problem, which is a line on standard error: EPERM, as QEMU has it, or what a file answered. */
export function* checkImage(image: VmdkImage): Steps<CheckResult> {
  const { node } = image;
  const end = node.getLength();
  for (let position = 0; position < end; ) {
    const extent = image.extentAt(position);
    const sector = position / SECTOR_BYTES;
    if (extent === undefined) throw problem(image, Errno.EINVAL, `could not find extent for sector ${sector}`);
    const grain = yield* findGrain(extent, position);
    if (grain.kind === 'damaged') {
      throw problem(image, Errno.EPERM, `could not get cluster_offset for sector ${sector}`);
    }
    if (grain.kind === 'data' && grain.offset >= fileBytes(extent, sector)) {
      throw problem(image, Errno.EINVAL, `cluster offset for sector ${sector} points after EOF`);
    }
    position += grain.kind === 'none' ? gapAfter(extent, grain, position) : extent.grainBytes;
    yield node.loop.breathe();
  }
  return noCounts();
}

function problem({ node }: VmdkImage, errno: number, text: string): BlockError {
  node.context.warn(`ERROR: ${text}`);
  return new BlockError(errno);
}

function fileBytes({ image, file }: Extent, sector: number): number {
  try {
    return file.node.getLength();
  } catch (error) {
    throw problem(image, errnoOf(error), `could not get extent file length for sector ${sector}`);
  }
}
