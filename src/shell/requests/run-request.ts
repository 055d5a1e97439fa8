/** Runs the request of a command, timed: at once, or in the background. */
import { errnoOf } from '../../block/error.ts';
import type { RequestLabel } from '../../block/loop/loop.ts';
import { strerror } from '../../util/errno.ts';
import type { Pending } from '../../util/steps.ts';
import type { Outcome, Report } from '../command.ts';
import type { Lease } from '../data/buffer-pool.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

/** A request with its report. */
export interface Request {
  /** The name of the request in the complaint about its failure: "`name` failed: …". */
  readonly name: string;
  /** Its data; released when the request has reported. */
  readonly lease: Lease | null;
  begin(): Pending;
  /** Reports success after `ns` nanoseconds. Throws `CommandFailure` if the data is not what was asked for. */
  done(ns: number): void;
}

/** A request with more data shows how far it has come. */
const LONG_BYTES = 2 ** 30;

/** Runs a request to its end; one that had to wait reports after the turn of the loop in which it ended. */
export function runRequest(session: SessionState, request: Request): Outcome {
  const { lease } = request;
  if (lease !== null && lease.data.length > LONG_BYTES) session.transfer.show(request.name, lease.data.length);
  const start = session.loop.clock.nowNs();
  let pending: Pending;
  let failure: unknown;
  try {
    pending = request.begin();
  } catch (error) {
    failure = error;
  }
  if (pending !== undefined) return reportAfter(session, request, start, pending);
  session.transfer.hide();
  report(session, request, start, failure);
  return undefined;
}

/** The report of a request that waits, once it has ended. */
async function reportAfter(
  session: SessionState,
  request: Request,
  startNs: number,
  pending: Promise<void>,
): Promise<Report> {
  let failure: unknown;
  try {
    await pending;
  } catch (error) {
    failure = error;
  }
  session.transfer.hide();
  return () => report(session, request, startNs, failure);
}

/** Reports success, or the failure that `error` is; what is reported as a failure is thrown. */
function report(session: SessionState, request: Request, startNs: number, error: unknown): void {
  try {
    if (error !== undefined) throw new CommandFailure(printFailure(session, request.name, error));
    request.done(session.loop.clock.nowNs() - startNs);
  } finally {
    request.lease?.release();
  }
}

/** Starts a request and returns; it reports when it ends, and its failure does not count as the command's. */
export function startRequest(session: SessionState, label: RequestLabel, request: Request): Pending {
  const start = session.loop.clock.nowNs();
  return session.background.start(
    label,
    () => request.begin(),
    (error) => {
      try {
        report(session, request, start, error);
      } catch (failure) {
        if (!(failure instanceof CommandFailure)) throw failure;
      }
    },
  );
}

/** Prints "`name` failed: …" for what a request threw; its errno. */
function printFailure({ output }: SessionState, name: string, error: unknown): number {
  const errno = errnoOf(error);
  output.stdout(`${name} failed: ${strerror(errno)}\n`);
  return errno;
}
