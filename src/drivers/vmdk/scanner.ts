/** Reads words and numbers from a text as scanf(3) does, which QEMU reads the lines of a descriptor with. */

const INT64_MAX = 2n ** 63n - 1n;
const BLANK = /[ \t\n\v\f\r]*/y;
const HEX = /([+-]?)(?:0[xX])?([0-9a-fA-F]+)/y;
const INTEGER = /[+-]?[0-9]+/y;

/** A place in a text. Blanks are skipped as scanf(3) does: newlines are some, too. */
export class Scanner {
  readonly #text: string;
  #at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  /** `%10s`, if `maxLength` is 10: as much as there is of a word; null at the end of the text. */
  word(maxLength: number): string | null {
    this.#skipBlanks();
    return this.#take(new RegExp(`[^ \\t\\n\\v\\f\\r]{1,${maxLength}}`, 'y'));
  }

  /** `%ld`; what 64 bits do not hold becomes the end of what they do. Null if there is no number. */
  integer(): bigint | null {
    this.#skipBlanks();
    const digits = this.#take(INTEGER);
    if (digits === null) return null;
    const value = BigInt(digits.replace('+', ''));
    if (value > INT64_MAX) return INT64_MAX;
    return value < -INT64_MAX ? -INT64_MAX - 1n : value;
  }

  /** ` "%511[^\n\r\"]`, if `maxLength` is 511: a text in quotes, as far as it is on the line; null for nothing. */
  quoted(maxLength: number): string | null {
    this.#skipBlanks();
    if (this.#take(/"/y) === null) return null;
    return this.#take(new RegExp(`[^\\n\\r"]{1,${maxLength}}`, 'y'));
  }

  /** The quote that ends what `quoted` has read. */
  endQuote(): boolean {
    return this.#take(/"/y) !== null;
  }

  /** `%x`, 32 bits of it; null if there is no number. */
  hex32(): number | null {
    this.#skipBlanks();
    HEX.lastIndex = this.#at;
    const [, sign, digits] = HEX.exec(this.#text) ?? [];
    if (digits === undefined) return null;
    const value = BigInt(`0x${digits}`);
    const whole = value > 2n ** 64n - 1n ? 2n ** 64n - 1n : sign === '-' ? -value : value;
    return Number(BigInt.asUintN(32, whole));
  }

  #skipBlanks(): void {
    this.#take(BLANK);
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found === undefined) return null;
    this.#at += found.length;
    return found;
  }
}
