/**
 * A witness of what requests touch that other requests touch, too: with it a search knows which steps of two requests
 * may change their order without a difference.
 *
 * Things are named by text, so that a name means the same in another run of the same script. What one step does to a
 * range of bytes of a file is told by the file's driver, and not here.
 */

/** Is told while requests run. Each call is about the running coroutine. */
export interface Witness {
  /** A coroutine begins, in `parent` or, with 0, in the shell. */
  begins(coroutine: number, parent: number): void;
  /** A lock is about to be taken, or to be waited for. `holder` is the lock, and `name` what it is called. */
  locks(holder: object, name: string): void;
  /** A lock is given back; with `isPassedOn`, to one that has waited for it. */
  unlocks(holder: object, isPassedOn: boolean): void;
  /** Something that a lock of this name protects is changed. */
  changes(name: string): void;
  /** A range is used that others may wait for; with `excludes`, or are kept out of. Offset and length in bytes. */
  uses(name: string, offset: number, bytes: number, excludes: boolean): void;
}
