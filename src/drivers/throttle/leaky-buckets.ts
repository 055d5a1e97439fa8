/** Leaky buckets: how long a request has to wait so that a group keeps its limits. */
import type { Bucket, ThrottleGroup } from '../../block/throttle-limits.ts';

const SECOND_NS = 1e9;

/** Indices of the buckets that reads and writes fill: of bytes, and of requests. */
const filledBy = { read: { bytes: [0, 1], requests: [3, 4] }, write: { bytes: [0, 2], requests: [3, 5] } } as const;

/** Reads are throttled apart from everything that writes. */
export type Direction = keyof typeof filledBy;

interface Level {
  readonly limit: Bucket;
  level: number;
  burstLevel: number;
}

/** The buckets of a group. They leak as time goes by. */
export class LeakyBuckets {
  readonly #levels: readonly Level[];
  readonly #requestBytes: number;
  #leakedNs: number;

  constructor({ buckets, requestBytes }: ThrottleGroup, nowNs: number) {
    this.#levels = buckets.map((limit) => ({ limit, level: 0, burstLevel: 0 }));
    this.#requestBytes = requestBytes;
    this.#leakedNs = nowNs;
  }

  /** For how many nanoseconds from `nowNs` on the next request has to wait. */
  waitNs(direction: Direction, nowNs: number): number {
    this.#leak(nowNs);
    const { bytes, requests } = filledBy[direction];
    return Math.max(...[...bytes, ...requests].map((index) => this.#waitFor(index)));
  }

  /** A request of so many bytes goes on. */
  account(direction: Direction, requestBytes: number): void {
    const size = this.#requestBytes;
    const requests = size > 0 && requestBytes > size ? requestBytes / size : 1;
    const filled = filledBy[direction];
    for (const index of filled.bytes) this.#fill(index, requestBytes);
    for (const index of filled.requests) this.#fill(index, requests);
  }

  #fill(index: number, units: number): void {
    const bucket = this.#levels[index];
    if (bucket === undefined) return;
    bucket.level += units;
    if (bucket.limit.burstSeconds > 1) bucket.burstLevel += units;
  }

  #leak(nowNs: number): void {
    const delta = nowNs - this.#leakedNs;
    this.#leakedNs = nowNs;
    if (delta <= 0) return;
    for (const bucket of this.#levels) {
      const { average, burst, burstSeconds } = bucket.limit;
      bucket.level = Math.max(0, bucket.level - (average * delta) / SECOND_NS);
      if (burstSeconds > 1) bucket.burstLevel = Math.max(0, bucket.burstLevel - (burst * delta) / SECOND_NS);
    }
  }

  #waitFor(index: number): number {
    const bucket = this.#levels[index];
    if (bucket === undefined || bucket.limit.average === 0) return 0;
    const { average, burst, burstSeconds } = bucket.limit;
    // Without a burst a tenth of a second is what may come at once.
    const extra = bucket.level - (burst === 0 ? average / 10 : burst * burstSeconds);
    if (extra > 0) return Math.floor((extra * SECOND_NS) / average);
    const burstExtra = burstSeconds > 1 ? bucket.burstLevel - burst / 10 : 0;
    return burstExtra > 0 ? Math.floor((burstExtra * SECOND_NS) / burst) : 0;
  }
}
