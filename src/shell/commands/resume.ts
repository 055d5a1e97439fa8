/** `resume`: lets a suspended request go on. */
import { isSuspended, resumeAll, resumeRequest } from '../../block/debug/debug.ts';
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
  options: 'a',
  optionHelp: { a: 'all that are suspended, oldest first' },
  help: [
    'Lets the newest request that is suspended under the tag go on, to its end or to its next breakpoint.',
    '  resume -a    lets all go on, unless -a is a tag',
  ],
  operands: ['tag'],
  async run(session, [, tag = '']) {
    const { top } = session;
    try {
      // A tag may be called so, too; then it is what qemu-io takes it for.
      if (tag === '-a' && !isSuspended(top, tag)) await resumeAll(top);
      else await resumeRequest(top, tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not resume request: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
