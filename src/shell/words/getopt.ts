/** Options the way glibc's getopt and getopt_long find them: permutation, clusters, abbreviations, and its messages. */

/** An option as getopt_long(3) declares it. */
export interface LongOption {
  readonly name: string;
  readonly argument: 'none' | 'required' | 'optional';
  /** The value of `Getopt.name`; several long options may share it with a short one. */
  readonly value: string;
}

const HYPHEN = 0x2d;

/**
 * Reads options one by one: `while (options.next())`, with `name` and `argument`. The words in `argv` are reordered on
 * the way, options first, so that in the end the operands are those from `optionIndex` on. What is wrong is said
 * through `report`, a line at a time, when it is met.
 */
export class Getopt {
  readonly argv: string[];
  /** The option that `next` found: its letter or the `value` of a long option, and "?" for one that was refused. */
  name: string;
  /** The letter behind a "?" of short options. */
  refused = '';
  /** The argument of the option; empty for one without. */
  argument: string;
  /** Index of the word to look at next; after `next` gave false, of the first operand. */
  optionIndex: number;
  readonly #short: string;
  readonly #long: readonly LongOption[] | null;
  readonly #report: (text: string) => void;
  /** The rest of a word with several letters. */
  #cluster: string;
  /** Operands that were skipped are at [firstOperand, lastOperand). */
  #firstOperand: number;
  #lastOperand: number;

  /** `short` lists the letters; a colon behind one asks for an argument, two for an optional one. */
  constructor(
    argv: string[],
    short: string,
    report: (text: string) => void,
    long: readonly LongOption[] | null = null,
  ) {
    this.argv = argv;
    this.name = '';
    this.argument = '';
    this.optionIndex = 1;
    this.#short = short;
    this.#long = long;
    this.#report = report;
    this.#cluster = '';
    this.#firstOperand = 1;
    this.#lastOperand = 1;
  }

  /** Goes on to the next option; false when only operands are left. */
  next(): boolean {
    this.argument = '';
    if (this.#cluster === '') {
      const word = this.#nextWord();
      if (word === null) return false;
      if (this.#long !== null && word.startsWith('--')) {
        this.#longOption(this.#long, word.slice(2));
        return true;
      }
      this.#cluster = word.slice(1);
    }
    this.#shortOption();
    return true;
  }

  /** The words behind the options. */
  get operands(): string[] {
    return this.argv.slice(this.optionIndex);
  }

  /** The next word that is an option, which then is at `optionIndex`. */
  #nextWord(): string | null {
    const { argv } = this;
    this.#moveOperands();
    let index = this.optionIndex;
    for (let word = argv[index]; word !== undefined; word = argv[index]) {
      // A lone "-" is an operand, too.
      if (word.charCodeAt(0) === HYPHEN && word.length > 1) break;
      index += 1;
    }
    this.optionIndex = index;
    this.#lastOperand = index;

    if (argv[index] === '--') {
      this.optionIndex += 1;
      this.#moveOperands();
      this.#lastOperand = argv.length;
      this.optionIndex = argv.length;
    }
    if (this.optionIndex >= argv.length) {
      if (this.#firstOperand !== this.#lastOperand) this.optionIndex = this.#firstOperand;
      return null;
    }
    return argv[this.optionIndex] ?? null;
  }

  /** Moves skipped operands behind the options that were read since. */
  #moveOperands(): void {
    if (this.#firstOperand === this.#lastOperand) {
      this.#firstOperand = this.optionIndex;
    } else if (this.#lastOperand !== this.optionIndex) {
      const count = this.#lastOperand - this.#firstOperand;
      const operands = this.argv.splice(this.#firstOperand, count);
      this.argv.splice(this.optionIndex - count, 0, ...operands);
      this.#firstOperand = this.optionIndex - count;
    }
    this.#lastOperand = this.optionIndex;
  }

  #shortOption(): void {
    const letter = firstCharacter(this.#cluster);
    this.refused = letter;
    const rest = this.#cluster.slice(letter.length);
    this.name = letter;
    this.#cluster = rest;
    if (rest === '') this.optionIndex += 1;
    const index = letter === ':' || letter === ';' ? -1 : this.#short.indexOf(letter);
    if (index < 0) {
      this.#refuse(`invalid option -- '${letter}'`);
      return;
    }
    if (this.#short[index + 1] !== ':') return;

    this.#cluster = '';
    if (rest !== '') {
      this.optionIndex += 1;
      this.argument = rest;
    } else if (this.#short[index + 2] !== ':') {
      this.#takeNextWord(`option requires an argument -- '${letter}'`);
    }
  }

  /** The argument is the next word; `complaint` is for the case that there is none. */
  #takeNextWord(complaint: string): void {
    const argument = this.argv[this.optionIndex];
    if (argument === undefined) {
      this.#refuse(complaint);
      return;
    }
    this.optionIndex += 1;
    this.argument = argument;
  }

  #longOption(table: readonly LongOption[], text: string): void {
    this.optionIndex += 1;
    const equals = text.indexOf('=');
    const found = this.#findLong(table, equals < 0 ? text : text.slice(0, equals), text);
    if (found === null) return;
    this.name = found.value;
    if (equals < 0) {
      if (found.argument === 'required') this.#takeNextWord(`option '--${found.name}' requires an argument`);
    } else if (found.argument === 'none') {
      this.#refuse(`option '--${found.name}' doesn't allow an argument`);
    } else {
      this.argument = text.slice(equals + 1);
    }
  }

  /** An exact name, or the only one that starts so; several that mean the same are one. */
  #findLong(table: readonly LongOption[], name: string, text: string): LongOption | null {
    const candidates = table.filter((option) => option.name.startsWith(name));
    const exact = candidates.find((option) => option.name === name);
    const found = exact ?? candidates[0];
    if (found === undefined) {
      this.#refuse(`unrecognized option '--${text}'`);
      return null;
    }
    const isSame = (option: LongOption): boolean => option.argument === found.argument && option.value === found.value;
    if (exact !== undefined || candidates.every(isSame)) return found;
    const names = candidates.map((option) => ` '--${option.name}'`).join('');
    this.#refuse(`option '--${text}' is ambiguous; possibilities:${names}`);
    return null;
  }

  #refuse(complaint: string): void {
    this.#report(`${this.argv[0] ?? ''}: ${complaint}\n`);
    this.name = '?';
  }
}

/** The first character, also if it is one of two units. */
function firstCharacter(text: string): string {
  const unit = text.charCodeAt(0);
  return unit < 0xd800 || unit > 0xdbff ? text.charAt(0) : String.fromCodePoint(text.codePointAt(0) ?? 0);
}
