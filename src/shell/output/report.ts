/** What a request reports when it is done: its size, its time, its rate. */
import { strerror } from '../../util/errno.ts';
import { formatDuration, formatFixed, formatSize } from '../../util/format.ts';
import type { Pending } from '../../util/steps.ts';
import { errnoOf } from '../../block/error.ts';
import type { Size } from '../words/arguments.ts';
import type { Lease } from '../data/buffer-pool.ts';
import { CommandFailure, type Outcome, type Report } from '../command.ts';
import type { Session } from '../session.ts';

/**
 * Prints what a request did. `verb` is "read", "wrote" or "discard"; `ns` how long it took. The terse form is one line
 * of bytes, operations, time, and rates, for programs.
 */
export function report(session: Session, verb: string, offset: Size, bytes: Size, ns: number, terse: boolean): void {
  const time = formatDuration(ns, terse);
  const seconds = ns / 1e9;
  const bytesPerSecond = Number(bytes) / seconds;
  const opsPerSecond = 1 / seconds;
  if (terse) {
    session.output.stdout(`${bytes},1,${time},${formatFixed(bytesPerSecond, 3)},${formatFixed(opsPerSecond, 3)}\n`);
    return;
  }
  if (bytes !== reportedBytes) rememberSize(bytes);
  const rates = `${formatSize(bytesPerSecond)}/sec and ${formatFixed(opsPerSecond, 4)} ops/sec`;
  session.output.stdout(`${verb} ${countText} bytes at offset ${offset}\n${sizeText}, 1 ops; ${time} (${rates})\n`);
}

/** The size that was reported last, as text: scripts are full of requests of one size. */
let reportedBytes: Size = -1;
let countText = '';
let sizeText = '';

function rememberSize(bytes: Size): void {
  reportedBytes = bytes;
  countText = `${bytes}/${bytes}`;
  sizeText = formatSize(Number(bytes));
}

/** Prints "`what` failed: …" for what a request threw; its errno. */
export function printRequestFailure(session: Session, what: string, error: unknown): number {
  const errno = errnoOf(error);
  session.output.stdout(`${what} failed: ${strerror(errno)}\n`);
  return errno;
}

/** As `printRequestFailure`; the failure of the command is for the caller to throw. */
function requestFailed(session: Session, what: string, error: unknown): CommandFailure {
  return new CommandFailure(printRequestFailure(session, what, error));
}

/** Requests with more data show how far they have come. */
const LONG_BYTES = 2 ** 30;

/**
 * Does the request of a command: `begin` starts it; `done` is called with its nanoseconds when it has succeeded, and may
 * throw. A failure is printed as that of `what`. The lease is released in every case.
 */
export function timedRequest(
  session: Session,
  what: string,
  lease: Lease | null,
  begin: () => Pending,
  done: (ns: number) => void,
): Outcome {
  const { clock } = session.loop;
  const isLong = lease !== null && lease.data.length > LONG_BYTES;
  if (isLong) session.showTransfer(what, lease.data.length);
  const start = clock.nowNs();
  let pending: Pending;
  try {
    pending = begin();
  } catch (error) {
    if (isLong) session.hideTransfer();
    lease?.release();
    throw requestFailed(session, what, error);
  }
  if (pending !== undefined) return timedRest(session, what, lease, pending, start, done);
  if (isLong) session.hideTransfer();
  try {
    done(clock.nowNs() - start);
  } finally {
    lease?.release();
  }
  return undefined;
}

async function timedRest(
  session: Session,
  what: string,
  lease: Lease | null,
  pending: Promise<void>,
  start: number,
  done: (ns: number) => void,
): Promise<Report> {
  let finish = (): void => done(session.loop.clock.nowNs() - start);
  try {
    await pending;
    session.hideTransfer();
  } catch (error) {
    finish = () => {
      throw requestFailed(session, what, error);
    };
  }
  return () => {
    try {
      finish();
    } finally {
      lease?.release();
    }
  };
}
