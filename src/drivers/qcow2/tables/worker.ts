/** Work on data that QEMU gives to a thread, encryption and compression: done at once here, in its order there. */
import { CoroutineQueue } from '../../../block/loop/coroutine-queue.ts';
import type { WaitReason } from '../../../block/loop/loop.ts';
import type { Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from './image.ts';

/** As many threads work for one image (QEMU's QCOW2_MAX_THREADS). */
const MAX_BUSY = 4;
const waitsForThread: WaitReason = { kind: 'host-io' };

/** The threads of an image: how many are busy, and the requests that wait for one. */
export class Workers {
  busy = 0;
  readonly waiting: CoroutineQueue;

  constructor({ loop }: Qcow2Image) {
    this.waiting = new CoroutineQueue(loop);
  }
}

/**
 * Does `work`, and lets others run as if a thread did it. Before and after it the lock is taken for a moment, as QEMU
 * counts its threads under it: a request stops here while another one changes metadata. The lock must not be held.
 */
export function* inThread<T>(image: Qcow2Image, work: () => T): Steps<T> {
  const workers = (image.workers ??= new Workers(image));
  yield image.lock.lock();
  while (workers.busy >= MAX_BUSY) {
    image.lock.unlock();
    yield workers.waiting.wait(waitsForThread);
    yield image.lock.lock();
  }
  workers.busy += 1;
  image.lock.unlock();
  let result: T;
  try {
    result = work();
    yield image.loop.hostIo();
  } finally {
    yield image.lock.lock();
    workers.busy -= 1;
    workers.waiting.wakeOne();
    image.lock.unlock();
  }
  return result;
}
