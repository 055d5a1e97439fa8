/** Tags of breakpoints and suspended requests: which there are, and how a command on one fails. */
import { findDebugPort } from '../../block/debug/port.ts';
import { errnoOf } from '../../block/error.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from './closest.ts';

/** Tags that a breakpoint is armed with, or a request is suspended under. */
export function liveTags(session: SessionState): string[] {
  const port = session.backend === null ? undefined : findDebugPort(session.top);
  if (port === undefined) return [];
  const tags = new Set(port.suspended().map((request) => request.tag));
  for (const tag of session.tags) if (port.isArmed(tag) || port.isSuspended(tag)) tags.add(tag);
  return [...tags];
}

/**
 * Runs the work of a command on a tag, or on all for null. Its failure is printed as "`complaint`: …", with a hint on a
 * terminal.
 */
export async function runOnTag(
  session: SessionState,
  tag: string | null,
  complaint: string,
  body: () => Promise<void>,
): Promise<void> {
  try {
    await body();
  } catch (error) {
    const errno = errnoOf(error);
    session.output.stdout(`${complaint}: ${strerror(errno)}\n`);
    if (errno === Errno.ENOENT && tag !== null) hintTag(session, tag);
    else if (errno === Errno.ENOENT) session.hint('no request is suspended');
    throw new CommandFailure(errno);
  }
}

/** Says on a terminal which tag may have been meant, or that there is none. */
export function hintTag(session: SessionState, tag: string): void {
  const tags = liveTags(session);
  if (tags.length === 0) session.hint('no breakpoint is set and no request is suspended');
  else hintClosest(session, tag, tags);
}
