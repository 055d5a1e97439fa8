/** What commands read from their words, with qemu-io's complaints on standard output. */
import { SECTOR_BYTES, REQUEST_MAX_BYTES } from '../../block/flags.ts';
import { Errno } from '../../util/errno.ts';
import { isScaledHex, parseLong, parsePlainSize, parseSize } from '../../util/size.ts';
import { CommandFailure } from '../command.ts';
import { Getopt } from './getopt.ts';
import type { Session } from '../session.ts';

/** A length or offset in bytes, 0 to 2^63-1; a bigint only above 2^53-1, where no image reaches. */
export type Size = number | bigint;

/** The failure that makes the session print the command's usage line. */
export function usage(): CommandFailure {
  return new CommandFailure(Errno.EINVAL, true);
}

/** Says something on standard output; the failure is for the caller to throw. */
export function refuse(session: Session, text: string, errno: number = Errno.EINVAL): CommandFailure {
  session.output.stdout(`${text}\n`);
  return new CommandFailure(errno);
}

/** The options of a command: `while (options.next())` with `name` and `argument`; behind the loop `operands` are there. */
export class CommandOptions extends Getopt {
  constructor(session: Session, argv: string[], letters: string) {
    super(argv, letters, session.complain);
  }

  /** Goes on to the next option. A word that is no option of the command, or lacks its argument, ends in the usage line. */
  override next(): boolean {
    if (!super.next()) return false;
    if (this.name === '?') throw usage();
    return true;
  }

  /** The operands of a command that takes two; any other number ends in the usage line. */
  get twoOperands(): { readonly first: string; readonly second: string } {
    const { argv, optionIndex } = this;
    const first = argv[optionIndex];
    const second = argv[optionIndex + 1];
    if (first === undefined || second === undefined || argv.length > optionIndex + 2) throw usage();
    return { first, second };
  }
}

/** A size; a wrong one is refused with EINVAL or ERANGE. `shown` is what the complaint quotes. */
export function sizeArgument(session: Session, text: string, shown: string = text): Size {
  const plain = parsePlainSize(text);
  if (plain >= 0) return plain;
  const size = parseSize(text);
  if (isScaledHex(text)) {
    session.warn(`Using a multiplier suffix on hex numbers is deprecated: ${text}`);
  }
  if (size === 'invalid') {
    const problem = 'Parsing error: non-numeric argument, or extraneous/unrecognized suffix';
    throw refuse(session, `${problem} -- ${shown}`);
  }
  if (size === 'range') throw refuse(session, `Parsing error: argument too large -- ${shown}`, Errno.ERANGE);
  return size;
}

/** The number of bytes of a request that carries data. */
export function lengthArgument(session: Session, text: string): number {
  const bytes = sizeArgument(session, text);
  if (bytes > REQUEST_MAX_BYTES) throw refuse(session, `length cannot exceed ${REQUEST_MAX_BYTES}, given ${text}`);
  return Number(bytes);
}

/** The value of one byte, in C's notations. */
export function patternArgument(session: Session, text: string): number {
  // The usual notations need no big numbers. A zero in front makes others octal; a suffix makes too large a size, and then
  // is no number at all.
  const plain = text === '0' || text.charCodeAt(0) !== 0x30 ? parsePlainSize(text) : -1;
  if (plain >= 0 && plain <= 255) return plain;
  if (/^0[xX][0-9a-fA-F]{1,2}$/.test(text)) return Number(text);
  const value = parseLong(text);
  if (value === undefined || value < 0n || value > 255n) throw refuse(session, `${text} is not a valid pattern byte`);
  return Number(value);
}

/** The sum of the lengths of a vector. A wrong one is refused with EINVAL, whatever is wrong with it. */
export function vectorArguments(session: Session, lengths: readonly string[]): number {
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

function vectorLength(session: Session, text: string): Size {
  try {
    return sizeArgument(session, text);
  } catch (error) {
    if (error instanceof CommandFailure) throw new CommandFailure(Errno.EINVAL);
    throw error;
  }
}

/** Refuses an offset or count (`what`) that does not lie on a sector boundary. */
export function requireSector(session: Session, value: Size, what: 'offset' | 'count'): void {
  const rest = typeof value === 'bigint' ? Number(value % BigInt(SECTOR_BYTES)) : value % SECTOR_BYTES;
  if (rest !== 0) throw refuse(session, `${value} is not a sector-aligned value for '${what}'`);
}
