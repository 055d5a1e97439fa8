/** The one error of the block layer: what the disk or the user did wrong. A broken invariant is an assertion instead. */
import { Errno, strerror } from '../util/errno.ts';

/**
 * A failed request or a refused open. `errno` is positive; `message` is what the user reads.
 * It carries no stack: it is part of normal work (error injection makes thousands) and is never a bug report.
 */
export class BlockError extends Error {
  /** Positive Linux errno. */
  readonly errno: number;

  constructor(errno: number, message: string = strerror(errno)) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.name = 'BlockError';
    this.errno = errno;
  }
}

/** An error whose text is `message: strerror(errno)`. */
export function errorWithErrno(errno: number, message: string): BlockError {
  return new BlockError(errno, `${message}: ${strerror(errno)}`);
}

/** The same error with `prefix` put before its text. */
export function prependError(error: BlockError, prefix: string): BlockError {
  return new BlockError(error.errno, prefix + error.message);
}

/** The errno of a caught value; anything that is not a BlockError is a bug and is thrown on. */
export function errnoOf(caught: unknown): number {
  if (caught instanceof BlockError) return caught.errno;
  throw caught;
}

/** Whether a caught value says "not supported", which asks the caller for its fallback. */
export function isNotSupported(caught: unknown): boolean {
  return caught instanceof BlockError && caught.errno === Errno.ENOTSUP;
}
