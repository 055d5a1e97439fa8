/** The refcounts that an image should have, counted in memory: one big refcount block, as wide as those on disk. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { CheckResult } from './check.ts';
import type { Qcow2Image } from './image.ts';
import { hex64, highOf, lowOf } from './offsets.ts';

const MIN_CAPACITY_BYTES = 65536;

export class RefcountMap {
  /** How many clusters it covers. */
  clusterCount = 0;
  readonly #image: Qcow2Image;
  #data: Buffer = Buffer.alloc(0);

  constructor(image: Qcow2Image, clusterCount: number) {
    this.#image = image;
    this.grow(clusterCount);
  }

  /** Covers more clusters. ENOMEM for more than memory can hold. */
  grow(clusterCount: number): void {
    if (clusterCount <= this.clusterCount) return;
    const needed = Math.ceil((clusterCount * 2 ** this.#image.refcountOrder) / 8);
    if (needed > this.#data.length) {
      // Whole clusters, so that it can be written block by block.
      const wanted = this.#image.alignUpToCluster(Math.max(needed, this.#data.length * 1.5, MIN_CAPACITY_BYTES));
      let grown: Buffer;
      try {
        grown = Buffer.alloc(wanted);
      } catch (error) {
        if (error instanceof RangeError) throw new BlockError(Errno.ENOMEM);
        throw error;
      }
      this.#data.copy(grown);
      this.#data = grown;
    }
    this.clusterCount = clusterCount;
  }

  get(cluster: number): number {
    return cluster < this.clusterCount ? this.#image.refcountWidth.get(this.#data, cluster) : 0;
  }

  set(cluster: number, refcount: number): void {
    this.#image.refcountWidth.set(this.#data, cluster, refcount);
  }

  clear(): void {
    this.#data.fill(0);
  }

  /** The content of the refcount block of this index. */
  block(index: number): Buffer {
    const { clusterBytes } = this.#image;
    return this.#data.subarray(index * clusterBytes, (index + 1) * clusterBytes);
  }

  /**
   * Counts one reference to every cluster of a range. What lies outside of the file is a corruption; `shown` is how its
   * message says the offset, for one that is inexact.
   */
  addReference(result: CheckResult, offset: number, bytes: number, shown?: string): void {
    if (bytes <= 0) return;
    const image = this.#image;
    const { warn } = image.node.context;
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
      try {
        this.grow(cluster + 1);
      } catch (error) {
        result.checkErrors += 1;
        throw error;
      }
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
   * Takes free clusters in a row, at or behind `first`, growing the map where there are none. Returns where they are and
   * the first free cluster that was met.
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
