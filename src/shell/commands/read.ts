/** `read`: reads a range, checks it against a pattern, dumps it. */
import type { Command, Outcome } from '../command.ts';
import { quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { type Comparison, dump, expectedPattern, ReadRequest } from '../requests/reading.ts';
import { runRequest } from '../requests/run-request.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { lengthArgument, requireSector, sizeArgument, twoOperands } from '../words/arguments.ts';
import { flag, OptionTable, setting, type ValuesOf } from '../words/option-table.ts';

const options = new OptionTable({
  vmState: flag('b', "read the VM state that lies behind the guest's data"),
  terse,
  compareBytes: setting('l', 'len', 'with -P: how many bytes to compare', sizeArgument),
  ignored: flag('p', 'ignored, for old scripts'),
  pattern: expectedPattern,
  quiet,
  registered,
  compareOffset: setting('s', 'off', 'with -P: where in the data to begin to compare', sizeArgument),
  dump,
});

export const read = {
  name: 'read',
  aliases: ['r'],
  usage: (compat) => `[-abCq${compat.has('registeredBuffers') ? 'r' : ''}v] [-P pattern [-s off] [-l len]] off len`,
  oneline: 'reads a number of bytes at a specified offset',
  ...rangeCommand,
  options,
  help: [
    'Reads len bytes at offset off of the image, and reports how long that took.',
    '  read -v 512 1k        dumps the second and third sector',
    '  read -P 0xaa 0 64k    checks that the first 64 KiB hold 0xaa',
  ],
  run: runRead,
} satisfies Command;

function runRead(session: SessionState, argv: string[]): Outcome {
  const parsed = options.parse(session, argv);
  const operands = twoOperands(parsed.words);
  const offset = sizeArgument(session, operands[0]);
  const bytes = lengthArgument(session, operands[1]);
  const comparison = comparisonOf(session, parsed.options, bytes);
  const { vmState } = parsed.options;
  if (vmState) {
    requireSector(session, offset, 'offset');
    requireSector(session, bytes, 'count');
    if (parsed.options.registered) {
      throw refuse(session, 'I/O buffer registration is not supported when reading from vmstate');
    }
  }
  const place = { name: 'read', offset, bytes, vmState };
  return runRequest(session, new ReadRequest(session, place, parsed.options, comparison));
}

/** The part of the data that is compared with the pattern; null if there is none. */
function comparisonOf(
  session: SessionState,
  { pattern, compareOffset, compareBytes }: ValuesOf<typeof options>,
  bytes: number,
): Comparison | null {
  if (pattern === null) {
    if (compareOffset !== null || compareBytes !== null) throw usage();
    return null;
  }
  // Values too large for a plain number are far behind the end of the data, whatever they are exactly.
  const from = compareOffset === null ? 0 : Number(compareOffset);
  const count = compareBytes === null ? bytes - from : Number(compareBytes);
  if (count < 0 || from + count > bytes) {
    throw refuse(session, 'pattern verification range exceeds end of read data');
  }
  return { byte: pattern, from, count };
}
