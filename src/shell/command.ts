/** What a shell command is: one literal, from which usage, help, completion and manual come. */
import type { Session } from './session.ts';

/** A command: its words, its bounds, its help, and what it does. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** The operands and options in the usage line; left out if it takes none. */
  readonly args?: string;
  readonly oneline: string;
  /** Bounds for the number of words behind the name, options included. */
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Whether words that `minArgs` and `maxArgs` refuse, as qemu-io does, are an extension of ours. */
  readonly acceptsAlso?: (argv: readonly string[]) => boolean;
  /** Refused while no image is open. */
  readonly needsFile: boolean;
  /** Bits of `Perm` that the backend must have; once asked for, they stay. */
  readonly perm?: number;
  /** Letters of the options, as getopt takes them. */
  readonly options?: string;
  /** What an option's argument can be, by letter, for completion. */
  readonly optionValues?: Readonly<Record<string, readonly string[]>>;
  /** What each option does: lines of the help, by letter. */
  readonly optionHelp?: Readonly<Record<string, string>>;
  /** Paragraphs below the usage line, in lines; an example is a line that starts with two spaces. */
  readonly help?: readonly string[];
  /** What the operands are, for completion; the last kind goes for all that follow. */
  readonly operands?: readonly OperandKind[] | OperandChooser;
  /** Rules, breakpoints, the state or the image are other ones afterwards: the views are told. */
  readonly changesPicture?: true;
  /** It turns the event loop itself, and so runs outside of a coroutine. */
  readonly polls?: true;
  /**
   * Does the work; `argv[0]` is the name as typed. Throws `CommandFailure` after it has said what is wrong, or
   * `BlockError` to have it said as "qemu-io: …".
   */
  run(session: Session, argv: string[]): Outcome;
}

/**
 * What a command has to say when it is done. It is said after the turn of the loop in which its request ended: requests in
 * the background that end in the same turn report first (observed with qemu-io 7.2.22).
 */
export type Report = () => void;

/** A promise only if the command has to wait. */
export type Outcome = void | Promise<void | Report>;

/** What the operand behind `operands` is; `word` is what of it is typed so far. */
export type OperandChooser = (session: Session, operands: readonly string[], word: string) => OperandKind;

/** A list is of the words that it can be. */
export type OperandKind =
  | readonly string[]
  | 'offset'
  | 'length'
  | 'event'
  | 'tag'
  | 'file'
  | 'command'
  | 'on/off'
  | 'word';

/** A command that failed and has said so; `errno` is positive. It carries no stack: it is part of normal work. */
export class CommandFailure extends Error {
  readonly errno: number;
  /** The session has to print the usage line. */
  readonly wantsUsage: boolean;

  constructor(errno: number, wantsUsage = false) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(`command failed: errno ${errno}`);
    Error.stackTraceLimit = limit;
    this.name = 'CommandFailure';
    this.errno = errno;
    this.wantsUsage = wantsUsage;
  }
}

/** "name args -- oneline", under the name given. */
export function usageLine(command: Command, name: string = command.name): string {
  const args = command.args === undefined ? '' : `${command.args} `;
  return `${name} ${args}-- ${command.oneline}\n`;
}

/** The commands of a shell, sorted by name. */
export class CommandTable {
  readonly #commands: readonly Command[];
  readonly #byName = new Map<string, Command>();

  constructor(commands: readonly Command[]) {
    this.#commands = commands;
    for (const command of commands) {
      this.#note(command.name, command);
      for (const alias of command.aliases ?? []) this.#note(alias, command);
    }
  }

  #note(name: string, command: Command): void {
    if (this.#byName.has(name)) throw new Error(`two commands are called ${name}`);
    this.#byName.set(name, command);
  }

  /** Every command once, by name. */
  get all(): readonly Command[] {
    return this.#commands.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** A command by its name or an alias. */
  find(name: string): Command | undefined {
    return this.#byName.get(name);
  }
}
