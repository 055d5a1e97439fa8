/** `aio_write`: starts a write and goes on. */
import { Perm } from '../../block/flags.ts';
import type { Pending } from '../../util/steps.ts';
import type { Command } from '../command.ts';
import { isInvalid, offsetAndVector, quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { startRequest } from '../requests/run-request.ts';
import {
  DEFAULT_PATTERN,
  forceUnitAccess,
  mayUnmap,
  pattern,
  requestFlags,
  refuseRegisteredZeroes,
  WriteRequest,
  zeroes,
} from '../requests/writing.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';
import { OptionTable } from '../words/option-table.ts';

const options = new OptionTable({
  terse,
  forceUnitAccess,
  isInvalid,
  quiet,
  registered,
  mayUnmap,
  zeroes,
  pattern,
});

export const aioWrite = {
  name: 'aio_write',
  args: 'off len [len..]',
  oneline: 'asynchronously writes a number of bytes',
  ...rangeCommand,
  perm: Perm.WRITE,
  options,
  help: [
    'Starts a write of as many bytes as all lengths together, and does not wait for it. Its report comes when it',
    'ends; aio_flush waits for that. Once started the command counts as done, whatever becomes of the write.',
    '  aio_write -P 1 512 1k    begins to fill the second and third sector',
  ],
  run: runAioWrite,
} satisfies Command;

function runAioWrite(session: SessionState, argv: string[]): Pending {
  const parsed = options.parse(session, argv);
  if (parsed.options.isInvalid) {
    session.output.stdout('injecting invalid write request\n');
    return undefined;
  }
  const [offsetText, lengthText, ...more] = parsed.words.operands;
  if (offsetText === undefined || lengthText === undefined) throw usage();
  const isZeroes = parsed.options.zeroes;
  if (isZeroes && more.length > 0) throw refuse(session, '-z supports only a single length parameter');
  if (parsed.options.mayUnmap && !isZeroes) throw refuse(session, '-u requires -z to be specified');
  refuseRegisteredZeroes(session, parsed.options);

  const { offset, bytes } = isZeroes
    ? { offset: sizeArgument(session, offsetText), bytes: sizeArgument(session, lengthText) }
    : offsetAndVector(session, parsed.words.operands);
  const lease = isZeroes ? null : session.writeBuffers.lease(Number(bytes), parsed.options.pattern ?? DEFAULT_PATTERN);
  const flags = requestFlags(parsed.options);
  const place = { name: 'aio_write', offset, bytes, lease, flags, target: 'guest' } as const;
  const label = { operation: isZeroes ? 'aio_write -z' : 'aio_write', offset: Number(offset), bytes: Number(bytes) };
  return startRequest(session, label, new WriteRequest(place, parsed.options));
}
