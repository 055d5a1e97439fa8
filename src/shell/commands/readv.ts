/** `readv`: reads a range into several buffers. */
import { Errno } from '../../util/errno.ts';
import { hexDump } from '../../util/hex-dump.ts';
import { isFilledWith } from '../../util/pattern.ts';
import { CommandOptions, patternArgument, sizeArgument, usage, vectorArguments } from '../words/arguments.ts';
import { type Command, CommandFailure, type Outcome } from '../command.ts';
import { report, timedRequest } from '../output/report.ts';
import type { Session } from '../session.ts';

export const readv = {
  name: 'readv',
  args: '[-Cqv] [-P pattern] off len [len..]',
  oneline: 'reads a number of bytes at a specified offset',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options: 'CP:qv',
  optionHelp: {
    C: 'report as one line of comma-separated values',
    P: 'fail unless every byte has this value',
    q: 'say nothing but errors',
    v: 'dump the data in hexadecimal and text',
  },
  help: [
    'Reads as many bytes as all lengths together, in one request at offset off.',
    '  readv -v 512 1k 1k    dumps 2 KiB from the second sector on',
  ],
  operands: ['offset', 'length'],
  run: runReadv,
} satisfies Command;

function runReadv(session: Session, argv: string[]): Outcome {
  let terse = false;
  let quiet = false;
  let dump = false;
  let pattern: number | null = null;
  const options = new CommandOptions(session, argv, readv.options);
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'C') terse = true;
    else if (name === 'P') pattern = patternArgument(session, argument);
    else if (name === 'q') quiet = true;
    else if (name === 'v') dump = true;
  }
  const [offsetText, ...lengths] = options.operands;
  if (offsetText === undefined || lengths.length === 0) throw usage();
  const offset = sizeArgument(session, offsetText);
  const bytes = vectorArguments(session, lengths);

  const { image } = session;
  const position = Number(offset);
  const lease = session.readBuffers.lease(bytes, 0xab);
  const { data } = lease;
  return timedRequest(
    session,
    'readv',
    lease,
    () => image.pread(position, data),
    (ns) => {
      const differs = pattern !== null && !isFilledWith(data, pattern);
      if (differs) session.output.stdout(`Pattern verification failed at offset ${offset}, ${bytes} bytes\n`);
      if (!quiet) {
        if (dump) hexDump(data, position, (text) => session.output.stdout(text));
        report(session, 'read', offset, bytes, ns, terse);
      }
      if (differs) throw new CommandFailure(Errno.EINVAL);
    },
  );
}
