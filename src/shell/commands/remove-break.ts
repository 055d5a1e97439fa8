/** `remove_break`: removes breakpoints and resumes what they suspend. */
import { breakpointPort, findDebugPort } from '../../block/debug/port.ts';
import type { Command } from '../command.ts';
import { runOnTag } from '../words/tags.ts';

export const removeBreak = {
  name: 'remove_break',
  args: 'tag',
  oneline: 'remove a breakpoint by tag',
  minArgs: 1,
  maxArgs: 1,
  needsFile: true,
  operands: ['tag'],
  async run(session, [, tag = '']) {
    const isSuspended = findDebugPort(session.top)?.isSuspended(tag) === true;
    await runOnTag(
      session,
      tag,
      `Could not remove breakpoint ${tag}`,
      () => breakpointPort(session.top).removeBreakpoints(tag),
      // QEMU resumes what is suspended, and then finds no breakpoint: one that has hit is gone already.
      isSuspended ? `the breakpoint had hit and was gone; the request goes on` : undefined,
    );
  },
} satisfies Command;
