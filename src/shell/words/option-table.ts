/**
 * Options of commands: declared once, typed; letters, usage, help, completion and the parsed record come from there.
 */
import type { Change, Compat } from '../../block/compat.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { Errno } from '../../util/errno.ts';
import { Getopt } from './getopt.ts';

/** One letter of an option: what it is called, and how it changes the option's value. */
interface OptionLetter<T> {
  readonly letter: string;
  /** The name of its argument in the usage line; left out if it takes none. */
  readonly argument?: string;
  readonly help: string;
  /** Values that completion offers for the argument. */
  readonly values?: readonly string[];
  /** It is not in the usage line, as qemu-io leaves it out. */
  readonly isHidden?: boolean;
  /** Nothing behind it is looked at. */
  readonly endsParsing?: boolean;
  /** The change of QEMU that brought it; left out for a letter of 7.2 or of ours. */
  readonly since?: Change;
  /**
   * The option's value once this letter was read; `before` is the value so far. Refuses a bad argument as it is met.
   */
  take(before: T, argument: string, session: SessionState): T;
}

/** An option: its value where it is not given, and the letters that set it. */
export interface Option<T> {
  readonly initial: T;
  readonly letters: readonly OptionLetter<T>[];
}

type Extras = Partial<Pick<OptionLetter<unknown>, 'values' | 'isHidden' | 'endsParsing' | 'since'>>;

/** An option without an argument: whether it was given. */
export function flag(letter: string, help: string, extras: Extras = {}): Option<boolean> {
  return { initial: false, letters: [{ letter, help, ...extras, take: () => true }] };
}

/** An option with an argument, parsed by `parse`; null where it is not given. The last one counts. */
export function setting<T>(
  letter: string,
  argument: string,
  help: string,
  parse: (session: SessionState, text: string) => T,
  extras: Extras = {},
): Option<T | null> {
  return {
    initial: null,
    letters: [{ letter, argument, help, ...extras, take: (_before, text, session) => parse(session, text) }],
  };
}

/** An option with an argument that is taken as it stands. */
export function textSetting(letter: string, argument: string, help: string): Option<string | null> {
  return setting(letter, argument, help, (_session, text) => text);
}

// oxlint-disable-next-line typescript/no-explicit-any -- each option has a value of its own type
type Options = Readonly<Record<string, Option<any>>>;

/** The record that parsing gives: a value for each option of a table. */
export type OptionValues<O extends Options> = {
  -readonly [Name in keyof O]: O[Name] extends Option<infer T> ? T : never;
};

/** The parsed record of a table. */
export type ValuesOf<T> = T extends OptionTable<infer O> ? OptionValues<O> : never;

/** A parsed command line: the values of the options, and the words, of which the operands are left. */
export interface ParsedWords<O extends Options> {
  readonly options: OptionValues<O>;
  readonly words: Getopt;
}

/** The options of one command. Usage lists them as they are declared: first those without an argument. */
export class OptionTable<O extends Options = Options> {
  /** The letters as getopt takes them, of the version that was asked for last: a session has one. */
  #letters = '';
  #lettersOf: Compat | null = null;
  readonly #initial: OptionValues<O>;
  readonly #byLetter = new Map<string, { readonly name: keyof O; readonly letter: OptionLetter<unknown> }>();

  constructor(options: O) {
    const initial: Record<string, unknown> = {};
    for (const [name, option] of Object.entries(options)) {
      initial[name] = option.initial;
      for (const letter of option.letters) this.#byLetter.set(letter.letter, { name, letter });
    }
    this.#initial = initial as OptionValues<O>;
  }

  #all(compat: Compat): OptionLetter<unknown>[] {
    return [...this.#byLetter.values()]
      .map(({ letter }) => letter)
      .filter(({ since }) => since === undefined || compat.has(since));
  }

  /** The letters of a version as getopt takes them. */
  letters(compat: Compat): string {
    if (compat !== this.#lettersOf) {
      this.#lettersOf = compat;
      const letters = this.#all(compat).map(({ letter, argument }) => letter + (argument === undefined ? '' : ':'));
      this.#letters = letters.join('');
    }
    return this.#letters;
  }

  /**
   * Reads the options of a command line as getopt does; `argv` is reordered. A word that is no option, or lacks its
   * argument, ends in the usage line; a bad argument is refused when it is met.
   */
  parse(session: SessionState, argv: string[]): ParsedWords<O> {
    const words = new Getopt(argv, this.letters(session.context.compat), session.complain);
    let options = this.#initial;
    while (words.next()) {
      const found = this.#byLetter.get(words.name);
      if (found === undefined) {
        this.#hintLetter(session, words.refused);
        throw new CommandFailure(Errno.EINVAL, true);
      }
      const { name, letter } = found;
      if (options === this.#initial) options = { ...options };
      options[name] = letter.take(options[name], words.argument, session) as (typeof options)[keyof O];
      if (letter.endsParsing === true) break;
    }
    return { options, words };
  }

  /** The operands of a line; null if `parse` would refuse a letter of it. Says nothing, and leaves `argv` as it is. */
  operandsOf(argv: readonly string[], compat: Compat): readonly string[] | null {
    const words = new Getopt([...argv], this.letters(compat), () => {});
    while (words.next()) {
      const found = this.#byLetter.get(words.name);
      if (found === undefined) return null;
      if (found.letter.endsParsing === true) break;
    }
    return words.operands;
  }

  /** A letter that is one in the other case was meant so; else the letters are listed. */
  #hintLetter(session: SessionState, letter: string): void {
    const other = letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase();
    const letters = this.#all(session.context.compat).map((known) => known.letter);
    if (letters.includes(letter)) session.hint(`-${letter} needs a value`);
    else if (letters.includes(other)) session.hint(`did you mean -${other}?`);
    else session.hint(`the options are ${letters.map((known) => `-${known}`).join(' ')}`);
  }

  /** The options in the usage line: "[-Cq] [-P pattern]". */
  usage(compat: Compat): string {
    const shown = this.#all(compat).filter(({ isHidden }) => isHidden !== true);
    const flags = shown.filter(({ argument }) => argument === undefined).map(({ letter }) => letter);
    return [
      ...(flags.length === 0 ? [] : [`[-${flags.join('')}]`]),
      ...shown.flatMap(({ letter, argument }) => (argument === undefined ? [] : [`[-${letter} ${argument}]`])),
    ].join(' ');
  }

  /** Each letter with its help, in the order of the alphabet, small letters first. */
  help(compat: Compat): readonly Pick<OptionLetter<unknown>, 'letter' | 'help' | 'since'>[] {
    const key = (letter: string): string => letter.toLowerCase() + (letter === letter.toLowerCase() ? '0' : '1');
    return this.#all(compat).toSorted((a, b) => (key(a.letter) < key(b.letter) ? -1 : 1));
  }

  /** Whether a letter is followed by an argument. */
  takesArgument(letter: string): boolean {
    return this.#byLetter.get(letter)?.letter.argument !== undefined;
  }

  /** Values that could be typed as a letter's argument. */
  valuesOf(letter: string): readonly string[] {
    return this.#byLetter.get(letter)?.letter.values ?? [];
  }
}
