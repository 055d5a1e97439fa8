/** The end of the program: the first signal asks for an orderly one, the second gets one at once. */
import { libc } from '../sys/libc.ts';
import { signalNumber } from '../util/signal-names.ts';

const fatalSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
/** The name of a signal that ends the program. */
export type FatalSignal = (typeof fatalSignals)[number];

/** Calls `handle` for each of the fatal signals, from now on. */
export function onFatalSignals(handle: (signal: FatalSignal) => void): void {
  for (const signal of fatalSignals) process.on(signal, () => handle(signal));
  // Node would open a port for a debugger, to every user of the host. qemu-io blocks this signal.
  process.on('SIGUSR1', () => {});
}

/** Ends the program the way the signal would have ended it, so that a shell sees why. */
export function dieOf(signal: FatalSignal): never {
  // Temporary files go on every end that we see.
  process.emit('exit', 128 + signalNumber(signal));
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The signal is ignored: nohup.
  process.exit(128 + signalNumber(signal));
}

/** Ends the program without waiting for the threads of Node, one of which may still derive a key. */
export function exitNow(status: number): never {
  process.emit('exit', status);
  libc()?.exit(status);
  process.exit(status);
}
