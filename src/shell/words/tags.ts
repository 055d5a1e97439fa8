/** Tags of breakpoints and suspended requests: which there are, and how a command on one fails. */
import { DELAY_TAG, findDebugPort, type SuspendedRequest } from '../../block/debug/port.ts';
import { BlockError, errnoOf } from '../../block/error.ts';
import { requestName } from '../../util/compact.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from './closest.ts';

/** Tags that a breakpoint is armed with, or a request is suspended under. */
export function liveTags(session: SessionState): string[] {
  const port = session.backend === null ? undefined : findDebugPort(session.top);
  if (port === undefined) return [];
  const tags = new Set(port.suspended().map((request) => request.tag));
  for (const tag of [...session.tags, DELAY_TAG]) if (port.isArmed(tag) || port.isSuspended(tag)) tags.add(tag);
  return [...tags];
}

/**
 * The request that a word means by its name ("w5"), where lines may hold what qemu-io does not know and no request is
 * suspended under it as a tag; undefined if it means none.
 */
export function namedSuspended(session: SessionState, word: string): SuspendedRequest | undefined {
  const port = findDebugPort(session.top);
  if (!session.acceptsExtensions || port === undefined || port.isSuspended(word)) return undefined;
  return port.suspended().find(({ operation, request }) => requestName(operation, request) === word);
}

/** The one request that is suspended. ENOENT if none is, EINVAL if there are several. */
export function onlySuspended(session: SessionState): SuspendedRequest {
  const suspended = findDebugPort(session.top)?.suspended() ?? [];
  const [only, ...others] = suspended;
  if (only === undefined) throw new BlockError(Errno.ENOENT, 'no request is suspended');
  if (others.length === 0) return only;
  const tags = [...new Set(suspended.map(({ tag }) => tag))].toReversed().join(', ');
  throw new BlockError(Errno.EINVAL, `${suspended.length} requests are suspended; say which: ${tags}`);
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** A tag that no breakpoint, no suspended request and no `on` has: A to Z, then A1 and so on. */
export function freeTag(session: SessionState): string {
  const taken = new Set([...liveTags(session), ...(session.stops?.onTag.keys() ?? [])]);
  for (let round = 0; ; round++) {
    for (const letter of LETTERS) {
      const tag = round === 0 ? letter : `${letter}${round}`;
      if (!taken.has(tag)) return tag;
    }
  }
}

/**
 * Runs the work of a command on a tag, or on all for null. Its failure is printed as "`complaint`: …", with a hint on a
 * terminal: `explanation`, or which tag may have been meant.
 */
export async function runOnTag(
  session: SessionState,
  tag: string | null,
  complaint: string,
  body: () => Promise<void>,
  explanation?: string,
): Promise<void> {
  try {
    await body();
  } catch (error) {
    const errno = errnoOf(error);
    session.output.stdout(`${complaint}: ${strerror(errno)}\n`);
    if (errno === Errno.ENOENT && explanation !== undefined) session.hint(explanation);
    else if (errno === Errno.ENOENT && tag !== null) hintTag(session, tag);
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
