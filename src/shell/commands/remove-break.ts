/** `remove_break`: takes breakpoints away and resumes what they stopped. */
import { removeBreakpoint } from '../../block/debug/debug.ts';
import { errnoOf } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { type Command, CommandFailure } from '../command.ts';

export const removeBreak = {
  name: 'remove_break',
  args: 'tag',
  oneline: 'remove a breakpoint by tag',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  changesPicture: true,
  operands: ['tag'],
  async run(session, [, tag = '']) {
    try {
      await removeBreakpoint(session.top, tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not remove breakpoint ${tag}: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
