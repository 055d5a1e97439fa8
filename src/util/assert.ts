/**
 * Assertions: what must be true unless the program itself is wrong. What the disk or the user did wrong is a
 * `BlockError`.
 */

/** Throws a plain `Error` if `condition` is false. `promise` is the broken promise in words: "the lock is held". */
export function assert(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${promise}`);
}
