/** Reads and writes of metadata on the image file. Offsets are in bytes; all throw what the file below throws. */
import { BlockError } from '../../../block/error.ts';
import type { Place, Places, Use } from '../../../block/hazards/places.ts';
import type { ChildLink } from '../../../block/graph/node.ts';
import { pdiscard } from '../../../block/request/discard.ts';
import { readAnywhere } from '../../../block/request/read.ts';
import { pwritev } from '../../../block/request/write.ts';
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from './image.ts';

/** Fills `data` from an offset of the image file, as `readAnywhere` does. */
export function readFile(image: Qcow2Image, offset: number, data: Buffer): Pending {
  return readAnywhere(image.file, offset, data);
}

/** Writes to the image file. */
export function writeFile(image: Qcow2Image, offset: number, data: Buffer): Pending {
  const write = (): Pending => pwritev(image.file, offset, data, 0);
  return image.hazards === null ? write() : inPlace(image.hazards.places, 'write', offset, data.length, null, write);
}

/**
 * Does I/O of the running request at a place of a file, known to the detector of hazards from now to its end.
 * `guest` is the offset of the guest's disk, null for metadata; all in bytes.
 */
export function inPlace(
  places: Places,
  use: Use,
  offset: number,
  bytes: number,
  guest: number | null,
  request: () => Pending,
): Pending {
  if (places.areOfOneRequest) return inPlaceAlone(places, use, offset, bytes, guest, request);
  const place = places.begin(use, offset, bytes, guest);
  let pending: Pending;
  try {
    pending = request();
  } catch (error) {
    places.end(place);
    throw error;
  }
  if (pending !== undefined) return run(endAfter(places, place, pending));
  places.end(place);
  return undefined;
}

/**
 * Does I/O while no other request has a place: none can meet this one before it waits, and most end without. Only one
 * that waits is given its place.
 */
function inPlaceAlone(
  places: Places,
  use: Use,
  offset: number,
  bytes: number,
  guest: number | null,
  request: () => Pending,
): Pending {
  const { running } = places;
  const pending = request();
  return pending === undefined
    ? undefined
    : run(endAfter(places, places.begin(use, offset, bytes, guest, running), pending));
}

function* endAfter(places: Places, place: Place, pending: Promise<void>): Steps<void> {
  try {
    yield pending;
  } finally {
    places.end(place);
  }
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
