/** Ends the program by a signal, at once: the image stays as a crash leaves it. */
import { constants } from 'node:os';

/** What was arranged for the program's end (temporary files, the terminal) is done; nothing is closed or flushed. */
export function die(signal: number): void {
  process.emit('exit', 128 + signal);
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0];
  // Without listeners the signal does again what it does by default.
  if (name !== undefined) process.removeAllListeners(name);
  process.kill(process.pid, signal);
}
