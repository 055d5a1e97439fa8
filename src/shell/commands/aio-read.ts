/** `aio_read`: starts a read and goes on. */
import type { Pending } from '../../util/steps.ts';
import type { Command } from '../command.ts';
import { isInvalid, offsetAndVector, quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { compareAll, dump, ReadRequest } from '../requests/reading.ts';
import { startRequest } from '../requests/run-request.ts';
import type { SessionState } from '../session-state.ts';
import { patternArgument } from '../words/arguments.ts';
import { OptionTable, setting } from '../words/option-table.ts';

const options = new OptionTable({
  terse,
  isInvalid,
  pattern: setting('P', 'pattern', 'complain unless every byte has this value', patternArgument),
  quiet,
  registered,
  dump,
});

export const aioRead = {
  name: 'aio_read',
  args: 'off len [len..]',
  oneline: 'asynchronously reads a number of bytes',
  ...rangeCommand,
  options,
  help: [
    'Starts a read of as many bytes as all lengths together, and does not wait for it. Its report comes when it',
    'ends; aio_flush waits for that. Once started the command counts as done, whatever becomes of the read.',
    '  aio_read -v 512 1k    dumps the second and third sector when they are there',
  ],
  run: runAioRead,
} satisfies Command;

function runAioRead(session: SessionState, argv: string[]): Pending {
  const parsed = options.parse(session, argv);
  if (parsed.options.isInvalid) {
    session.output.stdout('injecting invalid read request\n');
    return undefined;
  }
  const { offset, bytes } = offsetAndVector(session, parsed.words.operands);
  // In its complaint qemu-io says readv.
  const place = { name: 'readv', offset, bytes };
  const request = new ReadRequest(session, place, parsed.options, compareAll(parsed.options.pattern, bytes));
  return startRequest(session, { operation: 'aio_read', offset: Number(offset), bytes }, request);
}
