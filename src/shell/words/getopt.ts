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
  refused: string;
  /** The argument of the option; empty for one without. */
  argument: string;
  /** Index of the word to look at next; after `next` gave false, of the first operand. */
  optionIndex: number;
  readonly #short: string;
  readonly #long: readonly LongOption[] | null;
  readonly #report: (text: string) => void;
  /** The rest of a word with several letters. */
  #cluster: string;
  /** The words before this index are options; those from here to `optionIndex` are operands. */
  #firstOperand: number;

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
    this.name = '';
    this.refused = '';
    this.argument = '';
    this.optionIndex = 1;
    this.#cluster = '';
    this.#firstOperand = 1;
  }

  /** Goes on to the next option; false when only operands are left. */
  next(): boolean {
    const { argv } = this;
    this.argument = '';
    if (this.#cluster === '') {
      let word = argv[this.optionIndex];
      // A lone "-" is an operand, too.
      while (word !== undefined && (word.charCodeAt(0) !== HYPHEN || word.length === 1)) {
        this.optionIndex += 1;
        word = argv[this.optionIndex];
      }
      if (word === undefined || word === '--') {
        if (word !== undefined) this.#passWord();
        this.optionIndex = this.#firstOperand;
        return false;
      }
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

  /** Goes on behind a word that belongs to an option: it comes before the operands so far. */
  #passWord(): void {
    if (this.#firstOperand < this.optionIndex) {
      const words = this.argv.splice(this.optionIndex, 1);
      this.argv.splice(this.#firstOperand, 0, ...words);
    }
    this.#firstOperand += 1;
    this.optionIndex += 1;
  }

  #shortOption(): void {
    // One character, also if it is two units.
    const letter = String.fromCodePoint(this.#cluster.codePointAt(0) ?? 0);
    this.refused = letter;
    const rest = this.#cluster.slice(letter.length);
    this.name = letter;
    this.#cluster = rest;
    if (rest === '') this.#passWord();
    const index = letter === ':' || letter === ';' ? -1 : this.#short.indexOf(letter);
    if (index < 0) {
      this.#refuse(`invalid option -- '${letter}'`);
      return;
    }
    if (this.#short[index + 1] !== ':') return;

    this.#cluster = '';
    if (rest !== '') {
      this.#passWord();
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
    this.#passWord();
    this.argument = argument;
  }

  #longOption(table: readonly LongOption[], text: string): void {
    this.#passWord();
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
