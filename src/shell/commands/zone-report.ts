/** `zone_report`: what newer qemu-io answers for an image that is no zoned device. */
import { Errno, strerror } from '../../util/errno.ts';
import { refuse, sizeArgument } from '../words/arguments.ts';
import type { Command } from '../command.ts';

const MAX_ZONE_COUNT = 0xffff_ffff;

export const zoneReport = {
  name: 'zone_report',
  aliases: ['zrp'],
  args: 'offset number',
  oneline: 'report zone information',
  minArgs: 2,
  maxArgs: 2,
  needsFile: true,
  operands: ['offset', 'word'],
  run(session, [, offset = '', count = '']) {
    sizeArgument(session, offset);
    if (sizeArgument(session, count) > MAX_ZONE_COUNT) {
      throw refuse(session, 'Number of zones must be less than 2^32', Errno.ERANGE);
    }
    throw refuse(session, `zone report failed: ${strerror(Errno.ENOTSUP)}`, Errno.ENOTSUP);
  },
} satisfies Command;
