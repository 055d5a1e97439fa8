/** `readv`: reads a range into several buffers. */
import type { Command, Outcome } from '../command.ts';
import { offsetAndVector, quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { compareAll, dump, expectedPattern, ReadRequest } from '../requests/reading.ts';
import { runRequest } from '../requests/run-request.ts';
import type { SessionState } from '../session-state.ts';
import { OptionTable } from '../words/option-table.ts';

const options = new OptionTable({ terse, pattern: expectedPattern, quiet, registered, dump });

export const readv = {
  name: 'readv',
  args: 'off len [len..]',
  oneline: 'reads a number of bytes at a specified offset',
  ...rangeCommand,
  options,
  help: [
    'Reads as many bytes as all lengths together, in one request at offset off.',
    '  readv -v 512 1k 1k    dumps 2 KiB from the second sector on',
  ],
  run: runReadv,
} satisfies Command;

function runReadv(session: SessionState, argv: string[]): Outcome {
  const parsed = options.parse(session, argv);
  const place = { name: 'readv', ...offsetAndVector(session, parsed.words.operands) };
  const comparison = compareAll(parsed.options.pattern, place.bytes);
  return runRequest(session, new ReadRequest(session, place, parsed.options, comparison));
}
