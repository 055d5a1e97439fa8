/** How a command fails: after it has said why, with an errno for the exit status. */
import type { BlockError } from '../block/error.ts';
import { Errno } from '../util/errno.ts';
import type { SessionState } from './session-state.ts';

/** A command that failed and has said so; `errno` is positive. It carries no stack: it is part of normal work. */
export class CommandFailure extends Error {
  readonly errno: number;
  /** The usage line has to be printed. */
  readonly wantsUsage: boolean;
  /** Says on a terminal what may have been meant, behind everything else. */
  readonly hint: (() => void) | null;

  constructor(errno: number, wantsUsage = false, hint: (() => void) | null = null) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`command failed: errno ${errno}`);
    Error.stackTraceLimit = limit;
    this.name = 'CommandFailure';
    this.errno = errno;
    this.wantsUsage = wantsUsage;
    this.hint = hint;
  }
}

/** The failure that makes the usage line of the command be printed, and then the hint. */
export function usage(hint: (() => void) | null = null): CommandFailure {
  return new CommandFailure(Errno.EINVAL, true, hint);
}

/** Says an error, `prefix` before it; on a terminal also in which line of a file of the user's it is. */
export function sayError(session: SessionState, { message, place }: BlockError, prefix = ''): void {
  session.error(prefix + message);
  if (place !== null) session.hint(`at ${place}`);
}

/** Says an error, and a hint behind it; the failure is for the caller to throw. */
export function hinted(session: SessionState, error: BlockError, hint: () => void): CommandFailure {
  sayError(session, error);
  return new CommandFailure(error.errno, false, hint);
}

/** Prints a complaint on standard output; the failure is for the caller to throw. */
export function refuse({ output }: SessionState, text: string, errno: number = Errno.EINVAL): CommandFailure {
  output.stdout(`${text}\n`);
  return new CommandFailure(errno);
}
