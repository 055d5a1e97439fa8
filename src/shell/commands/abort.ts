/** `abort`: crashes the program. */
import type { Command } from '../command.ts';
import { signalNumber } from '../../util/signal-names.ts';
import { endBySignal } from './sigraise.ts';

export const abort = {
  name: 'abort',
  oneline: 'simulate a program crash using abort(3)',
  minArgs: 0,
  maxArgs: 0,
  needsFile: false,
  actsOutside: true,
  run(session) {
    session.output.drop();
    // Not process.abort(): that prints stack traces first.
    endBySignal(signalNumber('SIGABRT'));
  },
} satisfies Command;
