/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import type { Pending } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Event } from '../../block/events.ts';
import { pwritev } from '../../block/request/write.ts';
import { allocate, Allocation, findOverwritable, NOWHERE } from './allocate.ts';
import { abandonParts, linkParts, mergeIntoCow, zeroNewSpace } from './cow.ts';
import type { Qcow2Image } from './image.ts';
import { advance, type GuestOffset } from './offsets.ts';
import { checkDataOverlap, isClearOfMetadata } from './overlap.ts';
import { TaskPool } from './task-pool.ts';

const INT_MAX = 0x7fff_ffff;

/** Writes `data` at a guest offset. */
export function writeRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  // A write of nothing touches nothing.
  const host = data.length === 0 ? NOWHERE : findOverwritable(image, guest, data.length);
  if (host === NOWHERE || !isClearOfMetadata(image, host, data.length)) return writeParts(image, guest, data);
  const wait = image.fire(Event.WRITE_AIO);
  const writing =
    wait === undefined
      ? pwritev(image.dataFile, host, data, 0)
      : wait.then(() => pwritev(image.dataFile, host, data, 0));
  return writing === undefined ? undefined : endOverwrite(image, writing);
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

async function passLock(image: Qcow2Image): Promise<void> {
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  image.lock.unlock();
}

async function writeParts(image: Qcow2Image, guest: GuestOffset, data: Buffer): Promise<void> {
  let pool: TaskPool | null = null;
  let done = 0;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      const allocation = await allocateLocked(image, position, Math.min(data.length - done, INT_MAX));
      const part = data.subarray(done, done + allocation.bytes);
      if (pool === null && part.length === data.length - done) {
        await writePart(image, position, part, allocation);
      } else {
        pool ??= new TaskPool(image.loop);
        await pool.start(() => writePart(image, position, part, allocation));
      }
      done += part.length;
    }
    // QEMU takes the lock once more here: a write does not end while another one holds it.
    await passLock(image);
  } finally {
    await pool?.drain();
  }
  pool?.check();
}

async function allocateLocked(image: Qcow2Image, guest: GuestOffset, bytes: number): Promise<Allocation> {
  const allocation = new Allocation();
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  try {
    await allocate(image, guest, bytes, allocation);
    const wait = checkDataOverlap(image, allocation.host, allocation.bytes);
    if (wait !== undefined) await wait;
  } catch (error) {
    if (error instanceof BlockError) await abandonParts(image, allocation);
    throw error;
  } finally {
    image.lock.unlock();
  }
  return allocation;
}

/** Writes one part, and makes its new clusters visible; gives them back if that fails. */
async function writePart(image: Qcow2Image, guest: GuestOffset, data: Buffer, allocation: Allocation): Promise<void> {
  let failure: BlockError | null = null;
  try {
    if (allocation.parts !== null) await zeroNewSpace(image, allocation.parts);
    if (!mergeIntoCow(allocation.parts, guest, data)) {
      const wait = image.fire(Event.WRITE_AIO);
      if (wait !== undefined) await wait;
      await pwritev(image.dataFile, allocation.host, data, 0);
    }
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  }
  // Also without parts: whoever holds the lock finishes first.
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  try {
    if (failure === null) await linkParts(image, allocation);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = error;
  } finally {
    if (allocation.parts !== null) await abandonParts(image, allocation);
    image.lock.unlock();
  }
  if (failure !== null) throw failure;
}
