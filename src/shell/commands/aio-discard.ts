/** `aio_discard`: starts a discard and goes on. Not in qemu-io. */
import { Perm } from '../../block/flags.ts';
import { CommandOptions, lengthArgument, sizeArgument } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { printRequestFailure, report } from '../output/report.ts';
import type { Session } from '../session.ts';

export const aioDiscard = {
  name: 'aio_discard',
  args: '[-Cq] off len',
  oneline: 'asynchronously discards a number of bytes',
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
    'Starts a discard of len bytes at offset off, and does not wait for it. Its report comes when it ends; aio_flush',
    'waits for that.',
    '  aio_discard 1M 64k    begins to give back the first 64 KiB of the second MiB',
  ],
  operands: ['offset', 'length'],
  run: runAioDiscard,
} satisfies Command;

async function runAioDiscard(session: Session, argv: string[]): Promise<void> {
  let terse = false;
  let quiet = false;
  const options = new CommandOptions(session, argv, aioDiscard.options);
  while (options.next()) {
    const { name } = options;
    if (name === 'C') terse = true;
    else if (name === 'q') quiet = true;
  }
  const { first: offsetText, second: lengthText } = options.twoOperands;
  const offset = sizeArgument(session, offsetText);
  const bytes = lengthArgument(session, lengthText);

  const { image } = session;
  const { clock } = session.loop;
  const start = clock.nowNs();
  const label = { operation: 'aio_discard', offset: Number(offset), bytes };
  await session.start(
    label,
    () => image.pdiscard(label.offset, bytes),
    (error) => {
      const ns = clock.nowNs() - start;
      if (error !== undefined) printRequestFailure(session, 'aio_discard', error);
      else if (!quiet) report(session, 'discard', offset, bytes, ns, terse);
    },
  );
}
