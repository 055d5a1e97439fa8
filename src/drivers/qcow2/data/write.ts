/** Writes: space for each part of the range, the data into it, then the metadata that makes it visible. */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { pwritev } from '../../../block/request/write.ts';
import { run, type Steps } from '../../../util/steps.ts';
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
      yield* findSpace(image, position, Math.min(data.length - done, INT_MAX), allocation);
      const part = data.subarray(done, done + allocation.bytes);
      if (pool === null && part.length === data.length - done) {
        yield* image.ordering.writePart(image, position, part, allocation);
      } else {
        pool ??= new TaskPool(image.loop);
        yield* pool.start(() => run(image.ordering.writePart(image, position, part, allocation)));
      }
      done += part.length;
    }
    // QEMU takes the lock once more when a write ends: none ends while another request holds it.
    yield image.lock.lock();
    image.lock.unlock();
  } finally {
    if (pool !== null) yield* pool.drain();
  }
  pool?.check();
}

/** Finds space with the lock held; on failure gives back what was found before. */
function* findSpace(image: Qcow2Image, guest: GuestOffset, bytes: number, allocation: Allocation): Steps<void> {
  yield image.lock.lock();
  try {
    yield* allocate(image, guest, bytes, allocation);
    yield checkDataOverlap(image, allocation.host, allocation.bytes);
  } catch (error) {
    if (error instanceof BlockError) yield* abandonParts(image, allocation);
    throw error;
  } finally {
    image.lock.unlock();
  }
}

/** Data before the L2 entries that point to it; after a failure the new clusters are given back. */
export const dataFirst: WriteOrdering = {
  *writePart(image, guest, data, allocation) {
    let failure: BlockError | null = null;
    try {
      yield* zeroNewSpace(image, allocation.parts);
      if (!mergeIntoCow(allocation.parts, guest, data)) {
        yield image.fire(Event.WRITE_AIO);
        yield pwritev(image.dataFile, allocation.host, data, 0);
      }
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      failure = error;
    }
    // Also without pending updates: the write ends behind the request that holds the lock.
    yield image.lock.lock();
    try {
      if (failure !== null) throw failure;
      yield* linkParts(image, allocation);
    } finally {
      if (allocation.parts !== null) yield* abandonParts(image, allocation);
      image.lock.unlock();
    }
  },
};
