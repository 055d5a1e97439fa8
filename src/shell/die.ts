/** Ends the program by a signal, at once: the image stays as a crash leaves it. */
import { signalName } from '../util/signals.ts';

/** What was arranged for the program's end (temporary files, the terminal) is done; nothing is closed or flushed. */
export function die(signal: number): void {
  process.emit('exit', 128 + signal);
  const name = signalName(signal);
  if (name !== undefined) {
    // Node ignores this one; a listener that comes and goes puts the default action back.
    if (name === 'SIGXFSZ') process.on(name, () => {});
    process.removeAllListeners(name);
  }
  process.kill(process.pid, signal);
}
