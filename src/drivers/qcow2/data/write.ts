/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import { BlockError } from '../../../block/error.ts';
import { TaskPool } from '../../../block/loop/task-pool.ts';
import { Event } from '../../../block/events/events.ts';
import { flush } from '../../../block/request/flush.ts';
import { pwritev } from '../../../block/request/write.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import { advance, type GuestOffset, type HostOffset } from '../format/offsets.ts';
import { type Encryption, MAX_ENCRYPTED_CLUSTERS } from '../tables/encryption.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { checkDataOverlap } from '../tables/overlap.ts';
import { Allocation, type WriteOrdering } from '../tables/pending-update.ts';
import { allocate, allocateInPlace } from './allocate.ts';
import { abandonParts, linkParts, mergeIntoCow, zeroNewSpace } from './cow.ts';
import { inThread } from '../tables/worker.ts';

const INT_MAX = 0x7fff_ffff;

/** Writes `data` at a guest offset. */
export function writeRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  if (data.length === 0) return passLock(image);
  const space = new Allocation();
  const finding = findSpace(image, guest, data.length, space);
  // A write of one part whose space is found at once, as most are.
  if (finding === undefined && space.bytes === data.length) {
    const writing = image.ordering.writePart(image, guest, data, space);
    return writing === undefined ? undefined : run(passLockAfter(image, writing));
  }
  return run(writeParts(image, guest, data, space, finding));
}

/** QEMU takes the lock once more when a write ends: none ends while another request holds it. */
function passLock(image: Qcow2Image): Pending {
  return image.lock.isLocked ? image.lock.hold(() => undefined) : undefined;
}

function* passLockAfter(image: Qcow2Image, writing: Promise<void>): Steps<void> {
  yield writing;
  yield passLock(image);
}

/** Finds space for the beginning of a range, under the lock. */
function findSpace(image: Qcow2Image, guest: GuestOffset, bytes: number, space: Allocation): Pending {
  const most =
    image.encryption === null ? INT_MAX : MAX_ENCRYPTED_CLUSTERS * image.clusterBytes - image.intoCluster(guest);
  const wanted = Math.min(bytes, most);
  return image.lock.hold(() => {
    allocateInPlace(image, guest, wanted, space);
    if (space.bytes < wanted || space.parts !== null) return run(findNewSpace(image, guest, wanted, space));
    return checkDataOverlap(image, space.host, wanted);
  });
}

/** Finds space for what cannot be overwritten in place at once; what was taken is given back after a failure. */
function* findNewSpace(image: Qcow2Image, guest: GuestOffset, bytes: number, space: Allocation): Steps<void> {
  try {
    yield* allocate(image, guest, bytes, space);
    const refusing = checkDataOverlap(image, space.host, space.bytes);
    if (refusing !== undefined) yield refusing;
  } catch (error) {
    if (error instanceof BlockError) yield abandonParts(image, space);
    throw error;
  }
}

/**
 * Writes a range part by part, several at the same time; the space of the first one is there once `finding` has ended.
 */
function* writeParts(
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  first: Allocation,
  finding: Pending,
): Steps<void> {
  let pool: TaskPool | null = null;
  let space = first;
  let done = 0;
  yield finding;
  try {
    for (;;) {
      const current = space;
      const position = advance(guest, done);
      const part = data.subarray(done, done + current.bytes);
      done += part.length;
      if (part.length === data.length) yield image.ordering.writePart(image, position, part, current);
      else
        yield* (pool ??= new TaskPool(image.loop)).start(() =>
          image.ordering.writePart(image, position, part, current),
        );
      if (done === data.length || pool?.hasFailed === true) break;
      space = new Allocation();
      yield findSpace(image, advance(guest, done), data.length - done, space);
    }
    yield passLock(image);
  } finally {
    if (pool !== null) yield* pool.drain();
  }
  pool?.check();
}

/** Data before the L2 entries that point to it; after a failure the new clusters are given back. */
export const dataFirst: WriteOrdering = {
  writePart(image, guest, data, space) {
    const { encryption } = image;
    if (encryption !== null) return run(writeEncrypted(image, encryption, guest, data, space));
    return writeStored(image, guest, data, space);
  },
  flushFile: (image) => flush(image.file.node),
};

function* writeEncrypted(
  image: Qcow2Image,
  encryption: Encryption,
  guest: GuestOffset,
  data: Buffer,
  space: Allocation,
): Steps<void> {
  const stored = encryption.outgoing.take(image.node, data.length);
  const encrypting = (): Pending => run(inThread(image, () => encryption.encrypt(space.host, guest, data, stored)));
  const { hazards } = image;
  try {
    yield hazards === null ? encrypting() : hazards.data.during('write', space.host, data.length, guest, encrypting);
    yield writeStored(image, guest, stored, space);
  } finally {
    encryption.outgoing.giveBack(stored);
  }
}

/** Writes data as it is to be stored. */
function writeStored(image: Qcow2Image, guest: GuestOffset, data: Buffer, space: Allocation): Pending {
  const { hazards } = image;
  let writing: Pending;
  let failure: BlockError | null = null;
  try {
    writing =
      hazards === null
        ? writeAt(image, guest, data, space)
        : hazards.data.during('write', space.host, data.length, guest, () => writeAt(image, guest, data, space));
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  }
  if (writing === undefined && failure === null && space.parts === null) return passLock(image);
  return run(finishPart(image, space, writing, failure));
}

/** Writes data to its space. New clusters are zeroed before that where this saves a copy. */
function writeAt(image: Qcow2Image, guest: GuestOffset, data: Buffer, space: Allocation): Pending {
  const zeroing = space.parts === null ? undefined : run(zeroNewSpace(image, space.parts));
  return zeroing === undefined
    ? writeData(image, guest, data, space)
    : run(writeZeroed(zeroing, image, guest, data, space));
}

function* writeZeroed(
  zeroing: Promise<void>,
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  space: Allocation,
): Steps<void> {
  yield zeroing;
  yield writeData(image, guest, data, space);
}

/** Writes data, unless it is left to be written together with what is copied around it. */
function writeData(image: Qcow2Image, guest: GuestOffset, data: Buffer, { host, parts }: Allocation): Pending {
  if (parts !== null && mergeIntoCow(parts, guest, data)) return undefined;
  const told = image.fire(Event.WRITE_AIO);
  return told === undefined ? pwritev(image.dataFile, host, data, 0) : run(writeAfter(told, image, host, data));
}

function* writeAfter(told: Promise<void>, image: Qcow2Image, host: HostOffset, data: Buffer): Steps<void> {
  yield told;
  yield pwritev(image.dataFile, host, data, 0);
}

/**
 * Enters the new clusters of a part whose data is written once `writing` has ended; gives them back if that failed.
 * Also one without new clusters ends behind the request that holds the lock.
 */
function* finishPart(image: Qcow2Image, space: Allocation, writing: Pending, failure: BlockError | null): Steps<void> {
  let failed = failure;
  try {
    if (writing !== undefined) yield writing;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failed = error;
  }
  const locking = image.lock.lock();
  if (locking !== undefined) yield locking;
  try {
    if (failed !== null) throw failed;
    if (space.parts !== null) yield* linkParts(image, space);
  } finally {
    try {
      const abandoning = abandonParts(image, space);
      if (abandoning !== undefined) yield abandoning;
    } finally {
      image.lock.unlock();
    }
  }
}
