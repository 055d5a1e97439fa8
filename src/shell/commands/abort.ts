/** `abort`: crashes the program. */
import { constants } from 'node:os';
import type { Command } from '../command.ts';
import { die } from '../die.ts';

export const abort = {
  name: 'abort',
  oneline: 'simulate a program crash using abort(3)',
  minArgs: 0,
  maxArgs: 0,
  needsFile: false,
  run(session) {
    session.output.drop();
    // Not process.abort(): that prints stack traces first.
    die(constants.signals.SIGABRT);
  },
} satisfies Command;
