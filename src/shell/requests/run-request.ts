/** Runs the request of a command, timed: at once, or in the background. */
import { errnoOf } from '../../block/error.ts';
import type { RequestLabel } from '../../block/loop/loop.ts';
import { strerror } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
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
  /**
   * Reports success after `ns` nanoseconds; calls `breathe` again and again if there is much to say. Throws
   * `CommandFailure` if the data is not what was asked for.
   */
  done(ns: number, breathe: () => Pending): Pending;
}

/** A request with more data shows how far it has come. */
const LONG_BYTES = 2 ** 30;

/** Runs a request to its end; one that had to wait reports after the turn of the loop in which it ended. */
export function runRequest(session: SessionState, request: Request): Outcome {
  const { lease } = request;
  if (lease !== null && lease.data.length > LONG_BYTES) session.transfer.show(request.name, lease.data.length);
  const timed = { request, startNs: 0 };
  let pending: Pending;
  let failure: unknown;
  try {
    pending = begin(session, timed);
  } catch (error) {
    failure = error;
  }
  if (pending !== undefined) return reportAfter(session, timed, pending);
  session.transfer.hide();
  return report(session, timed, failure, () => session.loop.breathe());
}

/** The report of a request that waits, once it has ended. */
async function reportAfter(session: SessionState, timed: TimedRequest, pending: Promise<void>): Promise<Report> {
  let failure: unknown;
  try {
    await pending;
  } catch (error) {
    failure = error;
  }
  session.transfer.hide();
  return () => report(session, timed, failure, () => session.loop.breathe());
}

/** A request, and when it began. */
interface TimedRequest {
  readonly request: Request;
  startNs: number;
}

/** Begins a request as soon as its data is there. */
function begin(session: SessionState, timed: TimedRequest): Pending {
  const { request } = timed;
  if (request.lease !== null && !request.lease.isFilled) return run(fillAndBegin(session, timed, request.lease));
  timed.startNs = session.loop.clock.nowNs();
  return request.begin();
}

function* fillAndBegin(session: SessionState, timed: TimedRequest, lease: Lease): Steps<void> {
  yield* lease.fill(() => session.loop.breathe());
  timed.startNs = session.loop.clock.nowNs();
  yield timed.request.begin();
}

/** Reports success, or the failure that `error` is; what is reported as a failure is thrown. */
function report(
  session: SessionState,
  { request, startNs }: TimedRequest,
  error: unknown,
  breathe: () => Pending,
): Pending {
  let reporting: Pending;
  try {
    if (error !== undefined) throw new CommandFailure(printFailure(session, request.name, error));
    reporting = request.done(session.loop.clock.nowNs() - startNs, breathe);
  } catch (failure) {
    request.lease?.release();
    throw failure;
  }
  if (reporting !== undefined) return run(releaseAfter(request, reporting));
  request.lease?.release();
  return undefined;
}

function* releaseAfter({ lease }: Request, reporting: Promise<void>): Steps<void> {
  try {
    yield reporting;
  } finally {
    lease?.release();
  }
}

/** Starts a request and returns; it reports when it ends, and its failure does not count as the command's. */
export function startRequest(session: SessionState, label: RequestLabel, request: Request): Pending {
  const timed = { request, startNs: 0 };
  return session.background.start(
    { ...label, isAsynchronous: true },
    () => begin(session, timed),
    (error) => {
      try {
        // It reports between two others, without a turn of Node.
        void report(session, timed, error, () => undefined);
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
