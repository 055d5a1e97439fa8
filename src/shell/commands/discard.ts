/** `discard`: gives a range back to the host. */
import type { Pending } from '../../util/steps.ts';
import { Perm } from '../../block/flags.ts';
import { CommandOptions, lengthArgument, sizeArgument } from '../words/arguments.ts';
import type { Command, Outcome } from '../command.ts';
import { report, timedRequest } from '../output/report.ts';
import type { Session } from '../session.ts';

export const discard = {
  name: 'discard',
  aliases: ['d'],
  args: '[-Cq] off len',
  oneline: 'discards a number of bytes at a specified offset',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  perm: Perm.WRITE,
  options: 'Cq',
  optionHelp: {
    C: 'report as one line of comma-separated values',
    q: 'say nothing but errors',
  },
  help: [
    'Tells the image that len bytes at offset off are not needed any more. That is a hint: what is read there',
    'afterwards depends on the format, and an image opened with -d ignore does not pass it on.',
    '  discard 1M 64k    gives back the first 64 KiB of the second MiB',
  ],
  operands: ['offset', 'length'],
  run: runDiscard,
} satisfies Command;

function runDiscard(session: Session, argv: string[]): Outcome {
  let terse = false;
  let quiet = false;
  const options = new CommandOptions(session, argv, discard.options);
  while (options.next()) {
    const { name } = options;
    if (name === 'C') terse = true;
    else if (name === 'q') quiet = true;
  }
  const { first: offsetText, second: lengthText } = options.twoOperands;
  const offset = sizeArgument(session, offsetText);
  const bytes = lengthArgument(session, lengthText);

  const begin = (): Pending => session.image.pdiscard(Number(offset), bytes);
  return timedRequest(session, 'discard', null, begin, (ns) => {
    if (!quiet) report(session, 'discard', offset, bytes, ns, terse);
  });
}
