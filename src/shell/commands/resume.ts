/** `resume`: lets a suspended request go on. */
import { debugPort, findDebugPort } from '../../block/debug/port.ts';
import type { Command } from '../command.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable } from '../words/option-table.ts';
import { namedSuspended, onlySuspended, runOnTag } from '../words/tags.ts';

const options = new OptionTable({ all: flag('a', 'all that are suspended, oldest first', { isHidden: true }) });

export const resume = {
  name: 'resume',
  args: 'tag',
  oneline: 'resumes the request tagged as tag',
  minArgs: 1,
  maxArgs: 1,
  acceptsAlso: ({ length }, session) => length === 1 && session.acceptsExtensions,
  needsFile: true,
  options,
  help: [
    'Lets the newest request that is suspended under the tag go on, to its end or to its next breakpoint.',
    '  resume -a    lets all go on, unless -a is a tag',
    'The tag "delay" means also the requests that rules with delay-ns let wait: their delay is over. So it is with -a.',
    'On a terminal, and in files of source, the tag may be left out if one request alone is suspended, and the name of a request',
    'stands for that one: "resume w5".',
  ],
  operands: ['tag'],
  async run(session, argv) {
    const tag = argv[1] ?? onlySuspended(session).tag;
    const isAll = meansAll(session, argv, tag);
    await runOnTag(session, isAll ? null : tag, 'Could not resume request', async () => {
      const known = debugPort(session.top);
      const named = namedSuspended(session, tag);
      if (named !== undefined) await known.resumeRequest(named.request);
      else await (isAll ? known.resumeAll() : known.resume(tag));
    });
  },
} satisfies Command;

/** Whether the word is an option, and not a tag: under a tag a request may be suspended, or the letter is unknown. */
function meansAll(session: SessionState, argv: string[], tag: string): boolean {
  if (findDebugPort(session.top)?.isSuspended(tag) === true) return false;
  if (options.operandsOf(argv, session.context.compat) === null) return false;
  return options.parse(session, argv).options.all;
}
