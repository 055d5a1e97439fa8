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
  /** `name` is what it is called in the complaint about its failure: "`name` failed: …". */
  readonly place: { readonly name: string };
  /** Its data; released when the request has reported. */
  readonly lease: Lease | null;
  /** When it began, in the loop's clock; the one that runs it sets it. */
  startNs: number;
  begin(session: SessionState): Pending;
  /**
   * Reports success after `ns` nanoseconds; calls `breathe` again and again if there is much to say. Throws
   * `CommandFailure` if the data is not what was asked for.
   */
  done(session: SessionState, ns: number, breathe: Breathe): Pending;
}

/** Gives Node a turn if that is due. */
export type Breathe = (session: SessionState) => Pending;

const breathe: Breathe = ({ loop }) => loop.breathe();
/** A request in the background reports between two others, without a turn of Node. */
const holdBreath: Breathe = () => undefined;

/** A request with more data shows how far it has come. */
const LONG_BYTES = 2 ** 30;

/** Runs a request to its end; one that had to wait reports after the turn of the loop in which it ended. */
export function runRequest(session: SessionState, request: Request): Outcome {
  const { lease } = request;
  const isLong = lease !== null && lease.data.length > LONG_BYTES;
  if (isLong) session.transfer.show(request.place.name, lease.data.length);
  let pending: Pending;
  let failure: unknown;
  try {
    pending = begin(session, request);
  } catch (error) {
    failure = error;
  }
  if (pending !== undefined) return reportAfter(session, request, pending);
  if (isLong) session.transfer.hide();
  return report(session, request, failure, breathe);
}

/** The report of a request that waits, once it has ended. */
async function reportAfter(session: SessionState, request: Request, pending: Promise<void>): Promise<Report> {
  let failure: unknown;
  try {
    await pending;
  } catch (error) {
    failure = error;
  }
  session.transfer.hide();
  return () => report(session, request, failure, breathe);
}

/** Begins a request as soon as its data is there. */
function begin(session: SessionState, request: Request): Pending {
  const { lease } = request;
  if (lease !== null && lease.unfilledBytes > 0) return run(fillAndBegin(session, request, lease));
  request.startNs = session.loop.clock.nowNs();
  return request.begin(session);
}

function* fillAndBegin(session: SessionState, request: Request, lease: Lease): Steps<void> {
  yield* lease.fill(() => breathe(session));
  request.startNs = session.loop.clock.nowNs();
  yield request.begin(session);
}

/** Reports success, or the failure that `error` is; what is reported as a failure is thrown. */
function report(session: SessionState, request: Request, error: unknown, breatheBetween: Breathe): Pending {
  let reporting: Pending;
  try {
    if (error !== undefined) throw new CommandFailure(printFailure(session, request.place.name, error));
    reporting = request.done(session, session.loop.clock.nowNs() - request.startNs, breatheBetween);
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
  return session.background.start(
    { ...label, isAsynchronous: true },
    () => begin(session, request),
    (error) => {
      try {
        void report(session, request, error, holdBreath);
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
