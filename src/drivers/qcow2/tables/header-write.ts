/** Writing the header: the fields that change alone, and all of it with its extensions. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { featureNames, Incompatible } from '../format/features.ts';
import { HEADER_BYTES, HEADER_V2_BYTES, HeaderField, MAGIC } from '../format/header-fields.ts';
import { writeUint64 } from '../format/offsets.ts';
import { BITMAPS_EXTENSION_BYTES, Extension, FEATURE_BYTES } from './extensions.ts';
import type { Qcow2Image } from './image.ts';
import { flushFile, writeFile, writeFileSync } from './io.ts';

/** With smaller clusters the names of features would take the room of a backing file's name. */
const MIN_CLUSTER_FOR_FEATURES = 4096;

/** Writes all of the first cluster anew. ENOSPC if that is too small. */
export function* updateHeader(image: Qcow2Image): Steps<void> {
  yield writeFile(image, 0, headerCluster(image));
}

/** Writes all of the first cluster anew, and puts it on stable storage. */
export function* updateHeaderSync(image: Qcow2Image): Steps<void> {
  yield* updateHeader(image);
  yield flushFile(image);
}

/** The first cluster: the header, its extensions, and the backing file's name. */
function headerCluster(image: Qcow2Image): Buffer {
  const cluster = image.node.context.allocate(image.clusterBytes);
  const isV3 = image.version >= 3;
  writeFields(image, cluster);
  const room = new Room(cluster, isV3 ? HEADER_BYTES : HEADER_V2_BYTES);
  room.add(image.unknownHeaderFields);
  if (image.backingFormat !== null) room.addExtension(Extension.BACKING_FORMAT, image.backingFormat);
  if (image.hasDataFile && image.dataFileName !== null) room.addExtension(Extension.DATA_FILE, image.dataFileName);
  const luks = image.luksHeader;
  if (luks !== null) room.addExtension(Extension.CRYPTO_HEADER, luks.extension);
  if (isV3 && image.clusterBytes > MIN_CLUSTER_FOR_FEATURES) room.addExtension(Extension.FEATURE_TABLE, featureTable());
  if (image.bitmapCount > 0) room.addExtension(Extension.BITMAPS, bitmapsExtension(image));
  for (const { magic, data } of image.unknownExtensions) room.addExtension(magic, data);
  room.addExtension(Extension.END, Buffer.alloc(0));
  if (image.backingFile !== null) {
    writeUint64(cluster, room.position, HeaderField.BACKING_OFFSET);
    cluster.writeUInt32BE(image.backingFile.length, HeaderField.BACKING_BYTES);
    room.add(image.backingFile);
  }
  return cluster;
}

function writeFields(image: Qcow2Image, cluster: Buffer): void {
  cluster.writeUInt32BE(MAGIC, HeaderField.MAGIC);
  cluster.writeUInt32BE(image.version, HeaderField.VERSION);
  cluster.writeUInt32BE(image.clusterBits, HeaderField.CLUSTER_BITS);
  writeUint64(cluster, image.lengthBytes, HeaderField.LENGTH);
  cluster.writeUInt32BE(image.cryptMethod, HeaderField.CRYPT_METHOD);
  cluster.writeUInt32BE(image.l1.entryCount, HeaderField.L1_ENTRY_COUNT);
  writeUint64(cluster, image.l1.offset, HeaderField.L1_OFFSET);
  writeUint64(cluster, image.refcountTable.offset, HeaderField.REFCOUNT_TABLE_OFFSET);
  cluster.writeUInt32BE(image.refcountTable.bytes.length / image.clusterBytes, HeaderField.REFCOUNT_TABLE_CLUSTERS);
  cluster.writeUInt32BE(image.snapshots.length, HeaderField.SNAPSHOT_COUNT);
  writeUint64(cluster, image.snapshotsOffset, HeaderField.SNAPSHOTS_OFFSET);
  if (image.version < 3) return;
  cluster.writeBigUInt64BE(image.incompatible, HeaderField.INCOMPATIBLE);
  cluster.writeBigUInt64BE(image.compatible, HeaderField.COMPATIBLE);
  cluster.writeBigUInt64BE(image.autoclear, HeaderField.AUTOCLEAR);
  cluster.writeUInt32BE(image.refcountOrder, HeaderField.REFCOUNT_ORDER);
  cluster.writeUInt32BE(HEADER_BYTES + image.unknownHeaderFields.length, HeaderField.HEADER_BYTES);
  cluster[HeaderField.COMPRESSION_TYPE] = image.compressionType;
}

/** The rest of the first cluster, filled from `position` on. ENOSPC if there is no room left. */
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
  const table = Buffer.alloc(featureNames.length * FEATURE_BYTES);
  for (const [index, [type, bit, name]] of featureNames.entries()) {
    table[index * FEATURE_BYTES] = type;
    table[index * FEATURE_BYTES + 1] = bit;
    table.write(name, index * FEATURE_BYTES + 2, 'latin1');
  }
  return table;
}

function bitmapsExtension(image: Qcow2Image): Buffer {
  const data = Buffer.alloc(BITMAPS_EXTENSION_BYTES);
  data.writeUInt32BE(image.bitmapCount, 0);
  writeUint64(data, image.bitmapDirectoryBytes, 8);
  writeUint64(data, image.bitmapDirectoryOffset, 16);
  return data;
}

/** Marks the image dirty: its refcounts are not kept up to date from now on. Stays clean if that cannot be written. */
export function* markDirty(image: Qcow2Image): Steps<void> {
  if ((image.incompatible & Incompatible.DIRTY) !== 0n) return;
  const features = Buffer.alloc(8);
  features.writeBigUInt64BE(image.incompatible | Incompatible.DIRTY);
  yield* writeFileSync(image, HeaderField.INCOMPATIBLE, features);
  image.incompatible |= Incompatible.DIRTY;
}

/** Writes everything back and clears the dirty bit. No request may be in flight. */
export function* markClean(image: Qcow2Image): Steps<void> {
  if ((image.incompatible & Incompatible.DIRTY) === 0n) return;
  image.incompatible &= ~Incompatible.DIRTY;
  yield writeCaches(image);
  yield flushFile(image);
  yield* updateHeader(image);
}

/** Clears the corrupt bit, after a repair. */
export function* markConsistent(image: Qcow2Image): Steps<void> {
  if ((image.incompatible & Incompatible.CORRUPT) === 0n) return;
  yield writeCaches(image);
  yield flushFile(image);
  image.incompatible &= ~Incompatible.CORRUPT;
  yield* updateHeader(image);
}

/** Writes back both caches; refcounts only if they have to be right on disk. */
export function writeCaches(image: Qcow2Image): Pending {
  const writing = image.l2Cache.write();
  return writing === undefined ? writeRefcounts(image) : run(writeRefcountsAfter(writing, image));
}

function writeRefcounts(image: Qcow2Image): Pending {
  return image.needsAccurateRefcounts ? image.refcountCache.write() : undefined;
}

function* writeRefcountsAfter(writing: Promise<void>, image: Qcow2Image): Steps<void> {
  yield writing;
  yield writeRefcounts(image);
}
