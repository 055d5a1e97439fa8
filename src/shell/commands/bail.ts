/** `bail`: whether a script stops at its first error. Not in qemu-io. */
import { refuse } from '../failure.ts';
import type { Command } from '../command.ts';

export const bail = {
  name: 'bail',
  args: 'on|off',
  oneline: 'stops a script at its first error, or lets it go on',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  help: ['With on, piped input, -c lists and sourced files end at the first command that fails. Off at first.'],
  operands: ['on/off'],
  run(session, [, state]) {
    if (state !== 'on' && state !== 'off') throw refuse(session, `bail takes on or off, not ${state}`);
    session.bail = state === 'on';
  },
} satisfies Command;
