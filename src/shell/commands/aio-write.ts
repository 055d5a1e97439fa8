/** `aio_write`: starts a write and goes on. */
import type { Pending } from '../../util/steps.ts';
import { Perm, Req } from '../../block/flags.ts';
import { CommandOptions, patternArgument, refuse, sizeArgument, usage, vectorArguments } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { printRequestFailure, report } from '../output/report.ts';
import type { Session } from '../session.ts';

export const aioWrite = {
  name: 'aio_write',
  args: '[-Cfiquz] [-P pattern] off len [len..]',
  oneline: 'asynchronously writes a number of bytes',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  perm: Perm.WRITE,
  options: 'CfiqP:uz',
  optionHelp: {
    C: 'report as one line of comma-separated values',
    f: 'be on stable storage before the write ends (FUA)',
    i: 'count an invalid request and do nothing',
    P: 'the value of every byte, in place of 0xcd',
    q: 'say nothing but errors',
    u: 'with -z: let the space be given back',
    z: 'write zeroes as such, without data',
  },
  help: [
    'Starts a write of as many bytes as all lengths together, and does not wait for it. Its report comes when it',
    'ends; aio_flush waits for that. Once started the command counts as done, whatever becomes of the write.',
    '  aio_write -P 1 512 1k    begins to fill the second and third sector',
  ],
  operands: ['offset', 'length'],
  run: runAioWrite,
} satisfies Command;

async function runAioWrite(session: Session, argv: string[]): Promise<void> {
  let terse = false;
  let quiet = false;
  let zeroes = false;
  let pattern = 0xcd;
  let flags = 0;
  const options = new CommandOptions(session, argv, aioWrite.options);
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'i') {
      // What comes behind it is not even looked at.
      session.output.stdout('injecting invalid write request\n');
      return;
    }
    if (name === 'C') terse = true;
    else if (name === 'f') flags |= Req.FUA;
    else if (name === 'q') quiet = true;
    else if (name === 'u') flags |= Req.MAY_UNMAP;
    else if (name === 'P') pattern = patternArgument(session, argument);
    else if (name === 'z') zeroes = true;
  }
  const [offsetText, firstLength, ...lengths] = options.operands;
  if (offsetText === undefined || firstLength === undefined) throw usage();
  if (zeroes && lengths.length > 0) throw refuse(session, '-z supports only a single length parameter');
  if ((flags & Req.MAY_UNMAP) !== 0 && !zeroes) throw refuse(session, '-u requires -z to be specified');

  const offset = sizeArgument(session, offsetText);
  const bytes = zeroes ? sizeArgument(session, firstLength) : vectorArguments(session, [firstLength, ...lengths]);
  const { image } = session;
  const { clock } = session.loop;
  const lease = zeroes ? null : session.writeBuffers.lease(Number(bytes), pattern);
  const start = clock.nowNs();
  const label = { operation: zeroes ? 'aio_write -z' : 'aio_write', offset: Number(offset), bytes: Number(bytes) };
  const body = (): Pending =>
    lease === null
      ? image.pwriteZeroes(label.offset, label.bytes, flags)
      : image.pwrite(label.offset, lease.data, flags);
  await session.start(label, body, (error) => {
    const ns = clock.nowNs() - start;
    if (error !== undefined) printRequestFailure(session, 'aio_write', error);
    else if (!quiet) report(session, 'wrote', offset, bytes, ns, terse);
    lease?.release();
  });
}
