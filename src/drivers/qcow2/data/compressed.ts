/** Compressed clusters: each is a deflate or zstd stream of its own, at any byte of the file. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { pwritev } from '../../../block/request/write.ts';
import { type Codec, deflate, zstd } from '../../../sys/compression.ts';
import { Errno } from '../../../util/errno.ts';
import { sliceForUpdate } from './cluster-table.ts';
import { Compression, type Qcow2Image } from '../tables/image.ts';
import { readFile } from '../tables/io.ts';
import {
  advance,
  COMPRESSED,
  entryOffset,
  type GuestOffset,
  highOf,
  type HostOffset,
  lowOf,
} from '../format/offsets.ts';
import { checkDataOverlap } from '../tables/overlap.ts';
import { allocateBytes } from '../refcounts/refcounts.ts';
import { TaskPool } from './task-pool.ts';
import { writeRange } from './write.ts';

/** Fills `data` from the compressed cluster whose entry this is; the guest range lies within it. */
export async function readCompressed(
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  high: number,
  low: number,
): Promise<void> {
  const range = image.compressedRange(high, low);
  const compressed = Buffer.alloc(range.bytes);
  await image.fire(Event.READ_COMPRESSED);
  await readFile(image, range.offset, compressed);
  const cluster = codecOf(image).decompress(compressed, image.clusterBytes);
  // QEMU does this, and compressing, in a thread: others run meanwhile.
  const wait = image.loop.hostIo();
  if (wait !== undefined) await wait;
  if (cluster === null) throw new BlockError(Errno.EIO);
  const into = image.intoCluster(guest);
  cluster.copy(data, 0, into, into + data.length);
}

/** How the clusters of this image are packed. ENOTSUP where that needs a library that is not there. */
function codecOf(image: Qcow2Image): Codec {
  if (image.compressionType === Compression.ZLIB) return deflate();
  const codec = zstd();
  if (codec !== null) return codec;
  image.node.context.report('zstd needs libzstd.so.1, or Node.js 22.15 or newer');
  throw new BlockError(Errno.ENOTSUP);
}

/**
 * Writes clusters compressed. The range begins at a cluster, and ends at one or at the end of the image; EINVAL
 * otherwise. EIO for a cluster that is allocated already: a compressed one cannot be overwritten.
 */
export async function writeCompressed(image: Qcow2Image, guest: GuestOffset, data: Buffer): Promise<void> {
  if (image.hasDataFile) throw new BlockError(Errno.ENOTSUP);
  if (data.length === 0) {
    // A file that ends at a sector can be read by sectors.
    await truncate(image.file, image.file.node.getLength());
    return;
  }
  const endsInCluster = image.intoCluster(data.length) !== 0;
  if (image.intoCluster(guest) !== 0 || (endsInCluster && guest + data.length !== image.lengthBytes)) {
    throw new BlockError(Errno.EINVAL);
  }
  let pool: TaskPool | null = null;
  try {
    for (let done = 0; done < data.length && pool?.hasFailed !== true; ) {
      const position = advance(guest, done);
      const part = data.subarray(done, done + image.clusterBytes);
      if (pool === null && part.length === data.length) {
        await writeCluster(image, position, part);
      } else {
        pool ??= new TaskPool(image.loop);
        await pool.start(() => writeCluster(image, position, part));
      }
      done += part.length;
    }
  } finally {
    await pool?.drain();
  }
  pool?.check();
}

async function writeCluster(image: Qcow2Image, guest: GuestOffset, data: Buffer): Promise<void> {
  let cluster = data;
  if (data.length < image.clusterBytes) {
    cluster = Buffer.alloc(image.clusterBytes);
    data.copy(cluster);
  }
  // It has to save at least one byte.
  const compressed = codecOf(image).compress(cluster, image.clusterBytes - 1);
  const wait = image.loop.hostIo();
  if (wait !== undefined) await wait;
  if (compressed === null) {
    await writeRange(image, guest, data);
    return;
  }
  const host = await allocateCompressed(image, guest, compressed.length);
  await image.dataFile.node.debugEvent(Event.WRITE_COMPRESSED);
  await pwritev(image.dataFile, host, compressed, 0);
}

async function allocateCompressed(image: Qcow2Image, guest: GuestOffset, bytes: number): Promise<HostOffset> {
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  try {
    const host = await enterCompressed(image, guest, bytes);
    await checkDataOverlap(image, host, bytes);
    return host;
  } finally {
    image.lock.unlock();
  }
}

/** Takes space for a compressed cluster and enters it into the L2 table, before its data is written. */
async function enterCompressed(image: Qcow2Image, guest: GuestOffset, bytes: number): Promise<HostOffset> {
  const { l2Cache } = image;
  const slot = await sliceForUpdate(image, guest);
  try {
    const table = l2Cache.table(slot);
    const at = image.sliceIndexOf(guest) * image.l2EntryBytes;
    if (entryOffset(table.readUInt32BE(at), table.readUInt32BE(at + 4)) !== 0) throw new BlockError(Errno.EIO);
    const host = await allocateBytes(image, bytes);
    const sectors = Math.floor((host + bytes - 1) / SECTOR_BYTES) - Math.floor(host / SECTOR_BYTES);
    await image.fire(Event.L2_UPDATE_COMPRESSED);
    l2Cache.markDirty(slot);
    table.writeUInt32BE((highOf(host) | (sectors << (38 - image.clusterBits)) | COMPRESSED) >>> 0, at);
    table.writeUInt32BE(lowOf(host), at + 4);
    if (image.hasSubclusters) table.fill(0, at + 8, at + 16);
    return host;
  } finally {
    l2Cache.put(slot);
  }
}
