/**
 * The one error of the block layer: what the disk or the user did wrong. A broken invariant is an assertion instead.
 */
import { Errno, hostErrno, strerror } from '../util/errno.ts';
import { type Answer, isPromise, type Steps } from '../util/steps.ts';

/**
 * A failed request or a refused open. `errno` is positive; `message` is what the user reads.
 * It carries no stack: it is part of normal work (error injection makes thousands) and is never a bug report.
 */
export class BlockError extends Error {
  /** Positive Linux errno. */
  readonly errno: number;
  /** "FILE:LINE" of the user's text, if it stands in a file; else null. Not in the message, as QEMU's. */
  readonly place: string | null;

  constructor(errno: number, message: string = strerror(errno), place: string | null = null) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = limit;
    this.name = 'BlockError';
    this.errno = errno;
    this.place = place;
  }
}

/** EINVAL with a text of its own: an option, a file or a combination that cannot be. */
export function invalidArgument(message: string): BlockError {
  return new BlockError(Errno.EINVAL, message);
}

/** An error whose text is `context: strerror(errno)`. */
export function errorWithErrno(errno: number, context: string): BlockError {
  return new BlockError(errno, `${context}: ${strerror(errno)}`);
}

/** An error of the same errno with `prefix` put before its text. */
export function prependError(error: BlockError, prefix: string): BlockError {
  return new BlockError(error.errno, prefix + error.message, error.place);
}

/** Calls `call`; its failure is that of a line, "FILE:LINE", unless it is of one already. */
export function atPlace<T>(place: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, error.message, error.place ?? place);
  }
}

/** A caught failure of a host call as an error of the block layer, which it may be already; a bug is thrown on. */
export function asBlockError(caught: unknown): BlockError {
  return caught instanceof BlockError ? caught : new BlockError(hostErrno(caught));
}

/**
 * Calls `call`; the failure of the host or of the block layer in it, now or later, gets the text `context: strerror`.
 */
export function withContext<T>(context: string, call: () => Promise<T>): Promise<T>;
export function withContext<T>(context: string, call: () => T): T;
export function withContext<T>(context: string, call: () => Answer<T>): Answer<T> {
  let answer: Answer<T>;
  try {
    answer = call();
  } catch (error) {
    throw errorWithErrno(asBlockError(error).errno, context);
  }
  if (!isPromise(answer)) return answer;
  return answer.catch((error: unknown) => {
    throw errorWithErrno(asBlockError(error).errno, context);
  });
}

/** Runs `steps`; their failure gets the text `context: strerror`. */
export function* stepsWithContext<T>(context: string, steps: Steps<T>): Steps<T> {
  try {
    return yield* steps;
  } catch (error) {
    throw errorWithErrno(asBlockError(error).errno, context);
  }
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

/**
 * A part of the program, by `load`, an `import()`. EIO if its file cannot be read: while a session runs the program may
 * be moved, or be replaced by another version. `name` is what the message calls the part.
 */
export async function loadPart<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw new BlockError(Errno.EIO, `the program cannot load ${name}: ${loadProblem(error)}`);
  }
}

/** Why a file of the program was not loaded: no more can be opened, as the host says it, or it has gone. */
function loadProblem(error: unknown): string {
  try {
    return strerror(hostErrno(error));
  } catch {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return reason;
  }
}
