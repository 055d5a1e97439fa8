/** `zone_append`: what newer qemu-io answers for an image that is no zoned device. */
import { MAX_LENGTH } from '../../block/flags.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { refuse, sizeArgument, usage, vectorArguments } from '../words/arguments.ts';
import type { Command } from '../command.ts';
import { Getopt } from '../words/getopt.ts';
import type { Session } from '../session.ts';

export const zoneAppend = {
  name: 'zone_append',
  aliases: ['zap'],
  args: 'offset len [len..]',
  oneline: 'append write a number of bytes at a specified offset',
  minArgs: 3,
  maxArgs: 4,
  needsFile: true,
  options: 'p',
  optionHelp: { p: 'print where the data went' },
  operands: ['offset', 'length'],
  run: runZoneAppend,
} satisfies Command;

function runZoneAppend(session: Session, argv: string[]): never {
  const options = new Getopt(argv, zoneAppend.options, session.complain);
  // It looks for one option only, and takes every one for -p.
  options.next();
  const [offsetText, ...lengths] = options.operands;
  if (offsetText === undefined) throw usage();
  const offset = Number(sizeArgument(session, offsetText));
  const bytes = vectorArguments(session, lengths);
  const errno = offset + bytes > MAX_LENGTH ? Errno.EIO : Errno.ENOTSUP;
  throw refuse(session, `zone append failed: ${strerror(errno)}`, errno);
}
