/** Reads and writes of metadata on the image file. */
import type { Pending } from '../../../util/steps.ts';
import { BlockError, errorWithErrno } from '../../../block/error.ts';
import { MAX_LENGTH } from '../../../block/flags.ts';
import type { ChildLink } from '../../../block/graph/node.ts';
import type { Answer } from '../../../util/answer.ts';
import { flush } from '../../../block/request/flush.ts';
import { preadv } from '../../../block/request/read.ts';
import { pwritev } from '../../../block/request/write.ts';
import type { Qcow2Image } from './image.ts';

/** Fills `data` from a child; what lies behind the offsets that a file can have reads as zeroes, as behind its end. */
export function readChild(child: ChildLink, offset: number, data: Buffer): Pending {
  if (offset <= MAX_LENGTH - data.length) return preadv(child, offset, data, 0);
  data.fill(0);
  return undefined;
}

/** Fills `data` from an offset of the image file in bytes, as `readChild` does. Throws what the file below throws. */
export async function readFile(image: Qcow2Image, offset: number, data: Buffer): Promise<void> {
  await readChild(image.file, offset, data);
}

/** Writes to the image file at an offset in bytes. Throws what the file below throws. */
export function writeFile(image: Qcow2Image, offset: number, data: Buffer): Pending {
  return pwritev(image.file, offset, data, 0);
}

/** Writes, then puts everything written so far on stable storage. */
export async function writeFileSync(image: Qcow2Image, offset: number, data: Buffer): Promise<void> {
  await pwritev(image.file, offset, data, 0);
  await flush(image.file.node);
}

/** Puts everything written to the image file on stable storage. */
export function flushFile(image: Qcow2Image): Pending {
  return flush(image.file.node);
}

/** Does a step whose failure changes nothing here. */
export async function ignoringErrors(step: () => Pending): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

/** Waits for a step, given as what it began or as how to begin it; its failure gets the text `message: strerror`. */
export async function explained<T>(step: Promise<T> | (() => Answer<T>), message: string): Promise<T> {
  try {
    return await (typeof step === 'function' ? step() : step);
  } catch (error) {
    if (error instanceof BlockError) throw errorWithErrno(error.errno, message);
    throw error;
  }
}
