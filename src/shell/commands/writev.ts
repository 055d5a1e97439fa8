/** `writev`: writes a pattern from several buffers. */
import type { Pending } from '../../util/steps.ts';
import { Perm, Req } from '../../block/flags.ts';
import { CommandOptions, patternArgument, sizeArgument, usage, vectorArguments } from '../words/arguments.ts';
import type { Command, Outcome } from '../command.ts';
import { report, timedRequest } from '../output/report.ts';
import type { Session } from '../session.ts';

export const writev = {
  name: 'writev',
  args: '[-Cfq] [-P pattern] off len [len..]',
  oneline: 'writes a number of bytes at a specified offset',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  perm: Perm.WRITE,
  options: 'CfqP:',
  optionHelp: {
    C: 'report as one line of comma-separated values',
    f: 'be on stable storage before the write ends (FUA)',
    P: 'the value of every byte, in place of 0xcd',
    q: 'say nothing but errors',
  },
  help: [
    'Writes as many bytes as all lengths together, in one request at offset off.',
    '  writev -P 1 512 1k 1k    fills 2 KiB from the second sector on',
  ],
  operands: ['offset', 'length'],
  run: runWritev,
} satisfies Command;

function runWritev(session: Session, argv: string[]): Outcome {
  let terse = false;
  let quiet = false;
  let pattern = 0xcd;
  let flags = 0;
  const options = new CommandOptions(session, argv, writev.options);
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'C') terse = true;
    else if (name === 'f') flags |= Req.FUA;
    else if (name === 'q') quiet = true;
    else if (name === 'P') pattern = patternArgument(session, argument);
  }
  const [offsetText, ...lengths] = options.operands;
  if (offsetText === undefined || lengths.length === 0) throw usage();
  const offset = sizeArgument(session, offsetText);
  const bytes = vectorArguments(session, lengths);

  const { image } = session;
  const lease = session.writeBuffers.lease(bytes, pattern);
  const begin = (): Pending => image.pwrite(Number(offset), lease.data, flags);
  return timedRequest(session, 'writev', lease, begin, (ns) => {
    if (!quiet) report(session, 'wrote', offset, bytes, ns, terse);
  });
}
