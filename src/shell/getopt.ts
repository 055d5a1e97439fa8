/** Options the way glibc's getopt and getopt_long find them: permutation, clusters, abbreviations, and its messages. */

export interface LongOption {
  readonly name: string;
  readonly argument: 'none' | 'required' | 'optional';
  /** What `Option.name` will be; several long options may share it with a short one. */
  readonly value: string;
}

/** `name` is the option's letter or the `value` of a long option, and "?" for one that was refused. */
export interface Option {
  readonly name: string;
  readonly argument: string | null;
}

const refused: Option = { name: '?', argument: null };

/**
 * Reads options one by one with `next`. The words in `argv` are reordered on the way, options first, so that in the end
 * the operands are those from `optionIndex` on. What is wrong is said through `report`, a line at a time, when it is met.
 */
export class Getopt {
  readonly argv: string[];
  /** Index of the word to look at next; after `next` gave null, of the first operand. */
  optionIndex = 1;
  readonly #short: string;
  readonly #long: readonly LongOption[] | null;
  readonly #report: (text: string) => void;
  /** What is left of a word with several letters. */
  #cluster = '';
  /** Operands that were skipped are at [firstOperand, lastOperand). */
  #firstOperand = 1;
  #lastOperand = 1;

  /** `short` lists the letters; a colon behind one asks for an argument, two for an optional one. */
  constructor(
    argv: string[],
    short: string,
    report: (text: string) => void,
    long: readonly LongOption[] | null = null,
  ) {
    this.argv = argv;
    this.#short = short;
    this.#long = long;
    this.#report = report;
  }

  /** The next option; null when only operands are left. */
  next(): Option | null {
    if (this.#cluster === '') {
      const word = this.#nextWord();
      if (word === null) return null;
      if (this.#long !== null && word.startsWith('--')) return this.#longOption(this.#long, word.slice(2));
      this.#cluster = word.slice(1);
    }
    return this.#shortOption();
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
    while (index < argv.length && isOperand(argv[index] ?? '')) index += 1;
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

  #shortOption(): Option {
    const letter = String.fromCodePoint(this.#cluster.codePointAt(0) ?? 0);
    const rest = this.#cluster.slice(letter.length);
    this.#cluster = rest;
    if (rest === '') this.optionIndex += 1;
    const index = letter === ':' || letter === ';' ? -1 : this.#short.indexOf(letter);
    if (index < 0) return this.#refuse(`invalid option -- '${letter}'`);
    if (this.#short[index + 1] !== ':') return { name: letter, argument: null };

    this.#cluster = '';
    if (rest !== '') {
      this.optionIndex += 1;
      return { name: letter, argument: rest };
    }
    if (this.#short[index + 2] === ':') return { name: letter, argument: null };
    return this.#argumentInNextWord(letter, `option requires an argument -- '${letter}'`);
  }

  #argumentInNextWord(name: string, complaint: string): Option {
    const argument = this.argv[this.optionIndex];
    if (argument === undefined) return this.#refuse(complaint);
    this.optionIndex += 1;
    return { name, argument };
  }

  #longOption(table: readonly LongOption[], text: string): Option {
    this.optionIndex += 1;
    const equals = text.indexOf('=');
    const name = equals < 0 ? text : text.slice(0, equals);
    const found = this.#findLong(table, name, text);
    if (found === null) return refused;
    if (equals >= 0) {
      if (found.argument === 'none') return this.#refuse(`option '--${found.name}' doesn't allow an argument`);
      return { name: found.value, argument: text.slice(equals + 1) };
    }
    if (found.argument !== 'required') return { name: found.value, argument: null };
    return this.#argumentInNextWord(found.value, `option '--${found.name}' requires an argument`);
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

  #refuse(complaint: string): Option {
    this.#report(`${this.argv[0] ?? ''}: ${complaint}\n`);
    return refused;
  }
}

/** A lone "-" is an operand, too. */
function isOperand(word: string): boolean {
  return word.charCodeAt(0) !== 45 || word.length === 1;
}
