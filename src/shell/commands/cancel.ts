/** `cancel`: ends what is suspended, with ECANCELED. Not in qemu-io. */
import { cancelSuspended } from '../../block/debug/debug.ts';
import { errnoOf } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { type Command, CommandFailure } from '../command.ts';

export const cancel = {
  name: 'cancel',
  args: 'tag',
  oneline: 'ends the requests suspended under tag with ECANCELED',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  help: [
    'The requests go on as if their next access to the image had failed: what they took is given back, who waits for',
    'them goes on, and each reports "Operation canceled". No breakpoint stops them on the way out.',
  ],
  operands: ['tag'],
  async run(session, [, tag = '']) {
    try {
      await cancelSuspended(session.top, tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not cancel request: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
