/** `sigraise`: raises a signal in the program itself. */
import { refuse, sizeArgument } from '../arguments.ts';
import type { Command } from '../command.ts';

/** One more than the last signal of Linux. */
const SIGNAL_COUNT = 65;

export const sigraise = {
  name: 'sigraise',
  args: 'signal',
  oneline: 'raises a signal',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  help: ['Raises the signal with this number in the program itself.', '  sigraise 15    ends it with SIGTERM'],
  operands: ['word'],
  run(session, [, text = '']) {
    const signal = sizeArgument(session, text);
    if (signal > SIGNAL_COUNT) {
      throw refuse(session, `signal argument '${text}' is too large to be a valid signal`);
    }
    session.output.flush();
    if (signal === SIGNAL_COUNT) return;
    raise(Number(signal));
  },
} satisfies Command;

function raise(signal: number): void {
  restoreDefault(signal);
  process.kill(process.pid, signal);
}

const SIGUSR1 = 10;

/** Node starts its debugger on SIGUSR1; a listener that comes and goes puts the default action back. */
function restoreDefault(signal: number): void {
  if (signal !== SIGUSR1) return;
  const listener = (): void => {};
  process.on('SIGUSR1', listener);
  process.removeListener('SIGUSR1', listener);
}
