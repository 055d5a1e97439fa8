/** `sigraise`: raises a signal in the program itself. */
import type { Command } from '../command.ts';
import { refuse } from '../failure.ts';
import { signalName } from '../../util/signal-names.ts';
import { sizeArgument } from '../words/arguments.ts';

/** One more than the last signal of Linux. */
const SIGNAL_COUNT = 65;
/**
 * Signals without effect, observed with qemu-io 7.2.22: it blocks SIGBUS, SIGUSR1, SIGALRM and SIGIO, ignores SIGPIPE,
 * and the C library keeps two for itself.
 */
const withoutEffect: ReadonlySet<number> = new Set([0, 7, 10, 13, 14, 29, 32, 33, SIGNAL_COUNT]);
/** Signals that stop a program or are ignored, unless it cares. */
const survived: ReadonlySet<number> = new Set([17, 18, 19, 20, 21, 22, 23, 28]);

export const sigraise = {
  name: 'sigraise',
  args: 'signal',
  oneline: 'raises a signal',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  actsOutside: true,
  help: ['Raises the signal with this number in the program itself.', '  sigraise 15    ends it with SIGTERM'],
  operands: ['word'],
  run(session, [, text = '']) {
    const signal = Number(sizeArgument(session, text));
    if (signal > SIGNAL_COUNT) {
      throw refuse(session, `signal argument '${text}' is too large to be a valid signal`);
    }
    session.output.flush();
    // Nothing is held back then; what is on its way gets there.
    session.output.drop();
    if (survived.has(signal)) process.kill(process.pid, signal);
    else if (!withoutEffect.has(signal)) endBySignal(signal);
  },
} satisfies Command;

/**
 * Ends the program by a signal, at once: temporary files and the terminal are put in order, nothing is closed or
 * flushed, and the image stays as a crash leaves it.
 */
export function endBySignal(signal: number): void {
  process.emit('exit', 128 + signal);
  const name = signalName(signal);
  if (name !== undefined) {
    // Node ignores this one; a listener that comes and goes puts the default action back.
    if (name === 'SIGXFSZ') process.on(name, () => {});
    process.removeAllListeners(name);
  }
  process.kill(process.pid, signal);
}
