/** The mark "needs a check" of a qed image: set by the first allocation, taken away when the image is to be quiet. */
import { BlockError } from '../../block/error.ts';
import { flush } from '../../block/request/flush.ts';
import type { Steps } from '../../util/steps.ts';
import type { QedImage } from './qed-image.ts';
import { updateHeader } from './table-io.ts';

/**
 * Whether the mark is to be taken away. In QEMU a timer does it, too, five seconds after the last allocation; it runs
 * by the guest's clock, which stands still in qemu-io (observed with qemu-io 7.2.22).
 */
export class NeedCheck {
  readonly #image: QedImage;
  #isDue = false;

  constructor(image: QedImage) {
    this.#image = image;
  }

  /** The last allocation has ended. */
  start(): void {
    this.#isDue = true;
  }

  /** There is another one. */
  cancel(): void {
    this.#isDue = false;
  }

  /** Takes the mark away, if that is due. Failures leave it in the file, which costs a check at the next opening. */
  *expire(): Steps<void> {
    if (!this.#isDue) return;
    this.#isDue = false;
    const image = this.#image;
    yield image.lock.lock();
    const isFree = image.allocating === null;
    if (isFree) image.isPlugged = true;
    image.lock.unlock();
    if (!isFree) return;
    try {
      // What the tables point to has to be there before the mark goes.
      yield flush(image.file.node);
      image.needsCheck = false;
      yield* ignoringErrors(updateHeader(image));
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      return;
    } finally {
      yield image.lock.lock();
      image.isPlugged = false;
      image.allocationQueue.wakeOne();
      image.lock.unlock();
    }
    yield* ignoringErrors(flushed(image));
  }
}

function* flushed({ node }: QedImage): Steps<void> {
  yield flush(node);
}

function* ignoringErrors(steps: Steps<void>): Steps<void> {
  try {
    yield* steps;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
