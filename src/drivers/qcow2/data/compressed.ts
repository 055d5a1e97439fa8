/** Compressed clusters: each is a deflate or zstd stream of its own, at any byte of the file. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { type Codec, deflate, zstd } from '../../../sys/compression.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { Compression } from '../format/features.ts';
import type { GuestOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readFile } from '../tables/io.ts';
import { inThread } from '../tables/worker.ts';

/** Fills `data` from the compressed cluster whose entry this is; the guest range lies within it. */
export function* readCompressed(
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  high: number,
  low: number,
): Steps<void> {
  const range = image.compressedRange(high, low);
  const compressed = Buffer.alloc(range.bytes);
  yield image.fire(Event.READ_COMPRESSED);
  yield readFile(image, range.offset, compressed);
  const codec = codecOf(image);
  const cluster = yield* inThread(image, () => codec.decompress(compressed, image.clusterBytes));
  if (cluster === null) throw new BlockError(Errno.EIO);
  const into = image.intoCluster(guest);
  cluster.copy(data, 0, into, into + data.length);
}

/** The codec of this image's compressed clusters. ENOTSUP where it needs a library that is not there. */
export function codecOf(image: Qcow2Image): Codec {
  if (image.compressionType === Compression.ZLIB) return deflate();
  const codec = zstd();
  if (codec !== null) return codec;
  image.node.context.report('zstd needs libzstd.so.1, or Node.js 22.15 or newer');
  throw new BlockError(Errno.ENOTSUP);
}
