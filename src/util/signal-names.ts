/** Signals by their numbers. */
import { loadNow } from './load-now.ts';

/** The host's number of a signal. */
export function signalNumber(name: NodeJS.Signals): number {
  return loadNow('node:os').constants.signals[name];
}

/** The name of a signal's number; undefined if the host has no such signal. */
export function signalName(number: number): NodeJS.Signals | undefined {
  const entry = Object.entries(loadNow('node:os').constants.signals).find(([, known]) => known === number);
  return entry?.[0] as NodeJS.Signals | undefined;
}
