/** `wait_break`: waits until a request is suspended under a tag. */
import { findDebugPort } from '../../block/debug/port.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import { hintTag } from '../words/tags.ts';

export const waitBreak = {
  name: 'wait_break',
  args: 'tag',
  oneline: 'waits for the suspension of a request',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  operands: ['tag'],
  polls: true,
  async run(session, [, tag = '']) {
    const port = findDebugPort(session.top);
    if (port?.isSuspended(tag) === true) return;
    // qemu-io waits for ever where this fails.
    if (port?.isArmed(tag) !== true) {
      session.error(`wait_break: there is no breakpoint '${tag}'`);
      hintTag(session, tag);
      throw new CommandFailure(Errno.ENOENT);
    }
    if (await session.background.pollUntil(() => port.isSuspended(tag))) return;
    if (session.wasInterrupted) throw new CommandFailure(Errno.EINTR);
    session.error(`wait_break: no request in flight can reach breakpoint '${tag}'`);
    throw new CommandFailure(Errno.EDEADLK);
  },
} satisfies Command;
