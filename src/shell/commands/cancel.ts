/** `cancel`: ends what is suspended, with ECANCELED. Not in qemu-io. */
import { debugPort } from '../../block/debug/port.ts';
import type { Command } from '../command.ts';
import { namedSuspended, runOnTag } from '../words/tags.ts';

export const cancel = {
  name: 'cancel',
  args: 'tag',
  oneline: 'ends the requests suspended under tag with ECANCELED',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  help: [
    'Each request goes on as if its next access to the image had failed: it releases what it holds, requests that wait for',
    'it go on, and it reports "Operation canceled". No breakpoint suspends it again.',
    'The tag "delay" means also the requests that rules with delay-ns let wait.',
  ],
  operands: ['tag'],
  async run(session, [, tag = '']) {
    await runOnTag(session, tag, 'Could not cancel request', async () => {
      const port = debugPort(session.top);
      const named = namedSuspended(session, tag);
      if (named === undefined) await port.cancel(tag);
      else await port.cancelRequest(named.request);
    });
  },
} satisfies Command;
