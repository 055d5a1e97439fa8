/** Reads of data: the options and the report that `read`, `readv` and `aio_read` share. */
import { Errno } from '../../util/errno.ts';
import { hexDump } from '../../util/hex-dump.ts';
import { isFilledWith } from '../../util/pattern.ts';
import { type Answer, type Pending, run, type Steps } from '../../util/steps.ts';
import { CommandFailure } from '../failure.ts';
import { printDone } from '../output/request-report.ts';
import type { SessionState } from '../session-state.ts';
import { patternArgument, type Size } from '../words/arguments.ts';
import { flag, setting } from '../words/option-table.ts';
import type { Request } from './run-request.ts';

/** Bytes between two turns of Node. */
const COMPARED_AT_ONCE = 16 << 20;

export const dump = flag('v', 'dump the data in hexadecimal and text');
export const expectedPattern = setting('P', 'pattern', 'fail unless every byte has this value', patternArgument);

/** How a read is reported. */
export interface ReadOptions {
  readonly terse: boolean;
  readonly quiet: boolean;
  readonly dump: boolean;
  /** The value that every byte must have; null: any. */
  readonly pattern: number | null;
}

/** The part of the data that is compared with the pattern, in bytes from its start. */
export interface ComparedRange {
  readonly from: number;
  readonly count: number;
}

interface ReadPlace {
  readonly name: string;
  readonly offset: Size;
  readonly bytes: number;
  readonly vmState?: boolean;
}

/** A read of `bytes` bytes; `vmState` reads what lies behind the guest's data. */
export function readRequest(
  session: SessionState,
  place: ReadPlace,
  options: ReadOptions,
  compared: ComparedRange = { from: 0, count: place.bytes },
): Request {
  const { image } = session;
  const { name, offset, bytes } = place;
  const position = Number(offset);
  // Only drivers that read nothing (null) leave the filling there to be seen.
  const lease = session.readBuffers.lease(bytes, 0xab);
  const { data } = lease;
  return {
    name,
    lease,
    begin: () => (place.vmState === true ? image.loadVmState(position, data) : image.pread(position, data)),
    done: (ns, breathe) => reportRead(session, { place, data, options, compared }, ns, breathe),
  };
}

/** A read, its data, and how it is reported. */
interface DoneRead {
  readonly place: ReadPlace;
  readonly data: Buffer;
  readonly options: ReadOptions;
  readonly compared: ComparedRange;
}

/** Steps are needed for what takes long: a dump, or the comparison of much data. */
function reportRead(session: SessionState, read: DoneRead, ns: number, breathe: () => Pending): Pending {
  const { options, data, compared } = read;
  const { from, count } = compared;
  const agrees = options.pattern === null || holds(data, options.pattern, from, from + count, breathe);
  if (typeof agrees !== 'boolean' || (options.dump && !options.quiet)) {
    return run(reportLongRead(session, read, agrees, ns, breathe));
  }
  complain(session, read, agrees);
  endRead(session, read, agrees, ns);
  return undefined;
}

function* reportLongRead(
  session: SessionState,
  read: DoneRead,
  agrees: Answer<boolean>,
  ns: number,
  breathe: () => Pending,
): Steps<void> {
  const isRight: boolean = yield agrees;
  complain(session, read, isRight);
  const { options, data, place } = read;
  if (options.dump && !options.quiet) {
    for (const piece of hexDump(data, Number(place.offset))) {
      session.output.stdout(piece);
      yield breathe();
    }
  }
  endRead(session, read, isRight, ns);
}

/** Says where data differs from the pattern, if it does. */
function complain({ output }: SessionState, { place, compared }: DoneRead, isRight: boolean): void {
  if (isRight) return;
  const where = BigInt(place.offset) + BigInt(compared.from);
  output.stdout(`Pattern verification failed at offset ${where}, ${compared.count} bytes\n`);
}

/** Prints the time of a read; its data being wrong is the failure of the command. */
function endRead(session: SessionState, { place, options }: DoneRead, isRight: boolean, ns: number): void {
  const { offset, bytes } = place;
  if (!options.quiet) printDone(session, { verb: 'read', offset, bytes, terse: options.terse }, ns);
  if (!isRight) throw new CommandFailure(Errno.EINVAL);
}

/** Whether all bytes from `start` to `end` are `byte`. */
function holds(data: Buffer, byte: number, start: number, end: number, breathe: () => Pending): Answer<boolean> {
  if (end - start <= COMPARED_AT_ONCE) return isFilledWith(data, byte, start, end);
  return run(holdsInPieces(data, byte, start, end, breathe));
}

function* holdsInPieces(
  data: Buffer,
  byte: number,
  start: number,
  end: number,
  breathe: () => Pending,
): Steps<boolean> {
  for (let at = start; at < end; at += COMPARED_AT_ONCE) {
    if (!isFilledWith(data, byte, at, Math.min(end, at + COMPARED_AT_ONCE))) return false;
    yield breathe();
  }
  return true;
}
