/** Reopening with other run-time options, and closing: in both everything that is cached is written. */
import type { ReopenState } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Open } from '../../block/flags.ts';
import { flush } from '../../block/request/flush.ts';
import { strerror } from '../../util/errno.ts';
import { run, type Steps } from '../../util/steps.ts';
import { markClean } from './tables/header-write.ts';
import type { Qcow2Image, Qcow2Node } from './tables/image.ts';
import { ignoringErrors } from './tables/io.ts';
import { commitOptions, type PreparedOptions, prepareOptions } from './tables/options.ts';
import type { TableCache } from './tables/table-cache.ts';

/**
 * Checks the new options and makes caches for them. An image that becomes read-only stores its bitmaps, is flushed and
 * marked clean. Throws as opening does for wrong options, and the errors of the writes.
 */
export async function prepareReopen(state: ReopenState<Qcow2Image>): Promise<void> {
  const { node } = state;
  const image = node.state;
  state.prepared = await run(prepareOptions(image, state.options, state.flags, 'open'));
  if ((state.flags & Open.READ_WRITE) !== 0) return;
  if (image.bitmapCount > 0) await run((await bitmaps()).storeBitmapsReadOnly(image));
  await flush(node);
  await run(markClean(image));
}

/** Puts the options that `prepareReopen` made into force. */
export function commitReopen({ node, prepared }: ReopenState<Qcow2Image>): void {
  commitOptions(node.state, prepared as PreparedOptions);
}

/** Bitmaps are in use again once the image can be written. */
export async function afterReopen({ state }: Qcow2Node): Promise<void> {
  if (state.bitmapCount > 0) await run((await bitmaps()).resumeBitmaps(state));
}

/** The caches that were prepared are dropped. */
export function abortReopen(): void {}

/** Writes the bitmaps and the caches, and clears the dirty bit. A failure is printed, and the dirty bit then stays. */
export async function closeImage(image: Qcow2Image): Promise<void> {
  image.l1.isReleased = true;
  const areStored = image.bitmapCount === 0 || (await run((await bitmaps()).storeBitmaps(image)));
  const isFlushed = await run(flushCaches(image));
  if (areStored && isFlushed) await run(ignoringErrors(markClean(image)));
}

const bitmaps = () => import('./bitmaps/bitmaps.ts');

function* flushCaches(image: Qcow2Image): Steps<boolean> {
  const isL2Flushed = yield* flushCache(image, image.l2Cache, 'L2 table');
  return (yield* flushCache(image, image.refcountCache, 'refcount block')) && isL2Flushed;
}

function* flushCache(image: Qcow2Image, cache: TableCache, name: string): Steps<boolean> {
  try {
    yield cache.flush();
    return true;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`Failed to flush the ${name} cache: ${strerror(error.errno)}`);
    return false;
  }
}
