/** Grains of a streamOptimized extent: a zlib stream each, behind a marker with its place and its length. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { readAnywhere } from '../../block/request/read.ts';
import { zlib } from '../../sys/compression.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { Extent } from './extent.ts';

/** A marker: the sector of the guest's disk, eight bytes; the length of the stream, four bytes. */
const MARKER_BYTES = 12;
const MARKER_LENGTH = 8;
/** Grains of an image that is damaged can have 1 GiB; what is longer than this counts as damaged when it is read. */
const MAX_UNPACKED_BYTES = 1 << 26;

/** Fills `data` from within the grain at an offset of the file. EINVAL if it is damaged or too short. */
export function* unpackGrain(extent: Extent, offset: number, into: number, data: Buffer): Steps<void> {
  const { grainBytes } = extent;
  // A grain that cannot be packed is longer with its marker than it was. What lies behind the end of the file is zero.
  const present = Math.max(0, extent.file.node.getLength() - offset);
  const packed = extent.image.node.context.allocate(Math.min(2 * grainBytes, present + MARKER_BYTES));
  yield extent.fire(Event.READ_COMPRESSED);
  yield readAnywhere(extent.file, offset, packed);
  const start = extent.hasMarkers ? MARKER_BYTES : 0;
  const length = extent.hasMarkers ? packed.readUInt32LE(MARKER_LENGTH) : grainBytes;
  const content =
    length === 0 || length > 2 * grainBytes
      ? null
      : zlib().decompressAll(packed.subarray(start, start + length), Math.min(grainBytes, MAX_UNPACKED_BYTES));
  if (content === null || into + data.length > content.length) throw new BlockError(Errno.EINVAL);
  content.copy(data, 0, into);
}

/** The grain that begins at a sector of the guest's disk, as it is stored. EINVAL if it cannot be packed. */
export function packGrain(data: Buffer, sector: number): Buffer {
  const packed = zlib().compress(data, 2 * data.length + MARKER_BYTES);
  if (packed === null) throw new BlockError(Errno.EINVAL);
  const marker = Buffer.alloc(MARKER_BYTES);
  marker.writeBigUInt64LE(BigInt(Math.floor(sector)), 0);
  marker.writeUInt32LE(packed.length, MARKER_LENGTH);
  return Buffer.concat([marker, packed]);
}
