/** Freed host ranges that wait to be discarded on the image file; neighbours are joined. */
import { type Pending, run, type Steps } from '../../../util/steps.ts';
import type { Qcow2Image } from './image.ts';
import { discardHint } from './io.ts';

interface Region {
  offset: number;
  bytes: number;
  /** Counts up with the regions' age: of two that become one, the older one keeps its place. */
  readonly age: number;
}

/** Ranges of the file, in bytes, that wait to be discarded. */
export class DiscardQueue {
  /** While set, regions are collected; otherwise each change of refcounts discards its own regions. */
  isHeld = false;
  readonly #image: Qcow2Image;
  /** In the order in which they are discarded. */
  readonly #regions = new Set<Region>();
  readonly #byStart = new Map<number, Region>();
  readonly #byEnd = new Map<number, Region>();
  #nextAge = 0;

  constructor(image: Qcow2Image) {
    this.#image = image;
  }

  /**
   * Queues a range. Freed clusters have no reference left, so no range is freed twice: ranges touch but never overlap.
   */
  add(offset: number, bytes: number): void {
    const before = this.#byEnd.get(offset);
    const behind = this.#byStart.get(offset + bytes);
    const start = before?.offset ?? offset;
    const end = behind === undefined ? offset + bytes : behind.offset + behind.bytes;
    const kept = older(before, behind) ?? { offset, bytes, age: this.#nextAge++ };
    for (const region of [before, behind]) {
      if (region === undefined) continue;
      this.#byStart.delete(region.offset);
      this.#byEnd.delete(region.offset + region.bytes);
      if (region !== kept) this.#regions.delete(region);
    }
    kept.offset = start;
    kept.bytes = end - start;
    this.#regions.add(kept);
    this.#byStart.set(start, kept);
    this.#byEnd.set(end, kept);
  }

  /**
   * Discards what was collected, oldest first; for operations that failed, forgets it. Failures of the discards do not
   * matter.
   */
  process({ succeeded }: { succeeded: boolean }): Pending {
    return this.#regions.size === 0 ? undefined : run(this.#processEach(succeeded));
  }

  *#processEach(succeeded: boolean): Steps<void> {
    for (const region of this.#regions) {
      this.#regions.delete(region);
      this.#byStart.delete(region.offset);
      this.#byEnd.delete(region.offset + region.bytes);
      if (succeeded) yield* discardHint(this.#image.file, region.offset, region.bytes);
    }
  }
}

function older(a: Region | undefined, b: Region | undefined): Region | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.age < b.age ? a : b;
}
