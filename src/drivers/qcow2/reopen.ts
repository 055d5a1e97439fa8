/** Reopening: new run-time options, and everything written when the image becomes read-only. */
import type { ReopenState } from '../../block/driver.ts';
import { Open } from '../../block/flags.ts';
import { flush } from '../../block/request/flush.ts';
import { resumeBitmaps, storeBitmapsReadOnly } from './bitmaps/bitmaps.ts';
import { markClean } from './tables/header-write.ts';
import type { Qcow2Image, Qcow2Node } from './tables/image.ts';
import { commitOptions, type PreparedOptions, prepareOptions } from './options.ts';

/**
 * Checks the new options and makes caches for them. An image that becomes read-only stores its bitmaps, is flushed and
 * marked clean. Throws as opening does for wrong options, and what the writes throw.
 */
export async function prepareReopen(state: ReopenState<Qcow2Image>): Promise<void> {
  const { node } = state;
  const image = node.state;
  state.prepared = await prepareOptions(image, state.options, state.flags);
  if ((state.flags & Open.READ_WRITE) !== 0) return;
  await storeBitmapsReadOnly(image);
  await flush(node);
  await markClean(image);
}

/** Puts what `prepareReopen` made into force. */
export function commitReopen({ node, prepared }: ReopenState<Qcow2Image>): void {
  commitOptions(node.state, prepared as PreparedOptions);
}

/** Bitmaps are in use again once the image can be written. */
export function afterReopen({ state }: Qcow2Node): Promise<void> {
  return resumeBitmaps(state);
}

/** The caches that were prepared are dropped. */
export function abortReopen(): void {}
