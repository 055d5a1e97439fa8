/** Reads and writes of the guest's data, grain by grain. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { preadv, readAnywhere } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { divRoundUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import { packGrain, unpackGrain } from './compressed-grains.ts';
import { isParentRight, renewContentId } from './content-id.ts';
import type { Extent } from './extent.ts';
import { allocateGrain, findGrain, type Grain, linkGrain, ZEROED } from './find-grain.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** The part of a request that lies in one grain. */
interface Part {
  readonly extent: Extent;
  /** On the guest's disk. */
  readonly position: number;
  /** From the beginning of the grain. */
  readonly into: number;
  readonly bytes: number;
}

/** The part of the next `bytes` from `position` on. EIO behind the last extent. */
function partAt(image: VmdkImage, position: number, bytes: number): Part {
  const extent = image.extentAt(position);
  if (extent === undefined) throw new BlockError(Errno.EIO);
  const into = extent.intoGrain(position);
  return { extent, position, into, bytes: Math.min(bytes, extent.grainBytes - into) };
}

/** Fills `data` from `offset` of the guest's disk. */
export function* readGrains(image: VmdkImage, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; ) {
    const part = partAt(image, offset + done, data.length - done);
    const { extent, position, into, bytes } = part;
    const grain = yield* findGrain(extent, position);
    const piece = data.subarray(done, done + bytes);
    if (grain.kind === 'data') {
      if (extent.isCompressed) {
        yield* unpackGrain(extent, grain.offset, into, piece);
      } else {
        yield extent.fire(Event.READ_AIO);
        yield readAnywhere(extent.file, grain.offset + into, piece);
      }
    } else {
      // As in QEMU a grain that cannot be found counts as one that is not there.
      yield* readBacking(image, grain, position, piece);
    }
    done += bytes;
  }
}

function* readBacking(image: VmdkImage, { kind }: Grain, position: number, data: Buffer): Steps<void> {
  const { backing } = image.node;
  if (backing === null || kind === 'zero') {
    data.fill(0);
    return;
  }
  if (!(yield* isParentRight(image))) throw new BlockError(Errno.EINVAL);
  yield image.file.node.debugEvent(Event.READ_BACKING_AIO);
  yield preadv(backing, position, data, 0);
}

/** Writes `data` to the guest's disk. The first write gives the image a new content id. */
export function* writeGrains(image: VmdkImage, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; ) {
    const part = partAt(image, offset + done, data.length - done);
    if (part.extent.kind === 'sesparse') throw new BlockError(Errno.ENOTSUP);
    yield* writePart(part, data.subarray(done, done + part.bytes));
    done += part.bytes;
    yield* noteWrite(image);
  }
}

function* writePart(part: Part, data: Buffer): Steps<void> {
  const { extent, position, into, bytes } = part;
  let grain = yield* findGrain(extent, position);
  if (extent.isCompressed) {
    if (grain.kind === 'data') throw refusedOverwrite(extent);
    // QEMU looks again to allocate: a table that could not be read may be there now.
    grain = yield* findGrain(extent, position);
  }
  const isNew = grain.kind !== 'data';
  if (isNew && grain.kind !== 'damaged') {
    // A compressed grain is written whole, in the place of zeroes.
    const end = extent.isCompressed ? 0 : into + bytes;
    grain = yield* allocateGrain(extent, position, grain, extent.isCompressed ? 0 : into, end);
  }
  if (grain.kind === 'damaged') throw new BlockError(Errno.EINVAL);
  yield* writeData(part, grain.offset, data);
  if (isNew) yield* linkOrFail(extent, grain, grain.offset / SECTOR_BYTES);
}

/** A stream of grains has each grain once. */
function refusedOverwrite(extent: Extent): BlockError {
  extent.image.node.context.report('Could not write to allocated cluster for streamOptimized');
  return new BlockError(Errno.EIO);
}

function* writeData({ extent, position, into, bytes }: Part, grainOffset: number, data: Buffer): Steps<void> {
  let stored = data;
  if (extent.isCompressed) {
    const isWhole = bytes === extent.grainBytes || (bytes < extent.grainBytes && position + bytes === extent.endByte);
    if (into !== 0 || !isWhole || !extent.hasMarkers) throw new BlockError(Errno.EINVAL);
    stored = packGrain(data, position / SECTOR_BYTES);
    yield extent.fire(Event.WRITE_COMPRESSED);
  } else {
    yield extent.fire(Event.WRITE_AIO);
  }
  const offset = grainOffset + into;
  const endSector = divRoundUp(offset + stored.length, SECTOR_BYTES);
  try {
    yield pwritev(extent.file, offset, stored, 0);
  } finally {
    // The next grain follows a compressed one closely.
    extent.nextSector = extent.isCompressed ? endSector : Math.max(extent.nextSector, endSector);
  }
}

function* linkOrFail(extent: Extent, grain: Grain, sector: number): Steps<void> {
  try {
    yield* linkGrain(extent, grain, sector);
  } catch (error) {
    throw error instanceof BlockError ? new BlockError(Errno.EIO) : error;
  }
}

function* noteWrite(image: VmdkImage): Steps<void> {
  if (image.hasNewCid) return;
  yield* renewContentId(image);
  image.hasNewCid = true;
}

/**
 * Marks grains as zeroes. ENOTSUP, before anything is changed, if they are not whole or their extent has no such mark.
 */
export function* zeroGrains(image: VmdkImage, offset: number, bytes: number): Steps<void> {
  for (const isTrial of [true, false]) {
    for (let done = 0; done < bytes; ) {
      const part = partAt(image, offset + done, bytes - done);
      yield* zeroPart(part, isTrial);
      done += part.bytes;
      yield* noteWrite(image);
    }
  }
}

function* zeroPart({ extent, position, into, bytes }: Part, isTrial: boolean): Steps<void> {
  if (extent.kind === 'sesparse') throw new BlockError(Errno.ENOTSUP);
  const grain = yield* findGrain(extent, position);
  if (extent.isCompressed && grain.kind === 'data') throw refusedOverwrite(extent);
  if (grain.kind === 'damaged') throw new BlockError(Errno.EINVAL);
  if (!extent.hasZeroGrains || into !== 0 || bytes < extent.grainBytes) throw new BlockError(Errno.ENOTSUP);
  if (isTrial || grain.kind === 'zero') return;
  // QEMU 7.2 would write to where chance leads it.
  if (grain.entry === null) throw new BlockError(Errno.EIO);
  yield* linkOrFail(extent, grain, ZEROED);
}
