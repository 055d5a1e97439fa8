/** Reads and writes of the guest's data, cluster by cluster. */
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events/events.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { preadv, readAnywhere } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { deflate } from '../../sys/compression.ts';
import { isAligned } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import { findCluster, unpack } from './find-cluster.ts';
import type { QcowImage } from './qcow-image.ts';

/** Fills `data` from `offset` of the guest's disk. */
export function* readRange(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  yield* image.lock.holding(readClusters(image, offset, data));
}

function* readClusters(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; ) {
    const position = offset + done;
    const into = position % image.clusterBytes;
    const part = data.subarray(done, done + image.clusterBytes - into);
    const place = yield* findCluster(image, position, { kind: 'read' });
    if (place.kind === 'none') {
      yield* readBacking(image, position, part);
    } else if (place.kind === 'compressed') {
      (yield* unpack(image, place)).copy(part, 0, into);
    } else {
      checkPlace(place.offset);
      yield* image.lock.releasing(readPlain(image, place.offset + into, part));
      image.cipher?.decrypt(position / SECTOR_BYTES, part, part);
    }
    done += part.length;
  }
}

function* readBacking(image: QcowImage, position: number, data: Buffer): Steps<void> {
  const { backing } = image.node;
  if (backing === null) {
    data.fill(0);
    return;
  }
  yield* image.lock.releasing(
    (function* () {
      yield image.fire(Event.READ_BACKING_AIO);
      yield preadv(backing, position, data, 0);
    })(),
  );
}

function* readPlain(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  yield image.fire(Event.READ_AIO);
  yield readAnywhere(image.file, offset, data);
}

/** EIO for a cluster that does not begin at a sector. */
function checkPlace(offset: number): void {
  if (!isAligned(offset, SECTOR_BYTES)) throw new BlockError(Errno.EIO);
}

/** Writes `data` to the guest's disk. */
export function* writeRange(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  image.unpackedOffset = -1;
  yield* image.lock.holding(writeClusters(image, offset, data));
}

function* writeClusters(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  for (let done = 0; done < data.length; ) {
    const position = offset + done;
    const into = position % image.clusterBytes;
    const part = data.subarray(done, done + image.clusterBytes - into);
    const place = yield* findCluster(image, position, { kind: 'write', from: into, to: into + part.length });
    if (place.kind !== 'plain') throw new BlockError(Errno.EIO);
    checkPlace(place.offset);
    const stored = image.cipher === null ? part : image.node.context.allocate(part.length);
    image.cipher?.encrypt(position / SECTOR_BYTES, part, stored);
    yield* image.lock.releasing(writePlain(image, place.offset + into, stored));
    done += part.length;
  }
}

function* writePlain(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  yield image.fire(Event.WRITE_AIO);
  yield pwritev(image.file, offset, data, 0);
}

/**
 * Writes a cluster compressed; data that does not become shorter is written as it is. EINVAL unless it is a cluster, or
 * what the disk has of its last one. A cluster that has a place already keeps it, and its entry: as in QEMU 7.2 it
 * cannot be read afterwards.
 */
export function* writeCompressed(image: QcowImage, offset: number, data: Buffer): Steps<void> {
  const { clusterBytes } = image;
  if (data.length > clusterBytes || (data.length < clusterBytes && offset + data.length !== image.lengthBytes)) {
    throw new BlockError(Errno.EINVAL);
  }
  const cluster = Buffer.alloc(clusterBytes);
  data.copy(cluster);
  const packed = deflate().compress(cluster, clusterBytes - 1);
  if (packed === null) {
    yield* writeRange(image, offset, data);
    return;
  }
  const place = yield* image.lock.holding(
    findCluster(image, offset, { kind: 'write-compressed', bytes: packed.length }),
  );
  if (place.kind === 'none') throw new BlockError(Errno.EIO);
  yield image.fire(Event.WRITE_COMPRESSED);
  yield pwritev(image.file, place.offset % 2 ** (63 - image.clusterBits), packed, 0);
}
