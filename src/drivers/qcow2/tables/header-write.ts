/** Writing the header: the fields that change alone, and all of it with its extensions. */
import type { Pending } from '../../../util/steps.ts';
import { BlockError } from '../../../block/error.ts';
import { later } from '../../../util/answer.ts';
import { Errno } from '../../../util/errno.ts';
import { Extension } from './extensions.ts';
import { HEADER_V2_BYTES } from '../format/header.ts';
import { HEADER_BYTES, MAGIC } from '../probe.ts';
import { Incompatible, type Qcow2Image } from './image.ts';
import { flushFile, writeFile, writeFileSync } from './io.ts';
import { writeUint64 } from '../format/offsets.ts';

/** Where the incompatible features are. */
const INCOMPATIBLE = 72;
/** With smaller clusters the names of features would take the room of a backing file's name. */
const MIN_CLUSTER_FOR_FEATURES = 4096;

/** Type, bit, name: what older programs say of a feature that they do not know. */
const featureNames: readonly (readonly [number, number, string])[] = [
  [0, 0, 'dirty bit'],
  [0, 1, 'corrupt bit'],
  [0, 2, 'external data file'],
  [0, 3, 'compression type'],
  [0, 4, 'extended L2 entries'],
  [1, 0, 'lazy refcounts'],
  [2, 0, 'bitmaps'],
  [2, 1, 'raw external data'],
];

/** Writes all of the first cluster anew. ENOSPC if that is too small. */
export async function updateHeader(image: Qcow2Image): Promise<void> {
  await writeFile(image, 0, headerCluster(image));
}

/** As `updateHeader`, and puts it on stable storage. */
export async function updateHeaderSync(image: Qcow2Image): Promise<void> {
  await updateHeader(image);
  await flushFile(image);
}

/** What `updateHeader` writes. */
function headerCluster(image: Qcow2Image): Buffer {
  const cluster = image.node.context.allocate(image.clusterBytes);
  const isV3 = image.version >= 3;
  writeFields(image, cluster);
  const room = new Room(cluster, isV3 ? HEADER_BYTES : HEADER_V2_BYTES);
  room.add(image.unknownHeaderFields);
  if (image.backingFormat !== null) room.addExtension(Extension.BACKING_FORMAT, image.backingFormat);
  if (image.hasDataFile && image.dataFileName !== null) room.addExtension(Extension.DATA_FILE, image.dataFileName);
  if (isV3 && image.clusterBytes > MIN_CLUSTER_FOR_FEATURES) room.addExtension(Extension.FEATURE_TABLE, featureTable());
  if (image.bitmapCount > 0) room.addExtension(Extension.BITMAPS, bitmapsExtension(image));
  for (const { magic, data } of image.unknownExtensions) room.addExtension(magic, data);
  room.addExtension(Extension.END, Buffer.alloc(0));
  if (image.backingFile !== null) {
    writeUint64(cluster, room.position, 8);
    cluster.writeUInt32BE(image.backingFile.length, 16);
    room.add(image.backingFile);
  }
  return cluster;
}

function writeFields(image: Qcow2Image, cluster: Buffer): void {
  cluster.writeUInt32BE(MAGIC, 0);
  cluster.writeUInt32BE(image.version, 4);
  cluster.writeUInt32BE(image.clusterBits, 20);
  writeUint64(cluster, image.lengthBytes, 24);
  cluster.writeUInt32BE(image.cryptMethod, 32);
  cluster.writeUInt32BE(image.l1.entryCount, 36);
  writeUint64(cluster, image.l1.offset, 40);
  writeUint64(cluster, image.refcountTable.offset, 48);
  cluster.writeUInt32BE(image.refcountTable.bytes.length / image.clusterBytes, 56);
  cluster.writeUInt32BE(image.snapshots.length, 60);
  writeUint64(cluster, image.snapshotsOffset, 64);
  if (image.version < 3) return;
  cluster.writeBigUInt64BE(image.incompatible, INCOMPATIBLE);
  cluster.writeBigUInt64BE(image.compatible, 80);
  cluster.writeBigUInt64BE(image.autoclear, 88);
  cluster.writeUInt32BE(image.refcountOrder, 96);
  cluster.writeUInt32BE(HEADER_BYTES + image.unknownHeaderFields.length, 100);
  cluster[104] = image.compressionType;
}

