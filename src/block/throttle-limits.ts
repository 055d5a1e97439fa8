/** Limits of requests and bytes in a second, as `--object throttle-group` sets them. */

/** The names of a group's limits, in the order of its buckets: bytes, then requests. */
export const bucketNames = ['bps-total', 'bps-read', 'bps-write', 'iops-total', 'iops-read', 'iops-write'] as const;

/** A limit; 0 for none. Units in a second. */
export interface Bucket {
  readonly average: number;
  /** The rate of a burst, which may last `burstSeconds`. */
  readonly burst: number;
  readonly burstSeconds: number;
}

/** A group that nodes of the driver `throttle` join. */
export interface ThrottleGroup {
  readonly kind: 'throttle-group';
  /** In the order of `bucketNames`. */
  readonly buckets: readonly Bucket[];
  /** A longer request counts as several; 0: each as one. */
  readonly requestBytes: number;
}
