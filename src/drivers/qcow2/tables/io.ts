/** Reads and writes of metadata on the image file. Offsets are in bytes; all throw what the file below throws. */
import { BlockError } from '../../../block/error.ts';
import type { ChildLink } from '../../../block/graph/node.ts';
import { pdiscard } from '../../../block/request/discard.ts';
import { readAnywhere } from '../../../block/request/read.ts';
import { pwritev } from '../../../block/request/write.ts';
import type { Pending, Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from './image.ts';

/** Fills `data` from an offset of the image file, as `readAnywhere` does. */
export function readFile(image: Qcow2Image, offset: number, data: Buffer): Pending {
  return readAnywhere(image.file, offset, data);
}

/** Writes to the image file. */
export function writeFile(image: Qcow2Image, offset: number, data: Buffer): Pending {
  const { hazards } = image;
  if (hazards === null) return pwritev(image.file, offset, data, 0);
  return hazards.places.during('write', offset, data.length, null, () => pwritev(image.file, offset, data, 0));
}

/** Writes, then puts everything written so far on stable storage. */
export function* writeFileSync(image: Qcow2Image, offset: number, data: Buffer): Steps<void> {
  yield writeFile(image, offset, data);
  yield flushFile(image);
}

/** Puts everything written to the image file on stable storage. */
export function flushFile(image: Qcow2Image): Pending {
  return image.ordering.flushFile(image);
}

/** Discards a range of a child. A failure does not matter: discards are hints. */
export function* discardHint(child: ChildLink, offset: number, bytes: number): Steps<void> {
  try {
    yield pdiscard(child, offset, bytes);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}

/** Runs steps whose failure changes nothing for the caller. */
export function* ignoringErrors(steps: Steps<void>): Steps<void> {
  try {
    yield* steps;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
  }
}
