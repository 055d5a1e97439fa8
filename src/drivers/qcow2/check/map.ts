/**
 * The refcounts that an image should have, counted in memory: refcount blocks as wide as those on disk, made where
 * something is counted. A file can claim to be longer than any memory.
 */
import { BlockError } from '../../../block/error.ts';
import type { CheckCounts } from '../../../block/image-check.ts';
import { Errno } from '../../../util/errno.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { hex64, highOf, lowOf } from '../format/offsets.ts';

/** QEMU counts in one array. Where that would be longer than this it fails for want of memory, more or less. */
const MAX_COVERED_BYTES = 2 ** 32;

/** How often each cluster of the file is referenced, as counted by a check. */
export class RefcountMap {
  /** How many clusters it covers. */
  clusterCount = 0;
  readonly #image: Qcow2Image;
  readonly #blocks = new Map<number, Buffer>();
  readonly #emptyBlock: Buffer;
  /** The block that was looked at last: most often the next look is there, too. */
  #latestIndex = -1;
  #latest: Buffer | undefined = undefined;

  constructor(image: Qcow2Image, clusterCount: number) {
    this.#image = image;
    this.#emptyBlock = Buffer.alloc(image.clusterBytes);
    this.grow(clusterCount);
  }

  /** Covers more clusters. ENOMEM for more than memory could hold if all of them were counted. */
  grow(clusterCount: number): void {
    if (clusterCount <= this.clusterCount) return;
    if ((clusterCount * 2 ** this.#image.refcountOrder) / 8 > MAX_COVERED_BYTES) throw new BlockError(Errno.ENOMEM);
    this.clusterCount = clusterCount;
  }

  /** Reads during a check, which counts that it could not go on. */
  growFor(result: CheckCounts, clusterCount: number): void {
    try {
      this.grow(clusterCount);
    } catch (error) {
      result.checkErrors += 1;
      throw error;
    }
  }

  /** References to the host cluster of this index that were counted. */
  get(cluster: number): number {
    const { refcountWidth, refcountBlockEntries } = this.#image;
    const block = this.#blockAt(Math.floor(cluster / refcountBlockEntries));
    return block === undefined ? 0 : refcountWidth.get(block, cluster % refcountBlockEntries);
  }

  /** Notes the count of a cluster that is covered; it must fit the refcount width. */
  set(cluster: number, refcount: number): void {
    const { refcountWidth, refcountBlockEntries, clusterBytes } = this.#image;
    const index = Math.floor(cluster / refcountBlockEntries);
    let block = this.#blockAt(index);
    if (block === undefined) {
      block = Buffer.alloc(clusterBytes);
      this.#blocks.set(index, block);
      this.#latest = block;
    }
    refcountWidth.set(block, cluster % refcountBlockEntries, refcount);
  }

  #blockAt(index: number): Buffer | undefined {
    if (index !== this.#latestIndex) {
      this.#latestIndex = index;
      this.#latest = this.#blocks.get(index);
    }
    return this.#latest;
  }

  /** Forgets all counts. */
  clear(): void {
    this.#blocks.clear();
    this.#latestIndex = -1;
  }

  /** The content of the refcount block of this index. */
  block(index: number): Buffer {
    return this.#blocks.get(index) ?? this.#emptyBlock;
  }

  /** Whether nothing is counted in the block of this index. */
  isEmptyBlock(index: number): boolean {
    return !this.#blocks.has(index);
  }

  /**
   * Counts one reference to every cluster of a range. What lies outside of the file is a corruption; `shown` is how its
   * message says the offset, for one that is inexact.
   */
  addReference(result: CheckCounts, offset: number, bytes: number, shown?: string): void {
    if (bytes <= 0) return;
    const image = this.#image;
    const { warn } = image.node.context;
    if (offset >= 2 ** 63) {
      // QEMU's offsets have a sign: this one lies before the end of the file, and no array is long enough for it.
      result.checkErrors += 1;
      throw new BlockError(Errno.ENOMEM);
    }
    const fileLength = image.file.node.getLength();
    if (offset + bytes - fileLength >= image.clusterBytes) {
      warn(
        'ERROR: counting reference for region exceeding the end of the file by one cluster or more: ' +
          `offset 0x${shown ?? hexOf(offset)} size 0x${hexOf(bytes)}`,
      );
      result.corruptions += 1;
      return;
    }
    const last = image.clusterIndexOf(offset + bytes - 1);
    for (let cluster = image.clusterIndexOf(offset); cluster <= last; cluster++) {
      this.growFor(result, cluster + 1);
      const refcount = this.get(cluster);
      if (refcount === image.refcountWidth.max) {
        warn(`ERROR: overflow cluster offset=0x${hexOf(cluster * image.clusterBytes)}`);
        warn(
          'Use qemu-img amend to increase the refcount entry width or qemu-img convert to create a clean copy if the ' +
            'image cannot be opened for writing',
        );
        result.corruptions += 1;
        continue;
      }
      this.set(cluster, refcount + 1);
    }
  }

  /**
   * Takes free clusters in a row, at or behind `first`, growing the map where there are none. Returns where they are
   * and the first free cluster that was met.
   */
  allocate(clusterCount: number, first: number): { cluster: number; firstFree: number } {
    let firstFree = -1;
    let free = 0;
    let cluster = first;
    for (; cluster < this.clusterCount && free < clusterCount; cluster++) {
      if (this.get(cluster) !== 0) {
        free = 0;
        continue;
      }
      free += 1;
      if (firstFree < 0) firstFree = cluster;
    }
    if (free < clusterCount) this.grow(cluster + clusterCount - free);
    cluster -= free;
    for (let index = 0; index < clusterCount; index++) this.set(cluster + index, 1);
    return { cluster, firstFree: firstFree < 0 ? first : firstFree };
  }
}

function hexOf(value: number): string {
  return hex64(highOf(value), lowOf(value));
}
