/** `length`: prints how long the image is. */
import { errnoOf } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { formatSize } from '../../util/format.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';

export const length = {
  name: 'length',
  aliases: ['l'],
  oneline: 'gets the length of the current file',
  minArgs: 0,
  maxArgs: 0,
  needsFile: true,
  looksOnly: true,
  run(session) {
    try {
      session.output.stdout(`${formatSize(session.image.getLength())}\n`);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`getlength: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
