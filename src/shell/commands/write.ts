/** `write`: writes a pattern, a file's content, zeroes, compressed data or VM state. */
import { Perm, REQUEST_MAX_BYTES, Req } from '../../block/flags.ts';
import type { Command, Outcome } from '../command.ts';
import { leaseFromFile } from '../data/pattern-file.ts';
import { quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { runRequest } from '../requests/run-request.ts';
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
import { refuse } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { requireSector, sizeArgument, twoOperands } from '../words/arguments.ts';
import { flag, OptionTable, textSetting, type ValuesOf } from '../words/option-table.ts';

const options = new OptionTable({
  vmState: flag('b', "write the VM state that lies behind the guest's data"),
  compressed: flag('c', 'write compressed'),
  terse,
  forceUnitAccess,
  noFallback: flag('n', 'with -z: fail where zeroes would have to be written as data'),
  ignored: flag('p', 'ignored, for old scripts'),
  quiet,
  registered,
  mayUnmap,
  zeroes,
  pattern,
  sourceFile: textSetting('s', 'source_file', 'take the data from a file, repeated as often as needed'),
});

export const write = {
  name: 'write',
  aliases: ['w'],
  usage: (compat) => `[-bcCfnq${compat.has('registeredBuffers') ? 'r' : ''}uz] [-P pattern | -s source_file] off len`,
  oneline: 'writes a number of bytes at a specified offset',
  ...rangeCommand,
  perm: Perm.WRITE,
  options,
  help: [
    'Writes len bytes at offset off of the image, and reports how long that took.',
    '  write -P 0xaa 0 64k     fills the first 64 KiB with 0xaa',
    '  write -z -u 1M 1M       makes the second MiB read as zeroes, and frees it',
  ],
  run: runWrite,
} satisfies Command;

type WriteOptions = ValuesOf<typeof options>;

function runWrite(session: SessionState, argv: string[]): Outcome {
  const parsed = options.parse(session, argv);
  const operands = twoOperands(parsed.words);
  refuseContradictions(session, parsed.options);
  const { vmState, compressed } = parsed.options;
  const flags = requestFlags(parsed.options);

  const offset = sizeArgument(session, operands[0]);
  const bytes = sizeArgument(session, operands[1]);
  if (bytes > REQUEST_MAX_BYTES && (flags & Req.NO_FALLBACK) === 0) {
    throw refuse(session, `length cannot exceed ${REQUEST_MAX_BYTES} without -n, given ${operands[1]}`);
  }
  if (vmState || compressed) {
    requireSector(session, offset, 'offset');
    requireSector(session, bytes, 'count');
  }
  refuseRegisteredZeroes(session, parsed.options);
  const target = vmState ? 'vm-state' : compressed ? 'compressed' : 'guest';
  const lease = leaseData(session, parsed.options, Number(bytes));
  const place = { name: 'write', offset, bytes, lease, flags, target } as const;
  return runRequest(session, new WriteRequest(place, parsed.options));
}

function leaseData(
  session: SessionState,
  { zeroes: isZeroes, pattern: byte, sourceFile }: WriteOptions,
  bytes: number,
) {
  if (isZeroes) return null;
  if (sourceFile !== null) return leaseFromFile(session, sourceFile, bytes);
  return session.writeBuffers.lease(bytes, byte ?? DEFAULT_PATTERN);
}

function refuseContradictions(session: SessionState, given: WriteOptions): void {
  const { vmState, compressed, zeroes: isZeroes, pattern: byte, sourceFile } = given;
  if (vmState && isZeroes) throw refuse(session, '-b and -z cannot be specified at the same time');
  if (given.forceUnitAccess && (vmState || compressed)) {
    throw refuse(session, '-f and -b or -c cannot be specified at the same time');
  }
  if (given.noFallback && !isZeroes) throw refuse(session, '-n requires -z to be specified');
  if (given.mayUnmap && !isZeroes) throw refuse(session, '-u requires -z to be specified');
  const hasPattern = byte !== null;
  const hasFile = sourceFile !== null;
  if (isZeroes ? hasPattern || hasFile : hasPattern && hasFile) {
    throw refuse(session, 'Only one of -z, -P, and -s can be specified at the same time');
  }
}
