/** How a command fails: after it has said why, with an errno for the exit status. */
import { Errno } from '../util/errno.ts';
import type { SessionState } from './session-state.ts';

/** A command that failed and has said so; `errno` is positive. It carries no stack: it is part of normal work. */
export class CommandFailure extends Error {
  readonly errno: number;
  /** The usage line has to be printed. */
  readonly wantsUsage: boolean;

  constructor(errno: number, wantsUsage = false) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`command failed: errno ${errno}`);
    Error.stackTraceLimit = limit;
    this.name = 'CommandFailure';
    this.errno = errno;
    this.wantsUsage = wantsUsage;
  }
}

/** The failure that makes the usage line of the command be printed. */
export function usage(): CommandFailure {
  return new CommandFailure(Errno.EINVAL, true);
}

/** Prints a complaint on standard output; the failure is for the caller to throw. */
export function refuse({ output }: SessionState, text: string, errno: number = Errno.EINVAL): CommandFailure {
  output.stdout(`${text}\n`);
  return new CommandFailure(errno);
}
