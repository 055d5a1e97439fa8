/**
 * Which host clusters a table points to: answers "does this range hit one of them" without looking through the table.
 */

/** A set of cluster numbers. */
export class ClusterSet {
  /** Cluster index to the number of entries that point into it: entries of hostile images may share a cluster. */
  readonly #counts = new Map<number, number>();
  readonly #clusterBytes: number;

  constructor(clusterBytes: number) {
    this.#clusterBytes = clusterBytes;
  }

  /** Notes a table of one cluster at a host offset, which may be unaligned; 0 is no table. */
  add(offset: number): void {
    if (offset !== 0) this.#count(offset, 1);
  }

  /** Takes back one `add` of the same offset. */
  remove(offset: number): void {
    if (offset !== 0) this.#count(offset, -1);
  }

  #count(offset: number, change: number): void {
    const first = Math.floor(offset / this.#clusterBytes);
    this.#change(first, change);
    if (offset % this.#clusterBytes !== 0) this.#change(first + 1, change);
  }

  #change(cluster: number, change: number): void {
    const count = (this.#counts.get(cluster) ?? 0) + change;
    if (count === 0) this.#counts.delete(cluster);
    else this.#counts.set(cluster, count);
  }

  /** Whether a range of whole clusters hits one of the tables. */
  hits(firstCluster: number, clusterCount: number): boolean {
    if (clusterCount <= this.#counts.size) {
      for (let index = 0; index < clusterCount; index++) {
        if (this.#counts.has(firstCluster + index)) return true;
      }
      return false;
    }
    for (const cluster of this.#counts.keys()) {
      if (cluster >= firstCluster && cluster < firstCluster + clusterCount) return true;
    }
    return false;
  }
}
