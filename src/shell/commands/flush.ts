/** `flush`: puts everything on stable storage. */
import { errnoOf } from '../../block/error.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';

export const flush = {
  name: 'flush',
  aliases: ['f'],
  oneline: 'flush all in-core file state to disk',
  minArgs: 0,
  maxArgs: 0,
  needsFile: true,
  async run(session) {
    try {
      await session.image.flush();
    } catch (error) {
      // qemu-io fails without a word.
      throw new CommandFailure(errnoOf(error));
    }
  },
} satisfies Command;
