/** Reads of data: the options, the request and the report that `read`, `readv` and `aio_read` share. */
import { Errno } from '../../util/errno.ts';
import { hexDump } from '../../util/hex-dump.ts';
import { isFilledWith } from '../../util/pattern.ts';
import { type Answer, type Pending, run, type Steps } from '../../util/steps.ts';
import type { Lease } from '../data/buffer-pool.ts';
import { CommandFailure } from '../failure.ts';
import { printDone, type ReportOptions } from '../output/request-report.ts';
import type { SessionState } from '../session-state.ts';
import { patternArgument, type Size } from '../words/arguments.ts';
import { flag, setting } from '../words/option-table.ts';
import type { Breathe, Request } from './run-request.ts';

/** Bytes between two turns of Node. */
const COMPARED_AT_ONCE = 16 << 20;

export const dump = flag('v', 'dump the data in hexadecimal and text');
export const expectedPattern = setting('P', 'pattern', 'fail unless every byte has this value', patternArgument);

/** How a read is reported. */
export interface ReadOptions extends ReportOptions {
  readonly dump: boolean;
}

/** The part of the data, in bytes from its start, that must be all `byte`. */
export interface Comparison {
  readonly byte: number;
  readonly from: number;
  readonly count: number;
}

interface ReadPlace {
  readonly name: string;
  readonly offset: Size;
  readonly bytes: number;
  /** The read is of the VM state, which lies behind the guest's data. */
  readonly vmState?: boolean;
}

/** The comparison of all bytes with `pattern`; null for no pattern. */
export function compareAll(pattern: number | null, bytes: number): Comparison | null {
  return pattern === null ? null : { byte: pattern, from: 0, count: bytes };
}

/** A read and its report. */
export class ReadRequest implements Request {
  readonly place: ReadPlace;
  readonly options: ReadOptions;
  readonly comparison: Comparison | null;
  readonly lease: Lease;
  startNs: number;

  /** `comparison` is null where the data may be anything. */
  constructor(session: SessionState, place: ReadPlace, options: ReadOptions, comparison: Comparison | null) {
    this.place = place;
    this.options = options;
    this.comparison = comparison;
    // Only drivers that read nothing (null) leave the filling there to be seen.
    this.lease = session.readBuffers.lease(place.bytes, 0xab);
    this.startNs = 0;
  }

  begin({ image }: SessionState): Pending {
    const { offset, vmState } = this.place;
    const { data } = this.lease;
    return vmState === true ? image.loadVmState(Number(offset), data) : image.pread(Number(offset), data);
  }

  /** Steps are needed for what takes long, a dump or the comparison of much data, and for a failure. */
  done(session: SessionState, ns: number, breathe: Breathe): Pending {
    const { place, options, comparison } = this;
    const agrees = comparison === null || holds(session, this.lease.data, comparison, breathe);
    if (agrees !== true || (options.dump && !options.quiet)) return run(reportData(session, this, agrees, ns, breathe));
    printDone(session, 'read', place, options, ns);
    return undefined;
  }
}

/** Reports a read with its data: where that is wrong, which is the failure of the command, and a dump of it. */
function* reportData(
  session: SessionState,
  { place, options, comparison, lease }: ReadRequest,
  agrees: Answer<boolean>,
  ns: number,
  breathe: Breathe,
): Steps<void> {
  const { output } = session;
  const isRight: boolean = yield agrees;
  if (comparison !== null && !isRight) {
    const where = BigInt(place.offset) + BigInt(comparison.from);
    output.stdout(`Pattern verification failed at offset ${where}, ${comparison.count} bytes\n`);
  }
  if (options.dump && !options.quiet) {
    for (const piece of hexDump(lease.data, Number(place.offset))) {
      output.stdout(piece);
      yield breathe(session);
    }
  }
  printDone(session, 'read', place, options, ns);
  if (!isRight) throw new CommandFailure(Errno.EINVAL);
}

/** Whether the data is what it is compared with. */
function holds(
  session: SessionState,
  data: Buffer,
  { byte, from, count }: Comparison,
  breathe: Breathe,
): Answer<boolean> {
  if (count <= COMPARED_AT_ONCE) return isFilledWith(data, byte, from, from + count);
  return run(holdsInPieces(session, data.subarray(from, from + count), byte, breathe));
}

function* holdsInPieces(session: SessionState, data: Buffer, byte: number, breathe: Breathe): Steps<boolean> {
  for (let at = 0; at < data.length; at += COMPARED_AT_ONCE) {
    if (!isFilledWith(data, byte, at, Math.min(data.length, at + COMPARED_AT_ONCE))) return false;
    yield breathe(session);
  }
  return true;
}
