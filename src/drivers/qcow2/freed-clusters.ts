/**
 * Clusters that were given back while an L2 table on disk may still point to them, and to data that the guest has not given
 * up: the rest of a compressed cluster of which a part was overwritten, for one. Before anything else is written there, the L2
 * tables go to disk; else whoever opens the image after a sudden end finds something else in the place of those data.
 */
import type { Qcow2Image } from './image.ts';

export class FreedClusters {
  readonly #image: Qcow2Image;
  readonly #indexes = new Set<number>();
  /** How often the L2 tables had been flushed when the first of them was given back. */
  #flushCount = 0;

  constructor(image: Qcow2Image) {
    this.#image = image;
  }

  /** Notes the clusters of a range that was given back. Others may share them: those stay in use and are not taken anew. */
  add(offset: number, bytes: number): void {
    const image = this.#image;
    this.#forgetFlushed();
    this.#flushCount = image.l2FlushCount;
    const last = image.clusterIndexOf(offset + bytes - 1);
    for (let index = image.clusterIndexOf(offset); index <= last; index++) this.#indexes.add(index);
  }

  /** To be awaited before a cluster gets new content; fails if the L2 tables cannot be written. */
  settle(clusterIndex: number): Promise<void> | undefined {
    if (this.#indexes.size === 0) return undefined;
    this.#forgetFlushed();
    return this.#indexes.has(clusterIndex) ? this.#flush() : undefined;
  }

  #forgetFlushed(): void {
    if (this.#flushCount !== this.#image.l2FlushCount) this.#indexes.clear();
  }

  async #flush(): Promise<void> {
    const image = this.#image;
    // The freed counts wait for the same thing, and need not do it again.
    await image.refcountCache.flushDependency();
    if (this.#flushCount === image.l2FlushCount) await image.l2Cache.flush();
  }
}
