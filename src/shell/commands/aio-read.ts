/** `aio_read`: starts a read and goes on. */
import { hexDump } from '../../util/hex-dump.ts';
import { isFilledWith } from '../../util/pattern.ts';
import { CommandOptions, patternArgument, sizeArgument, usage, vectorArguments } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { printRequestFailure, report } from '../output/report.ts';
import type { Session } from '../session.ts';

export const aioRead = {
  name: 'aio_read',
  args: '[-Ciqv] [-P pattern] off len [len..]',
  oneline: 'asynchronously reads a number of bytes',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options: 'CP:iqv',
  optionHelp: {
    C: 'report as one line of comma-separated values',
    i: 'count an invalid request and do nothing',
    P: 'complain unless every byte has this value',
    q: 'say nothing but errors',
    v: 'dump the data in hexadecimal and text',
  },
  help: [
    'Starts a read of as many bytes as all lengths together, and does not wait for it. Its report comes when it',
    'ends; aio_flush waits for that. Once started the command counts as done, whatever becomes of the read.',
    '  aio_read -v 512 1k    dumps the second and third sector when they are there',
  ],
  operands: ['offset', 'length'],
  run: runAioRead,
} satisfies Command;

async function runAioRead(session: Session, argv: string[]): Promise<void> {
  let terse = false;
  let quiet = false;
  let dump = false;
  let pattern: number | null = null;
  const options = new CommandOptions(session, argv, aioRead.options);
  while (options.next()) {
    const { name, argument } = options;
    if (name === 'i') {
      // What comes behind it is not even looked at.
      session.output.stdout('injecting invalid read request\n');
      return;
    }
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
  const { clock } = session.loop;
  const lease = session.readBuffers.lease(bytes, 0xab);
  const { data } = lease;
  const start = clock.nowNs();
  const label = { operation: 'aio_read', offset: Number(offset), bytes };
  await session.start(
    label,
    () => image.pread(label.offset, data),
    (error) => {
      const ns = clock.nowNs() - start;
      if (error !== undefined) {
        // The command's own name would be aio_read; qemu-io says readv.
        printRequestFailure(session, 'readv', error);
      } else {
        if (pattern !== null && !isFilledWith(data, pattern)) {
          session.output.stdout(`Pattern verification failed at offset ${offset}, ${bytes} bytes\n`);
        }
        if (!quiet) {
          if (dump) hexDump(data, label.offset, (text) => session.output.stdout(text));
          report(session, 'read', offset, bytes, ns, terse);
        }
      }
      lease.release();
    },
  );
}
