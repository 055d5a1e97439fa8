/** Reads: each part of the range from where it is, several parts at the same time. */
import type { Pending } from '../../../util/steps.ts';
import { Event } from '../../../block/events/events.ts';
import { preadv } from '../../../block/request/read.ts';
import { readCompressed } from './compressed.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readChild } from '../tables/io.ts';
import { Subcluster } from '../format/l2-entry.ts';
import { lookUp, lookUpNow, Mapping } from './mapping.ts';
import { advance, type GuestOffset } from '../format/offsets.ts';
import { TaskPool } from './task-pool.ts';
import { later } from '../../../util/answer.ts';

const INT_MAX = 0x7fff_ffff;

/** Filled and used up without waiting in between. */
const scratch = new Mapping();

/** Fills `data` with what the guest sees from an offset on. */
export function readRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Pending {
  if (data.length === 0 || !lookUpNow(image, guest, data.length, scratch) || scratch.bytes < data.length) {
    return readParts(image, guest, data);
  }
  const { type, host } = scratch;
  if (isZero(image, type)) {
    data.fill(0);
    return undefined;
  }
  if (type !== Subcluster.NORMAL) return readParts(image, guest, data);
  const wait = image.fire(Event.READ_AIO);
  if (wait === undefined) return readChild(image.dataFile, host, data);
  return later(wait, readChild, image.dataFile, host, data);
}

async function readParts(image: Qcow2Image, guest: GuestOffset, data: Buffer): Promise<void> {
  const mapping = new Mapping();
  let pool: TaskPool | null = null;
  let done = 0;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      await lookUpLocked(image, position, Math.min(data.length - done, INT_MAX), mapping);
      const part = data.subarray(done, done + mapping.bytes);
      if (isZero(image, mapping.type)) {
        part.fill(0);
      } else if (pool === null && part.length === data.length - done) {
        await readPart(image, position, part, mapping);
      } else {
        pool ??= new TaskPool(image.loop);
        const own = Object.assign(new Mapping(), mapping);
        await pool.start(() => readPart(image, position, part, own));
      }
      done += part.length;
    }
  } finally {
    await pool?.drain();
  }
  pool?.check();
}

async function lookUpLocked(image: Qcow2Image, guest: GuestOffset, bytes: number, mapping: Mapping): Promise<void> {
  const locking = image.lock.lock();
  if (locking !== undefined) await locking;
  try {
    const looking = lookUp(image, guest, bytes, mapping);
    if (looking !== undefined) await looking;
  } finally {
    image.lock.unlock();
  }
}

/**
 * Whether a range of the disk is zeroes by its block status, as far as that can be told at once and without asking a
 * backing file; false is no answer. The VM state behind the disk has no status, and the first question of an image must
 * be a real one, which looks at how the image was made as well.
 */
export function isZeroNow(image: Qcow2Image, guest: GuestOffset, bytes: number): boolean {
  if (guest + bytes > image.lengthBytes) return false;
  if (image.isPreallocated === null || !lookUpNow(image, guest, bytes, scratch)) return false;
  return scratch.bytes === bytes && isZero(image, scratch.type);
}

function isZero(image: Qcow2Image, type: number): boolean {
  if (type === Subcluster.ZERO_PLAIN || type === Subcluster.ZERO_ALLOC) return true;
  const isUnallocated = type === Subcluster.UNALLOCATED_PLAIN || type === Subcluster.UNALLOCATED_ALLOC;
  return isUnallocated && image.node.backing === null;
}

async function readPart(image: Qcow2Image, guest: GuestOffset, data: Buffer, mapping: Mapping): Promise<void> {
  switch (mapping.type) {
    case Subcluster.COMPRESSED:
      await readCompressed(image, guest, data, mapping.high, mapping.low);
      return;
    case Subcluster.NORMAL: {
      const wait = image.fire(Event.READ_AIO);
      if (wait !== undefined) await wait;
      await readChild(image.dataFile, mapping.host, data);
      return;
    }
    default: {
      const { backing } = image.node;
      await image.fire(Event.READ_BACKING_AIO);
      if (backing === null) data.fill(0);
      else await preadv(backing, guest, data, 0);
    }
  }
}
