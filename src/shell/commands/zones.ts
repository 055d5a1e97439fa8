/** `zone_…`: what qemu-io answers from 8.1 on for an image that is no zoned device. */
import { MAX_LENGTH } from '../../block/flags.ts';
import { Errno, strerror } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument, vectorArguments } from '../words/arguments.ts';
import { Getopt } from '../words/getopt.ts';
import { flag, OptionTable } from '../words/option-table.ts';

const MAX_ZONE_COUNT = 0xffff_ffff;

const appendOptions = new OptionTable({ printsPlace: flag('p', 'print where the data went', { isHidden: true }) });

const zoneAppend = {
  name: 'zone_append',
  aliases: ['zap'],
  since: 'zones',
  args: 'offset len [len..]',
  oneline: 'append write a number of bytes at a specified offset',
  minArgs: 3,
  maxArgs: 4,
  needsFile: true,
  options: appendOptions,
  operands: ['offset', 'length'],
  run(session, argv): never {
    const words = new Getopt(argv, appendOptions.letters(session.context.compat), session.complain);
    // qemu-io looks for one option only, and takes every one for -p.
    words.next();
    const [offsetText, ...lengths] = words.operands;
    if (offsetText === undefined) throw usage();
    const offset = Number(sizeArgument(session, offsetText));
    const bytes = vectorArguments(session, lengths);
    throw zoneFailure(session, 'append', offset + bytes <= MAX_LENGTH);
  },
} satisfies Command;

const zoneReport = {
  name: 'zone_report',
  aliases: ['zrp'],
  since: 'zones',
  args: 'offset number',
  oneline: 'report zone information',
  minArgs: 2,
  maxArgs: 2,
  needsFile: true,
  operands: ['offset', 'word'],
  run(session, [, offset = '', count = '']): never {
    sizeArgument(session, offset);
    if (sizeArgument(session, count) > MAX_ZONE_COUNT) {
      throw refuse(session, 'Number of zones must be less than 2^32', Errno.ERANGE);
    }
    throw zoneFailure(session, 'report', true);
  },
} satisfies Command;

function zoneFailure(session: SessionState, action: string, isWithin: boolean) {
  const errno = isWithin ? Errno.ENOTSUP : Errno.EIO;
  return refuse(session, `zone ${action} failed: ${strerror(errno)}`, errno);
}

/** A command that changes the state of zones. */
function manager(action: string, alias: string, oneline: string): Command {
  return {
    name: `zone_${action}`,
    aliases: [alias],
    since: 'zones',
    args: 'offset len',
    oneline,
    minArgs: 2,
    maxArgs: 2,
    needsFile: true,
    operands: ['offset', 'length'],
    run(session, [, offsetText = '', bytesText = '']): never {
      const offset = Number(sizeArgument(session, offsetText));
      const bytes = Number(sizeArgument(session, bytesText));
      throw zoneFailure(session, action, offset + bytes <= session.image.getLength());
    },
  };
}

/** The commands for zones. */
export const zoneCommands: readonly Command[] = [
  zoneAppend,
  manager('close', 'zc', 'close a range of zones in zone block device'),
  manager('finish', 'zf', 'finish a range of zones in zone block device'),
  manager('open', 'zo', 'explicit open a range of zones in zone block device'),
  zoneReport,
  manager('reset', 'zrs', 'reset a zone write pointer in zone block device'),
];
