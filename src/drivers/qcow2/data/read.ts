/** Reads: each part of the range from where it is, several parts at the same time. */
import { Event } from '../../../block/events/events.ts';
import { TaskPool } from '../../../block/loop/task-pool.ts';
import { preadv, readAnywhere } from '../../../block/request/read.ts';
import { assert } from '../../../util/assert.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { Subcluster } from '../format/l2-entry.ts';
import { advance, type GuestOffset, type HostOffset } from '../format/offsets.ts';
import { type Encryption, MAX_ENCRYPTED_CLUSTERS } from '../tables/encryption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readCompressed } from './compressed.ts';
import { lookUp, Mapping } from './mapping.ts';
import { inThread } from '../tables/worker.ts';

const INT_MAX = 0x7fff_ffff;

/** Fills `data` with the guest's data from an offset on. */
export function readRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  if (data.length === 0) return undefined;
  const mapping = new Mapping();
  const looking = lookUpLocked(image, guest, data.length, mapping);
  // A read of one part that is found at once, as most are, needs no steps.
  if (looking === undefined && mapping.bytes === data.length) return readPart(image, guest, data, mapping);
  return run(readParts(image, guest, data, mapping, looking));
}

/** Looks up where a range begins. */
function lookUpLocked(image: Qcow2Image, guest: GuestOffset, bytes: number, mapping: Mapping): Pending {
  const most = image.encryption === null ? INT_MAX : MAX_ENCRYPTED_CLUSTERS * image.clusterBytes;
  return image.lock.hold(() => lookUp(image, guest, Math.min(bytes, most), mapping));
}

/** Reads a range part by part; the first one is in `mapping` once `looking` has ended. */
function* readParts(
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  mapping: Mapping,
  looking: Pending,
): Steps<void> {
  let pool: TaskPool | null = null;
  let part = mapping;
  let done = 0;
  yield looking;
  try {
    for (;;) {
      const current = part;
      const position = advance(guest, done);
      const target = data.subarray(done, done + current.bytes);
      done += current.bytes;
      const isLast = done === data.length;
      if (isZero(image, current.type) || (isLast && pool === null)) yield readPart(image, position, target, current);
      else yield* (pool ??= new TaskPool(image.loop)).start(() => readPart(image, position, target, current));
      if (isLast || pool?.hasFailed === true) break;
      part = new Mapping();
      yield lookUpLocked(image, advance(guest, done), data.length - done, part);
    }
  } finally {
    if (pool !== null) yield* pool.drain();
  }
  pool?.check();
}

function isZero(image: Qcow2Image, type: number): boolean {
  if (type === Subcluster.ZERO_PLAIN || type === Subcluster.ZERO_ALLOC) return true;
  const isUnallocated = type === Subcluster.UNALLOCATED_PLAIN || type === Subcluster.UNALLOCATED_ALLOC;
  return isUnallocated && image.node.backing === null;
}

function readPart(image: Qcow2Image, guest: GuestOffset, data: Buffer, mapping: Mapping): Pending {
  const { hazards } = image;
  // Nothing else can come to a place of an external data file: a read there gets old data or zeroes.
  if (hazards === null || image.hasDataFile) return readFrom(image, guest, data, mapping);
  if (mapping.type === Subcluster.NORMAL) {
    return hazards.places.during('read', mapping.host, data.length, guest, () => readFrom(image, guest, data, mapping));
  }
  if (mapping.type === Subcluster.COMPRESSED) {
    const { offset, bytes } = image.compressedRange(mapping.high, mapping.low);
    return hazards.places.during('read', offset, bytes, guest, () => readFrom(image, guest, data, mapping));
  }
  return readFrom(image, guest, data, mapping);
}

function readFrom(image: Qcow2Image, guest: GuestOffset, data: Buffer, mapping: Mapping): Pending {
  if (mapping.type === Subcluster.NORMAL) {
    const { encryption } = image;
    if (encryption !== null) return run(readEncrypted(image, encryption, mapping.host, guest, data));
    return readData(image, mapping.host, data);
  }
  if (mapping.type === Subcluster.COMPRESSED) {
    return run(readCompressed(image, guest, data, mapping.high, mapping.low));
  }
  if (isZero(image, mapping.type)) {
    data.fill(0);
    return undefined;
  }
  return run(readBacking(image, guest, data));
}

function readData(image: Qcow2Image, host: HostOffset, data: Buffer): Pending {
  const told = image.fire(Event.READ_AIO);
  return told === undefined ? readAnywhere(image.dataFile, host, data) : run(readDataAfter(told, image, host, data));
}

function* readDataAfter(told: Promise<void>, image: Qcow2Image, host: HostOffset, data: Buffer): Steps<void> {
  yield told;
  yield readAnywhere(image.dataFile, host, data);
}

function* readEncrypted(
  image: Qcow2Image,
  encryption: Encryption,
  host: HostOffset,
  guest: GuestOffset,
  data: Buffer,
): Steps<void> {
  yield readData(image, host, data);
  yield* inThread(image, () => encryption.decrypt(host, guest, data));
}

function* readBacking(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  const { backing } = image.node;
  assert(backing !== null, 'without a backing file the range reads as zeroes');
  yield image.fire(Event.READ_BACKING_AIO);
  yield preadv(backing, guest, data, 0);
}
