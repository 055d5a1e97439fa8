/**
 * Throwing unused tables out of the caches after `cache-clean-interval`.
 *
 * QEMU has a timer for it. Here the next use of a cache does what a timer would have done since: nobody can tell the
 * difference, and a loop without requests has nothing to wait for.
 */
import type { Qcow2Image } from './image.ts';

/**
 * Gives the memory of tables back that nobody has used for `cache-clean-interval` seconds. Called before each look-up in an L2 table:
 * there is no timer, and a session that does nothing keeps what it has.
 */
export function cleanCachesIfDue(image: Qcow2Image): void {
  if (image.cacheCleanSeconds === 0) return;
  const nowNs = image.loop.clock.nowNs();
  if (nowNs < image.nextCacheCleanNs) return;
  const intervalNs = image.cacheCleanSeconds * 1e9;
  const missed = Math.floor((nowNs - image.nextCacheCleanNs) / intervalNs) + 1;
  // What is still there after two rounds was used in between.
  for (let round = 0; round < Math.min(missed, 2); round++) {
    image.l2Cache.cleanUnused();
    image.refcountCache.cleanUnused();
  }
  image.nextCacheCleanNs += missed * intervalNs;
}
