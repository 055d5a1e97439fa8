/** `resume`: lets a suspended request go on. */
import { debugPort } from '../../block/debug/port.ts';
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
    try {
      const port = debugPort(session.top);
      // "-a" may be a tag, too; then it means that tag, as in qemu-io.
      if (tag === '-a' && !port.isSuspended(tag)) await port.resumeAll();
      else await port.resume(tag);
    } catch (error) {
      const errno = errnoOf(error);
      session.output.stdout(`Could not resume request: ${strerror(errno)}\n`);
      throw new CommandFailure(errno);
    }
  },
} satisfies Command;
