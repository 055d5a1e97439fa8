/** `break`: stops the next request that reaches an event. */
import { setBreakpoint } from '../../block/debug.ts';
import { errnoOf } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { type Command, CommandFailure } from '../command.ts';

export const breakCommand = {
  name: 'break',
  args: 'event tag',
  oneline: 'sets a breakpoint on event and tags the stopped request as tag',
  minArgs: 2,
  maxArgs: 2,
  needsFile: true,
  changesPicture: true,
  operands: ['event', 'word'],
  run(session, [, event = '', tag = '']) {
    try {
      setBreakpoint(session.top, event, tag);
      session.tags.add(tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not set breakpoint: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
