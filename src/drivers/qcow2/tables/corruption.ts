/** What happens when an image turns out to be corrupt: a message, the corrupt bit, and no more requests. */
import { BlockError } from '../../../block/error.ts';
import { Errno } from '../../../util/errno.ts';
import { updateHeader } from './header-write.ts';
import { Incompatible, type Qcow2Image } from './image.ts';
import { ignoringErrors } from './io.ts';

/**
 * Says that the image is corrupt. Fatal, unless the image is open for reading only: it is marked on disk and refuses
 * every further request. Only the first message is printed, and the first fatal one.
 */
export async function signalCorruption(image: Qcow2Image, isFatal: boolean, message: string): Promise<void> {
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
    await ignoringErrors(() => updateHeader(image));
    image.isUnusable = true;
    image.node.closed = true;
  }
  image.signaledCorruption = true;
}

/** As `signalCorruption`, fatal, and then throws `errno`. */
export async function corrupt(image: Qcow2Image, message: string, errno: number = Errno.EIO): Promise<never> {
  await signalCorruption(image, true, message);
  throw new BlockError(errno);
}
