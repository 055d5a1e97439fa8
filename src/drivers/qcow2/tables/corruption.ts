/** A corrupt image: a message, the corrupt bit, and no more requests. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import type { Steps } from '../../../util/steps.ts';
import { Incompatible } from '../format/features.ts';
import { updateHeader } from './header-write.ts';
import type { Qcow2Image } from './image.ts';
import { ignoringErrors } from './io.ts';

/**
 * Reports that the image is corrupt. Fatal, unless the image is open for reading only: it is marked on disk and refuses
 * every further request. Only the first message is printed, and the first fatal one.
 */
export function* signalCorruption(image: Qcow2Image, isFatal: boolean, message: string): Steps<void> {
  const fatal = isFatal && image.isWritable;
  const isMarked = (image.incompatible & Incompatible.CORRUPT) !== 0n;
  if (image.signaledCorruption && (!fatal || isMarked)) return;
  image.node.context.warn(
    fatal
      ? `qcow2: Marking image as corrupt: ${message}; further corruption events will be suppressed`
      : `qcow2: Image is corrupt: ${message}; further non-fatal corruption events will be suppressed`,
  );
  if (fatal) {
    image.incompatible |= Incompatible.CORRUPT;
    yield* ignoringErrors(updateHeader(image));
    image.isUnusable = true;
    image.node.closed = true;
  }
  image.signaledCorruption = true;
}

/** Reports a fatal corruption, as `signalCorruption` does, and throws `errno`. */
export function* corrupt(image: Qcow2Image, message: string, errno: number = Errno.EIO): Steps<never> {
  yield* signalCorruption(image, true, message);
  throw new BlockError(errno);
}
