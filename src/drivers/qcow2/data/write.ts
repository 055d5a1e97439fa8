/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { pwritev } from '../../../block/request/write.ts';
import type { Steps } from '../../../util/steps.ts';
import { advance, type GuestOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { checkDataOverlap } from '../tables/overlap.ts';
import { Allocation, type WriteOrdering } from '../tables/pending-update.ts';
import { allocate } from './allocate.ts';
import { abandonParts, linkParts, mergeIntoCow, zeroNewSpace } from './cow.ts';
import { TaskPool } from './task-pool.ts';

const INT_MAX = 0x7fff_ffff;

/** Writes `data` at a guest offset: finds space part by part, and writes several parts at the same time. */
export function* writeRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  let pool: TaskPool | null = null;
  let done = 0;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      const allocation = new Allocation();
      const locking = image.lock.lock();
      if (locking !== undefined) yield locking;
      try {
        yield* allocate(image, position, Math.min(data.length - done, INT_MAX), allocation);
        const refusing = checkDataOverlap(image, allocation.host, allocation.bytes);
        if (refusing !== undefined) yield refusing;
      } catch (error) {
        if (error instanceof BlockError) yield* abandonParts(image, allocation);
        throw error;
      } finally {
        image.lock.unlock();
      }
      const part = data.subarray(done, done + allocation.bytes);
      const writing = image.ordering.writePart(image, position, part, allocation);
      done += part.length;
      if (part.length === data.length) yield* writing;
      else yield* (pool ??= new TaskPool(image.loop)).start(writing);
    }
    // QEMU takes the lock once more when a write ends: none ends while another request holds it.
    const locking = image.lock.lock();
    if (locking !== undefined) yield locking;
    image.lock.unlock();
  } finally {
    if (pool !== null) yield* pool.drain();
  }
  pool?.check();
}

/** Data before the L2 entries that point to it; after a failure the new clusters are given back. */
export const dataFirst: WriteOrdering = {
  *writePart(image, guest, data, allocation) {
    let failure: BlockError | null = null;
    try {
      if (allocation.parts !== null) yield* zeroNewSpace(image, allocation.parts);
      if (!mergeIntoCow(allocation.parts, guest, data)) {
        const told = image.fire(Event.WRITE_AIO);
        if (told !== undefined) yield told;
        const writing = pwritev(image.dataFile, allocation.host, data, 0);
        if (writing !== undefined) yield writing;
      }
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      failure = error;
    }
    // Also without pending updates: the write ends behind the request that holds the lock.
    const locking = image.lock.lock();
    if (locking !== undefined) yield locking;
    try {
      if (failure !== null) throw failure;
      if (allocation.parts !== null) yield* linkParts(image, allocation);
    } finally {
      if (allocation.parts !== null) yield* abandonParts(image, allocation);
      image.lock.unlock();
    }
  },
};
