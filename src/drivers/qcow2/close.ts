/** Closing: bitmaps and caches are written, and the dirty bit is taken away. */
import { BlockError } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { storeBitmaps } from './bitmaps/bitmaps.ts';
import { markClean } from './tables/header-write.ts';
import type { Qcow2Image } from './tables/image.ts';
import { ignoringErrors } from './tables/io.ts';
import type { TableCache } from './tables/table-cache.ts';

/** Writes what is cached. What fails is printed, and the dirty bit then stays. */
export async function closeImage(image: Qcow2Image): Promise<void> {
  image.l1.isReleased = true;
  let succeeded = await storeBitmaps(image);
  succeeded = (await flushCache(image, image.l2Cache, 'L2 table')) && succeeded;
  succeeded = (await flushCache(image, image.refcountCache, 'refcount block')) && succeeded;
  if (succeeded) await ignoringErrors(() => markClean(image));
}

async function flushCache(image: Qcow2Image, cache: TableCache, name: string): Promise<boolean> {
  try {
    await cache.flush();
    return true;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    image.node.context.report(`Failed to flush the ${name} cache: ${strerror(error.errno)}`);
    return false;
  }
}
