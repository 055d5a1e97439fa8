/** Writes of compressed clusters. */
import { BlockError } from '../../../block/error.ts';
import { TaskPool } from '../../../block/loop/task-pool.ts';
import { Event } from '../../../block/events/events.ts';
import { SECTOR_BYTES } from '../../../block/flags.ts';
import { truncate } from '../../../block/request/truncate.ts';
import { pwritev } from '../../../block/request/write.ts';
import { Errno } from '../../../util/errno.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import {
  advance,
  COMPRESSED,
  entryOffset,
  type GuestOffset,
  highOf,
  type HostOffset,
  lowOf,
} from '../format/offsets.ts';
import { allocateBytes } from '../refcounts/refcounts.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { checkDataOverlap } from '../tables/overlap.ts';
import { countsOf } from '../tables/pending-update.ts';
import { sliceForUpdate } from './cluster-table.ts';
import { codecOf } from './compressed.ts';
import { noteEntry } from './note-entry.ts';
import { inThread } from '../tables/worker.ts';
import { writeRange } from './write.ts';

/**
 * Writes clusters compressed. The range begins at a cluster, and ends at one or at the end of the image; EINVAL
 * otherwise. EIO for a cluster that is allocated already: a compressed one cannot be overwritten.
 */
export function* writeCompressed(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  if (image.hasDataFile) throw new BlockError(Errno.ENOTSUP);
  if (data.length === 0) {
    // A file that ends at a sector can be read by sectors.
    yield truncate(image.file, image.file.node.getLength());
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
        yield* writeCluster(image, position, part);
      } else {
        pool ??= new TaskPool(image.loop);
        yield* pool.start(() => run(writeCluster(image, position, part)));
      }
      done += part.length;
    }
  } finally {
    if (pool !== null) yield* pool.drain();
  }
  pool?.check();
}

function* writeCluster(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  let cluster = data;
  if (data.length < image.clusterBytes) {
    cluster = Buffer.alloc(image.clusterBytes);
    data.copy(cluster);
  }
  // It has to save at least one byte.
  const codec = codecOf(image);
  const compressed = yield* inThread(image, () => codec.compress(cluster, image.clusterBytes - 1));
  if (compressed === null) {
    yield writeRange(image, guest, data);
    return;
  }
  const host = yield* image.lock.holding(allocateCompressed(image, guest, compressed.length));
  const writing = (): Pending => run(writeStream(image, host, compressed));
  const { hazards } = image;
  yield hazards === null ? writing() : hazards.places.during('write', host, compressed.length, guest, writing);
}

function* writeStream(image: Qcow2Image, host: HostOffset, compressed: Buffer): Steps<void> {
  yield image.dataFile.node.debugEvent(Event.WRITE_COMPRESSED);
  yield pwritev(image.dataFile, host, compressed, 0);
}

function* allocateCompressed(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<HostOffset> {
  const host = yield* enterCompressed(image, guest, bytes);
  yield checkDataOverlap(image, host, bytes);
  return host;
}

/** Takes space for a compressed cluster and enters it into the L2 table, before its data is written. */
function* enterCompressed(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<HostOffset> {
  const { l2Cache } = image;
  const slot: number = yield sliceForUpdate(image, guest);
  try {
    const table = l2Cache.table(slot);
    const at = image.sliceIndexOf(guest) * image.l2EntryBytes;
    if (entryOffset(table.readUInt32BE(at), table.readUInt32BE(at + 4)) !== 0) throw new BlockError(Errno.EIO);
    const host = yield* allocateBytes(image, bytes);
    const counted = countsOf(image, host, bytes);
    const sectors = Math.floor((host + bytes - 1) / SECTOR_BYTES) - Math.floor(host / SECTOR_BYTES);
    yield image.fire(Event.L2_UPDATE_COMPRESSED);
    l2Cache.markDirty(slot);
    table.writeUInt32BE((highOf(host) | (sectors << (38 - image.clusterBits)) | COMPRESSED) >>> 0, at);
    table.writeUInt32BE(lowOf(host), at + 4);
    if (image.hasSubclusters) table.fill(0, at + 8, at + 16);
    noteEntry(image, table, at, { guest, host, counted, copied: 0 });
    return host;
  } finally {
    l2Cache.put(slot);
  }
}
