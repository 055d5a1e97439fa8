/** Reads: each part of the range from where it is, several parts at the same time. */
import { Event } from '../../../block/events/events.ts';
import { preadv } from '../../../block/request/read.ts';
import type { Steps } from '../../../util/steps.ts';
import { Subcluster } from '../format/l2-entry.ts';
import { advance, type GuestOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { readChild } from '../tables/io.ts';
import { readCompressed } from './compressed.ts';
import { lookUp, Mapping } from './mapping.ts';
import { TaskPool } from './task-pool.ts';

const INT_MAX = 0x7fff_ffff;

/** Fills `data` with the guest's data from an offset on. */
export function* readRange(image: Qcow2Image, guest: GuestOffset, data: Buffer): Steps<void> {
  let pool: TaskPool | null = null;
  let done = 0;
  try {
    while (done < data.length && pool?.hasFailed !== true) {
      const position = advance(guest, done);
      const mapping = new Mapping();
      const locking = image.lock.lock();
      if (locking !== undefined) yield locking;
      try {
        const looking = lookUp(image, position, Math.min(data.length - done, INT_MAX), mapping);
        if (looking !== undefined) yield looking;
      } finally {
        image.lock.unlock();
      }
      const part = data.subarray(done, done + mapping.bytes);
      if (isZero(image, mapping.type)) {
        part.fill(0);
      } else if (pool === null && part.length === data.length - done) {
        yield* readPart(image, position, part, mapping);
      } else {
        pool ??= new TaskPool(image.loop);
        yield* pool.start(readPart(image, position, part, mapping));
      }
      done += part.length;
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

function* readPart(image: Qcow2Image, guest: GuestOffset, data: Buffer, mapping: Mapping): Steps<void> {
  switch (mapping.type) {
    case Subcluster.COMPRESSED:
      yield* readCompressed(image, guest, data, mapping.high, mapping.low);
      return;
    case Subcluster.NORMAL: {
      const told = image.fire(Event.READ_AIO);
      if (told !== undefined) yield told;
      const reading = readChild(image.dataFile, mapping.host, data);
      if (reading !== undefined) yield reading;
      return;
    }
    default: {
      const { backing } = image.node;
      yield image.fire(Event.READ_BACKING_AIO);
      if (backing === null) data.fill(0);
      else yield preadv(backing, guest, data, 0);
    }
  }
}
