/** `remove_break`: removes breakpoints and resumes what they suspend. */
import { breakpointPort } from '../../block/debug/port.ts';
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
  operands: ['tag'],
  async run(session, [, tag = '']) {
    try {
      await breakpointPort(session.top).removeBreakpoints(tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not remove breakpoint ${tag}: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
