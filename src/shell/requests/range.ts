/** The bounds, operands and options that commands on a range of the image share, whatever they do with it. */
import { usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { type Size, sizeArgument, vectorArguments } from '../words/arguments.ts';
import { flag } from '../words/option-table.ts';

/** The bounds and operands of commands on an offset and a length, or several lengths. */
export const rangeCommand = {
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  operands: ['offset', 'length'],
} as const;

export const terse = flag('C', 'report as one line of comma-separated values');
export const quiet = flag('q', 'print only errors');
export const registered = flag('r', 'register the buffer with the host', { since: 'registeredBuffers' });
/** qemu-io accounts for a request that has failed, and makes none: nothing behind the letter is read. */
export const isInvalid = flag('i', 'count an invalid request and do nothing', { endsParsing: true });

/** An offset and the sum of several lengths. */
export function offsetAndVector(
  session: SessionState,
  [offsetText, ...lengths]: readonly string[],
): { readonly offset: Size; readonly bytes: number } {
  if (offsetText === undefined || lengths.length === 0) throw usage();
  return { offset: sizeArgument(session, offsetText), bytes: vectorArguments(session, lengths) };
}
