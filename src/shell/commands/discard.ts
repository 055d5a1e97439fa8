/** `discard` and `aio_discard`: give a range back to the host. The second is not in qemu-io. */
import { Perm } from '../../block/flags.ts';
import type { Pending } from '../../util/steps.ts';
import type { Command, Outcome } from '../command.ts';
import { printDone } from '../output/request-report.ts';
import { quiet, rangeCommand, terse } from '../requests/range.ts';
import { type Request, runRequest, startRequest } from '../requests/run-request.ts';
import type { SessionState } from '../session-state.ts';
import { lengthArgument, sizeArgument, twoOperands } from '../words/arguments.ts';
import { OptionTable } from '../words/option-table.ts';

const options = new OptionTable({ terse, quiet });

const shared = {
  args: 'off len',
  ...rangeCommand,
  perm: Perm.WRITE,
  options,
} as const;

export const discard = {
  ...shared,
  name: 'discard',
  aliases: ['d'],
  oneline: 'discards a number of bytes at a specified offset',
  help: [
    'Tells the image that len bytes at offset off are not needed any more. That is a hint: what is read there',
    'afterwards depends on the format, and an image opened with -d ignore does not pass it on.',
    '  discard 1M 64k    gives back the first 64 KiB of the second MiB',
  ],
  run(session, argv): Outcome {
    return runRequest(session, parse(session, argv, 'discard'));
  },
} satisfies Command;

export const aioDiscard = {
  ...shared,
  name: 'aio_discard',
  oneline: 'asynchronously discards a number of bytes',
  help: [
    'Starts a discard of len bytes at offset off, and does not wait for it. Its report comes when it ends; aio_flush',
    'waits for that.',
    '  aio_discard 1M 64k    begins to give back the first 64 KiB of the second MiB',
  ],
  run(session, argv): Outcome {
    const request = parse(session, argv, 'aio_discard');
    const { offset, bytes } = request.place;
    return startRequest(session, { operation: 'aio_discard', offset: Number(offset), bytes }, request);
  },
} satisfies Command;

function parse(session: SessionState, argv: string[], name: string) {
  const parsed = options.parse(session, argv);
  const operands = twoOperands(parsed.words);
  const offset = sizeArgument(session, operands[0]);
  const bytes = lengthArgument(session, operands[1]);
  const place = { name, offset, bytes };
  return {
    place,
    lease: null,
    startNs: 0,
    begin: ({ image }) => image.pdiscard(Number(offset), bytes),
    done(_session: SessionState, ns: number): Pending {
      printDone(session, 'discard', place, parsed.options, ns);
      return undefined;
    },
  } satisfies Request;
}
