/** Sizes, patterns and vectors as commands take them, with qemu-io's complaints on standard output. */
import { SECTOR_BYTES, REQUEST_MAX_BYTES } from '../../block/flags.ts';
import { Errno } from '../../util/errno.ts';
import { parseLong, parseSum } from '../../util/size.ts';
import { CommandFailure, refuse, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import type { Getopt } from './getopt.ts';

/** A length or offset in bytes, 0 to 2^63-1; a bigint only above 2^53-1, where no image reaches. */
export type Size = number | bigint;

/** The operands of a command that takes two; any other number ends in the usage line. */
export function twoOperands({ argv, optionIndex }: Getopt): readonly [string, string] {
  const first = argv[optionIndex];
  const second = argv[optionIndex + 1];
  if (first === undefined || second === undefined || argv.length > optionIndex + 2) throw usage();
  return [first, second];
}

/** A size; a wrong one is refused with EINVAL or ERANGE. `shown` is what the complaint quotes. */
export function sizeArgument(session: SessionState, text: string, shown: string = text): Size {
  let size = session.parseSize(text, session);
  if (typeof size !== 'string') return size;
  if (size === 'invalid' && session.acceptsExtensions) size = parseSum(text);
  if (size === 'invalid') {
    const problem = 'Parsing error: non-numeric argument, or extraneous/unrecognized suffix';
    throw refuse(session, `${problem} -- ${shown}`);
  }
  if (size === 'range') throw refuse(session, `Parsing error: argument too large -- ${shown}`, Errno.ERANGE);
  return size;
}

/** The number of bytes of a request that carries data. */
export function lengthArgument(session: SessionState, text: string): number {
  const bytes = sizeArgument(session, text);
  if (bytes > REQUEST_MAX_BYTES) throw refuse(session, `length cannot exceed ${REQUEST_MAX_BYTES}, given ${text}`);
  return Number(bytes);
}

/** The value of one byte, in C's notations. */
export function patternArgument(session: SessionState, text: string): number {
  const value = parseLong(text);
  if (value === undefined || value < 0 || value > 255) throw refuse(session, `${text} is not a valid pattern byte`);
  return Number(value);
}

/** The sum of the lengths of a vector. A wrong one is refused with EINVAL, whatever is wrong with it. */
export function vectorArguments(session: SessionState, lengths: readonly string[]): number {
  let total = 0;
  for (const text of lengths) {
    const bytes = vectorLength(session, text);
    if (bytes > REQUEST_MAX_BYTES)
      throw refuse(session, `Argument '${text}' exceeds maximum size ${REQUEST_MAX_BYTES}`);
    total += Number(bytes);
    if (total > REQUEST_MAX_BYTES) {
      throw refuse(session, `The total number of bytes exceed the maximum size ${REQUEST_MAX_BYTES}`);
    }
  }
  return total;
}

function vectorLength(session: SessionState, text: string): Size {
  try {
    return sizeArgument(session, text);
  } catch (error) {
    if (error instanceof CommandFailure) throw new CommandFailure(Errno.EINVAL);
    throw error;
  }
}

/** Refuses an offset or count (`what`) that does not lie on a sector boundary. */
export function requireSector(session: SessionState, value: Size, what: 'offset' | 'count'): void {
  const rest = typeof value === 'bigint' ? Number(value % BigInt(SECTOR_BYTES)) : value % SECTOR_BYTES;
  if (rest !== 0) throw refuse(session, `${value} is not a sector-aligned value for '${what}'`);
}
