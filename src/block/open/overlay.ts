/** Snapshot mode: the image is opened read-only, and what is written goes to an overlay that is gone in the end. */
import { Errno } from '../../util/errno.ts';
import { BlockError } from '../error.ts';
import { Open } from '../flags.ts';
import type { GraphContext } from '../graph/context.ts';
import { Options } from '../options/options.ts';

/** An overlay on the host, empty and of the length asked for. */
export interface TemporaryOverlay {
  readonly filename: string;
  /** Deletes the file; what has it open keeps it. Called once the overlay is open, or could not be opened. */
  remove(): void;
}

/** Makes an empty overlay for an image of this length in bytes. Throws what making a temporary file throws. */
export type OverlayMaker = (lengthBytes: number) => Promise<TemporaryOverlay>;

/** Makes an overlay. ENOTSUP without a driver that can. */
export async function makeOverlay(context: GraphContext, lengthBytes: number): Promise<TemporaryOverlay> {
  if (context.makeOverlay === null) {
    throw new BlockError(Errno.ENOTSUP, 'Snapshot mode needs the qcow2 driver, which is not available');
  }
  return context.makeOverlay(lengthBytes);
}

/** Flags and options for the overlay of an image that was asked for with `flags` and `options`. */
export function overlaySettings(flags: number, options: Options): { flags: number; options: Options } {
  const settings = new Options([
    ['cache.direct', 'off'],
    ['cache.no-flush', 'on'],
  ]);
  for (const key of ['read-only', 'discard']) {
    const value = options.get(key);
    if (value !== undefined) settings.set(key, value);
  }
  // Native AIO needs cache.direct, which makes no sense for a file that is never kept.
  return { flags: flags & ~(Open.SNAPSHOT | Open.NATIVE_AIO), options: settings };
}
