/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import type { Pending } from '../../../util/steps.ts';
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { pwritev } from '../../../block/request/write.ts';
import { later } from '../../../util/answer.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { allocate, Allocation, findOverwritable, NOWHERE } from './allocate.ts';
import { abandonParts, linkParts, mergeIntoCow, zeroNewSpace } from './cow.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { advance, type GuestOffset, type HostOffset } from '../format/offsets.ts';
import { checkDataOverlap, isClearOfMetadata } from '../tables/overlap.ts';
import { TaskPool } from './task-pool.ts';

const INT_MAX = 0x7fff_ffff;

/** Writes `data` at a guest offset. */
export function writeRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  // A write of nothing touches nothing.
  const host = data.length === 0 ? NOWHERE : findOverwritable(image, guest, data.length);
  if (host === NOWHERE || !isClearOfMetadata(image, host, data.length)) return run(writeParts(image, guest, data));
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

/** Writes what could not be overwritten at once: finds space part by part, and writes several parts at the same time. */
function* writeParts(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  let pool: TaskPool | null = null;
  let done = 0;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      const allocation = yield* allocateLocked(image, position, Math.min(data.length - done, INT_MAX));
      const part = data.subarray(done, done + allocation.bytes);
      if (pool === null && part.length === data.length - done) {
        yield* writePart(image, position, part, allocation);
      } else {
        pool ??= new TaskPool(image.loop);
        yield pool.start(() => run(writePart(image, position, part, allocation)));
      }
      done += part.length;
    }
    const passing = passLock(image);
    if (passing !== undefined) yield passing;
  } finally {
    if (pool !== null) yield pool.drain();
  }
  pool?.check();
}

function* allocateLocked(image: Qcow2Image, guest: GuestOffset, bytes: number): Steps<Allocation> {
  const locking = image.lock.lock();
  if (locking !== undefined) yield locking;
  const allocation = new Allocation();
  try {
    yield* allocate(image, guest, bytes, allocation);
    const checking = checkDataOverlap(image, allocation.host, allocation.bytes);
    if (checking !== undefined) yield checking;
  } catch (error) {
    if (error instanceof BlockError) yield abandonParts(image, allocation);
    throw error;
  } finally {
    image.lock.unlock();
  }
  return allocation;
}

/** Writes one part, and makes its new clusters visible; gives them back if that fails. */
function* writePart(image: Qcow2Image, guest: GuestOffset, data: Buffer, allocation: Allocation): Steps<void> {
  let failure: BlockError | null = null;
  try {
    yield* zeroNewSpace(image, allocation.parts);
    if (!mergeIntoCow(allocation.parts, guest, data)) {
      const told = image.fire(Event.WRITE_AIO);
      if (told !== undefined) yield told;
      const writing = writeHost(image, allocation.host, data);
      if (writing !== undefined) yield writing;
    }
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  }
  // Also without parts: whoever holds the lock finishes first.
  const locking = image.lock.lock();
  if (locking !== undefined) yield locking;
  try {
    if (failure !== null) throw failure;
    yield* linkParts(image, allocation);
  } finally {
    if (allocation.parts !== null) yield abandonParts(image, allocation);
    image.lock.unlock();
  }
}
