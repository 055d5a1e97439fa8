/** `read`: reads a range, checks it against a pattern, dumps it. */
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
} from '../arguments.ts';
import { type Command, CommandFailure } from '../command.ts';
import { report, requestFailed } from '../report.ts';
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

async function runRead(session: Session, argv: string[]): Promise<void> {
  let vmState = false;
  let terse = false;
  let quiet = false;
  let dump = false;
  let pattern: number | null = null;
  let compareOffset: Size | null = null;
  let compareBytes: Size | null = null;
  const options = new CommandOptions(session, argv, read.options);
  for (const { name, argument } of options) {
    if (name === 'b') vmState = true;
    else if (name === 'C') terse = true;
    else if (name === 'l') compareBytes = sizeArgument(session, argument);
    else if (name === 'P') pattern = patternArgument(session, argument);
    else if (name === 'q') quiet = true;
    else if (name === 's') compareOffset = sizeArgument(session, argument);
    else if (name === 'v') dump = true;
  }
  const { operands } = options;
  const [offsetText, lengthText] = operands;
  if (operands.length !== 2 || offsetText === undefined || lengthText === undefined) throw usage();
  const offset = sizeArgument(session, offsetText);
  const bytes = lengthArgument(session, lengthText);
  if (pattern === null && (compareOffset !== null || compareBytes !== null)) throw usage();
  // Values too large for a plain number are far behind the end of the data, whatever they are exactly.
  const from = Number(compareOffset ?? 0);
  const count = Number(compareBytes ?? bytes - from);
  if (count < 0 || from + count > bytes) {
    throw refuse(session, 'pattern verification range exceeds end of read data');
  }
  if (vmState) {
    requireSector(session, offset, 'offset');
    requireSector(session, bytes, 'count');
  }

  const { image } = session;
  const { clock } = session.loop;
  // Only drivers that read nothing (null) leave the filling there to be seen.
  const lease = session.readBuffers.lease(bytes, 0xab);
  try {
    const start = clock.nowNs();
    try {
      if (vmState) await image.loadVmState(Number(offset), lease.data);
      else await image.pread(Number(offset), lease.data);
    } catch (error) {
      throw requestFailed(session, 'read', error);
    }
    const end = clock.nowNs();

    const differs = pattern !== null && !isFilledWith(lease.data, pattern, from, from + count);
    if (differs) {
      const where = BigInt(offset) + BigInt(from);
      session.output.stdout(`Pattern verification failed at offset ${where}, ${count} bytes\n`);
    }
    if (!quiet) {
      if (dump) hexDump(lease.data, Number(offset), (text) => session.output.stdout(text));
      report(session, 'read', offset, bytes, end - start, terse);
    }
    if (differs) throw new CommandFailure(Errno.EINVAL);
  } finally {
    lease.release();
  }
}
