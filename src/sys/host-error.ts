/** Errors of host calls as errno numbers. */

/** A host call that failed. */
export class HostError extends Error {
  /** Positive errno. */
  readonly errno: number;

  constructor(errno: number) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`errno ${errno}`);
    Error.stackTraceLimit = limit;
    this.errno = errno;
  }
}

/** The positive errno of what a host call threw; anything else is a bug and is thrown on. */
export function hostErrno(caught: unknown): number {
  if (caught instanceof HostError) return caught.errno;
  const { errno } = caught as NodeJS.ErrnoException;
  if (typeof errno === 'number' && errno < 0) return -errno;
  throw caught;
}
