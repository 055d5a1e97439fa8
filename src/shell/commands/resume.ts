/** `resume`: lets a suspended request go on. */
import { resumeRequest } from '../../block/debug.ts';
import { errnoOf } from '../../block/error.ts';
import { strerror } from '../../util/errno.ts';
import { type Command, CommandFailure } from '../command.ts';

export const resume = {
  name: 'resume',
  args: 'tag',
  oneline: 'resumes the request tagged as tag',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  operands: ['tag'],
  async run(session, [, tag = '']) {
    try {
      await resumeRequest(session.top, tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not resume request: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
