/** `read`: reads a range, checks it against a pattern, dumps it. */
import type { Pending } from '../../util/steps.ts';
import { Errno } from '../../util/errno.ts';
import { hexDump } from '../../util/hex-dump.ts';
import { isFilledWith } from '../../util/pattern.ts';
import {
  CommandOptions,
  lengthArgument,
  patternArgument,
  refuse,
  requireSector,
  type Size,
  sizeArgument,
  usage,
} from '../words/arguments.ts';
import { type Command, CommandFailure, type Outcome } from '../command.ts';
import { report, timedRequest } from '../output/report.ts';
import type { Session } from '../session.ts';

export const read = {
  name: 'read',
  aliases: ['r'],
  args: '[-abCqv] [-P pattern [-s off] [-l len]] off len',
  oneline: 'reads a number of bytes at a specified offset',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options: 'bCl:pP:qs:v',
  optionHelp: {
    b: "read the VM state that lies behind the guest's data",
    C: 'report as one line of comma-separated values',
    l: 'with -P: how many bytes to compare',
    p: 'nothing; old scripts give it',
    P: 'fail unless every byte has this value',
    q: 'say nothing but errors',
    s: 'with -P: where in the data to begin to compare',
    v: 'dump the data in hexadecimal and text',
  },
  help: [
    'Reads len bytes at offset off of the image, and reports how long that took.',
    '  read -v 512 1k        dumps the second and third sector',
    '  read -P 0xaa 0 64k    checks that the first 64 KiB hold 0xaa',
  ],
  operands: ['offset', 'length'],
  run: runRead,
} satisfies Command;

interface ReadOptions {
  vmState: boolean;
  terse: boolean;
  quiet: boolean;
  dump: boolean;
  pattern: number | null;
  compareOffset: Size | null;
  compareBytes: Size | null;
}

function runRead(session: Session, argv: string[]): Outcome {
  const words = new CommandOptions(session, argv, read.options);
  const options = parse(session, words);
  const { vmState, terse, quiet, dump, pattern } = options;
  const { first: offsetText, second: lengthText } = words.twoOperands;
  const offset = sizeArgument(session, offsetText);
  const bytes = lengthArgument(session, lengthText);
  const { from, count } = comparedRange(session, options, bytes);
  if (vmState) {
    requireSector(session, offset, 'offset');
    requireSector(session, bytes, 'count');
  }

  const { image } = session;
  const position = Number(offset);
  // Only drivers that read nothing (null) leave the filling there to be seen.
  const lease = session.readBuffers.lease(bytes, 0xab);
  const { data } = lease;
  const begin = (): Pending => (vmState ? image.loadVmState(position, data) : image.pread(position, data));
  return timedRequest(session, 'read', lease, begin, (ns) => {
    const differs = pattern !== null && !isFilledWith(data, pattern, from, from + count);
    if (differs) {
      const where = BigInt(offset) + BigInt(from);
      session.output.stdout(`Pattern verification failed at offset ${where}, ${count} bytes\n`);
    }
    if (!quiet) {
      if (dump) hexDump(data, position, (text) => session.output.stdout(text));
      report(session, 'read', offset, bytes, ns, terse);
    }
    if (differs) throw new CommandFailure(Errno.EINVAL);
  });
}

function parse(session: Session, words: CommandOptions): ReadOptions {
  const options: ReadOptions = {
    vmState: false,
    terse: false,
    quiet: false,
    dump: false,
    pattern: null,
    compareOffset: null,
    compareBytes: null,
  };
  while (words.next()) {
    const { name, argument } = words;
    if (name === 'b') options.vmState = true;
    else if (name === 'C') options.terse = true;
    else if (name === 'l') options.compareBytes = sizeArgument(session, argument);
    else if (name === 'P') options.pattern = patternArgument(session, argument);
    else if (name === 'q') options.quiet = true;
    else if (name === 's') options.compareOffset = sizeArgument(session, argument);
    else if (name === 'v') options.dump = true;
  }
  return options;
}

/** The part of the data that is compared with the pattern. */
function comparedRange(
  session: Session,
  { pattern, compareOffset, compareBytes }: ReadOptions,
  bytes: number,
): { from: number; count: number } {
  if (pattern === null && (compareOffset !== null || compareBytes !== null)) throw usage();
  // Values too large for a plain number are far behind the end of the data, whatever they are exactly.
  const from = Number(compareOffset ?? 0);
  const count = Number(compareBytes ?? bytes - from);
  if (count < 0 || from + count > bytes) {
    throw refuse(session, 'pattern verification range exceeds end of read data');
  }
  return { from, count };
}