/** What is left of the first cluster. */
class Room {
  position: number;
  readonly #cluster: Buffer;

  constructor(cluster: Buffer, position: number) {
    this.#cluster = cluster;
    this.position = position;
  }

  add(data: Buffer): void {
    this.#check(data.length);
    data.copy(this.#cluster, this.position);
    this.position += data.length;
  }

  addExtension(magic: number, data: Buffer): void {
    const padded = Math.ceil(data.length / 8) * 8;
    this.#check(8 + padded);
    this.#cluster.writeUInt32BE(magic, this.position);
    this.#cluster.writeUInt32BE(data.length, this.position + 4);
    data.copy(this.#cluster, this.position + 8);
    this.position += 8 + padded;
  }

  #check(bytes: number): void {
    if (this.#cluster.length - this.position < bytes) throw new BlockError(Errno.ENOSPC);
  }
}

function featureTable(): Buffer {
  const table = Buffer.alloc(featureNames.length * 48);
  for (const [index, [type, bit, name]] of featureNames.entries()) {
    table[index * 48] = type;
    table[index * 48 + 1] = bit;
    table.write(name, index * 48 + 2, 'latin1');
  }
  return table;
}

function bitmapsExtension(image: Qcow2Image): Buffer {
  const data = Buffer.alloc(24);
  data.writeUInt32BE(image.bitmapCount, 0);
  writeUint64(data, image.bitmapDirectoryBytes, 8);
  writeUint64(data, image.bitmapDirectoryOffset, 16);
  return data;
}

/** Marks the image dirty: its refcounts are not kept up to date from now on. Stays clean if that cannot be written. */
export async function markDirty(image: Qcow2Image): Promise<void> {
  if ((image.incompatible & Incompatible.DIRTY) !== 0n) return;
  const features = Buffer.alloc(8);
  features.writeBigUInt64BE(image.incompatible | Incompatible.DIRTY);
  await writeFileSync(image, INCOMPATIBLE, features);
  image.incompatible |= Incompatible.DIRTY;
}

/** Writes everything back and takes the dirty bit away. No request may be in flight. */
export async function markClean(image: Qcow2Image): Promise<void> {
  if ((image.incompatible & Incompatible.DIRTY) === 0n) return;
  image.incompatible &= ~Incompatible.DIRTY;
  await writeCaches(image);
  await flushFile(image);
  await updateHeader(image);
}

/** Takes the corrupt bit away, after a repair. */
export async function markConsistent(image: Qcow2Image): Promise<void> {
  if ((image.incompatible & Incompatible.CORRUPT) === 0n) return;
  await writeCaches(image);
  await flushFile(image);
  image.incompatible &= ~Incompatible.CORRUPT;
  await updateHeader(image);
}

/** Writes back both caches; refcounts only if they have to be right on disk. */
export function writeCaches(image: Qcow2Image): Pending {
  const writing = image.l2Cache.write();
  return writing === undefined ? writeRefcounts(image) : later(writing, writeRefcounts, image);
}

function writeRefcounts(image: Qcow2Image): Pending {
  return image.needsAccurateRefcounts ? image.refcountCache.write() : undefined;
}

/** The same with the lock held, which is given up when that has succeeded or failed. */
export function writeCachesAndUnlock(image: Qcow2Image): Pending {
  let writing: Pending;
  try {
    writing = writeCaches(image);
  } catch (error) {
    image.lock.unlock();
    throw error;
  }
  if (writing !== undefined) return writing.finally(() => image.lock.unlock());
  image.lock.unlock();
  return undefined;
}
