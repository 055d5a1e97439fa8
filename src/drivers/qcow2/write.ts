/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import type { Pending } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events.ts';
import { pwritev } from '../../block/request/write.ts';
import { type Answer, later } from '../../util/answer.ts';
import { allocate, Allocation, findOverwritable, NOWHERE } from './allocate.ts';
import { abandonParts, linkParts, mergeIntoCow, zeroNewSpace } from './cow.ts';
import type { Qcow2Image } from './image.ts';
import { advance, type GuestOffset, type HostOffset } from './offsets.ts';
import { checkDataOverlap, isClearOfMetadata } from './overlap.ts';
import { TaskPool } from './task-pool.ts';

const INT_MAX = 0x7fff_ffff;

/** Writes `data` at a guest offset. */
export function writeRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  // A write of nothing touches nothing.
  const host = data.length === 0 ? NOWHERE : findOverwritable(image, guest, data.length);
  if (host === NOWHERE || !isClearOfMetadata(image, host, data.length)) return writeParts(image, guest, data);
  const wait = image.fire(Event.WRITE_AIO);
  const writing = wait === undefined ? writeHost(image, host, data) : later(wait, writeHost, image, host, data);
  return writing === undefined ? undefined : endOverwrite(image, writing);
}

function writeHost(image: Qcow2Image, host: HostOffset, data: Buffer): Pending {
  return pwritev(image.dataFile, host, data, 0);
}

/** A write ends behind whoever holds the lock, also one that changes no metadata. */
async function endOverwrite(image: Qcow2Image, writing: Promise<void>): Promise<void> {
  let failure: unknown;
  let hasFailed = false;
  try {
    await writing;
  } catch (error) {
    failure = error;
    hasFailed = true;
  }
  await passLock(image);
  if (hasFailed) throw failure;
  await passLock(image);
}

/** QEMU takes the lock once more when a write ends: none does while another one holds it. */
function passLock(image: Qcow2Image): Pending {
  const locking = image.lock.lock();
  if (locking !== undefined) return locking.then(() => image.lock.unlock());
  image.lock.unlock();
  return undefined;
}

/** Most writes are of one part, and nothing makes them wait. */
function writeParts(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  if (data.length === 0) return passLock(image);
  const allocating = allocateLocked(image, guest, Math.min(data.length, INT_MAX));
  if (allocating instanceof Promise || allocating.bytes < data.length) {
    return writeManyParts(image, guest, data, allocating);
  }
  const writing = writePart(image, guest, data, allocating);
  return writing === undefined ? passLock(image) : later(writing, passLock, image);
}

/** `first` is the space for the first part. */
async function writeManyParts(
  image: Qcow2Image,
  guest: GuestOffset,
  data: Buffer,
  first: Answer<Allocation>,
): Promise<void> {
  let pool: TaskPool | null = null;
  let done = 0;
  let allocating: Answer<Allocation> | null = first;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      allocating ??= allocateLocked(image, position, Math.min(data.length - done, INT_MAX));
      const allocation: Allocation = allocating instanceof Promise ? await allocating : allocating;
      allocating = null;
      const part = data.subarray(done, done + allocation.bytes);
      if (pool === null && part.length === data.length - done) {
        const wait = writePart(image, position, part, allocation);
        if (wait !== undefined) await wait;
      } else {
        pool ??= new TaskPool(image.loop);
        await pool.start(() => writePart(image, position, part, allocation));
      }
      done += part.length;
    }
    await passLock(image);
  } finally {
    await pool?.drain();
  }
  pool?.check();
}

function allocateLocked(image: Qcow2Image, guest: GuestOffset, bytes: number): Answer<Allocation> {
  const locking = image.lock.lock();
  return locking === undefined
    ? allocateAndUnlock(image, guest, bytes)
    : later(locking, allocateAndUnlock, image, guest, bytes);
}

function allocateAndUnlock(image: Qcow2Image, guest: GuestOffset, bytes: number): Answer<Allocation> {
  const allocation = new Allocation();
  let pending: Pending;
  try {
    const finding = allocate(image, guest, bytes, allocation);
    pending = finding === undefined ? checkSpace(image, allocation) : later(finding, checkSpace, image, allocation);
  } catch (error) {
    pending = Promise.reject(error);
  }
  if (pending !== undefined) return endAllocating(image, allocation, pending);
  image.lock.unlock();
  return allocation;
}

function checkSpace(image: Qcow2Image, { host, bytes }: Allocation): Pending {
  return checkDataOverlap(image, host, bytes);
}

async function endAllocating(image: Qcow2Image, allocation: Allocation, pending: Promise<void>): Promise<Allocation> {
  try {
    await pending;
  } catch (error) {
    if (error instanceof BlockError) await abandonParts(image, allocation);
    throw error;
  } finally {
    image.lock.unlock();
  }
  return allocation;
}

/** Writes one part, and makes its new clusters visible; gives them back if that fails. */
function writePart(image: Qcow2Image, guest: GuestOffset, data: Buffer, allocation: Allocation): Pending {
  let writing: Pending;
  try {
    const zeroing = zeroNewSpace(image, allocation.parts);
    writing =
      zeroing === undefined
        ? writeData(image, guest, data, allocation)
        : later(zeroing, writeData, image, guest, data, allocation);
  } catch (error) {
    writing = Promise.reject(error);
  }
  return writing === undefined ? endPart(image, allocation, null) : endPartAfter(image, allocation, writing);
}

function endPartAfter(image: Qcow2Image, allocation: Allocation, writing: Promise<void>): Promise<void> {
  return writing.then(
    () => endPart(image, allocation, null),
    (error: unknown) => {
      if (!(error instanceof BlockError)) throw error;
      return endPart(image, allocation, error);
    },
  );
}

function writeData(image: Qcow2Image, guest: GuestOffset, data: Buffer, allocation: Allocation): Pending {
  if (mergeIntoCow(allocation.parts, guest, data)) return undefined;
  const wait = image.fire(Event.WRITE_AIO);
  const { host } = allocation;
  return wait === undefined ? writeHost(image, host, data) : later(wait, writeHost, image, host, data);
}

/** Enters a part's clusters, unless its data could not be written. Also without parts: whoever holds the lock finishes first. */
function endPart(image: Qcow2Image, allocation: Allocation, failure: BlockError | null): Pending {
  const locking = image.lock.lock();
  const linking =
    locking === undefined
      ? linkUnless(failure, image, allocation)
      : later(locking, linkUnless, failure, image, allocation);
  if (linking !== undefined) return endLinking(image, allocation, linking);
  image.lock.unlock();
  return undefined;
}

function linkUnless(failure: BlockError | null, image: Qcow2Image, allocation: Allocation): Pending {
  if (failure !== null) return Promise.reject(failure);
  try {
    return linkParts(image, allocation);
  } catch (error) {
    return Promise.reject(error);
  }
}

async function endLinking(image: Qcow2Image, allocation: Allocation, linking: Promise<void>): Promise<void> {
  try {
    await linking;
  } finally {
    if (allocation.parts !== null) await abandonParts(image, allocation);
    image.lock.unlock();
  }
}
