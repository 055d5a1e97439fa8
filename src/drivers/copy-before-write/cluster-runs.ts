/** A set of clusters of a disk, kept as runs: its memory grows with what is done to it, not with the disk. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';

/** A bitmap of an image can have more; then its bits alternate. */
const MAX_RUNS = 1 << 22;

/** Clusters by their number. A run is from its `start` to before its `end`; runs do not touch each other. */
export class ClusterRuns {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  /** Puts a run in. ENOMEM for too many. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const from = this.#firstEndingFrom(start);
    let to = from;
    let first = start;
    let last = end;
    for (; to < this.#starts.length && (this.#starts[to] ?? 0) <= end; to++) {
      first = Math.min(first, this.#starts[to] ?? first);
      last = Math.max(last, this.#ends[to] ?? last);
    }
    if (from === to && this.#starts.length >= MAX_RUNS) throw new BlockError(Errno.ENOMEM);
    this.#starts.splice(from, to - from, first);
    this.#ends.splice(from, to - from, last);
  }

  /** Takes a run out. */
  delete(start: number, end: number): void {
    if (start >= end) return;
    const from = this.#firstEndingFrom(start + 1);
    const rest: [number, number][] = [];
    let to = from;
    for (; to < this.#starts.length && (this.#starts[to] ?? 0) < end; to++) {
      const [first, last] = [this.#starts[to] ?? 0, this.#ends[to] ?? 0];
      if (first < start) rest.push([first, start]);
      if (last > end) rest.push([end, last]);
    }
    this.#starts.splice(from, to - from, ...rest.map(([first]) => first));
    this.#ends.splice(from, to - from, ...rest.map(([, last]) => last));
  }

  /** The first part of a run that is in the set; null if none of it is. */
  firstWithin(start: number, end: number): { readonly start: number; readonly end: number } | null {
    const index = this.#firstEndingFrom(start + 1);
    const first = Math.max(start, this.#starts[index] ?? end);
    if (first >= end) return null;
    return { start: first, end: Math.min(end, this.#ends[index] ?? end) };
  }

  /** Whether all of a run is in the set. */
  hasAll(start: number, end: number): boolean {
    const first = this.firstWithin(start, end);
    return start >= end || (first !== null && first.start === start && first.end === end);
  }

  /** A set with the same runs. */
  clone(): ClusterRuns {
    const copy = new ClusterRuns();
    for (const [index, start] of this.#starts.entries()) copy.add(start, this.#ends[index] ?? start);
    return copy;
  }

  /** The first run that ends at `cluster` or behind it. */
  #firstEndingFrom(cluster: number): number {
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] ?? 0) < cluster) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
