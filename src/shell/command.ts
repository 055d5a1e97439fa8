/** A shell command: one literal, from which usage, help, completion and manual come. */
import type { Change, Compat } from '../block/compat.ts';
import { assert } from '../util/assert.ts';
import type { Answer } from '../util/steps.ts';
import type { SessionState } from './session-state.ts';
import type { OptionTable } from './words/option-table.ts';

/** A command: its words, its bounds, its help, and its work. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  /** The change of QEMU that brought it; left out for a command of 7.2 or of ours. */
  readonly since?: Change;
  /** The operands in the usage line, behind the options; left out if it takes none. */
  readonly args?: string;
  /** All that follows the name in the usage line, where qemu-io's line is not what its options are. */
  readonly usage?: string | ((compat: Compat) => string);
  readonly oneline: string;
  /** Bounds for the number of words behind the name, options included. */
  readonly minArgs: number;
  readonly maxArgs: number;
  /** Whether words that `minArgs` and `maxArgs` refuse, as qemu-io does, are an extension of ours. */
  readonly acceptsAlso?: (argv: readonly string[], session: SessionState) => boolean;
  /** Explains on a terminal words that were refused for their number. */
  readonly explainCount?: (session: SessionState, argv: readonly string[]) => void;
  /** Refused while no image is open. */
  readonly needsFile: boolean;
  /** Bits of `Perm` that the backend must have; once asked for, they stay. */
  readonly perm?: number;
  /** It changes nothing of the image: `diff` goes on comparing with the command before it. */
  readonly looksOnly?: true | ((argv: readonly string[]) => boolean);
  /** Though it changes nothing of the image, it changes what later commands of the session do. */
  readonly changesSession?: true;
  readonly options?: OptionTable;
  /** Paragraphs below the usage line, in lines; an example is a line that starts with two spaces. */
  readonly help?: readonly string[];
  /** The kinds of the operands, for completion; the last one goes for all that follow. */
  readonly operands?: readonly OperandKind[] | OperandChooser;
  /** All that follows the name is one word. Only where lines may hold what qemu-io does not know. */
  readonly takesLine?: true;
  /** It turns the event loop itself, and so runs outside of a coroutine. */
  readonly polls?: true;
  /**
   * It acts on more than the image (other files, sockets, the process itself), always or with some words. A search,
   * which runs scripts over images in memory, refuses it.
   */
  readonly actsOutside?: true | ((argv: readonly string[]) => boolean);
  /**
   * Does the work; `argv[0]` is the name as typed. Throws `CommandFailure` after it has said what is wrong, or
   * `BlockError` to have it said as "qemu-io: …".
   */
  run(session: SessionState, argv: string[], shell: Shell): Outcome;
}

/** A session with the commands that work on it. */
export interface Shell {
  readonly session: SessionState;
  readonly commands: CommandTable;
  /** Runs a command line: 0, or the negative errno of its failure. */
  execute(line: string): Answer<number>;
  /** The words that a line would be run as; those of gdb, at a prompt, are what they stand for. */
  wordsOf(line: string): string[];
  /**
   * For commands with `polls`: does the part that must run as a coroutine. Fails as the body does; if the body is
   * suspended, it goes on when something wakes it, as other commands do.
   */
  runRequest(command: Command, argv: readonly string[], body: () => Promise<void>): Promise<void>;
}

/**
 * The last words of a command. They are said after the turn of the loop in which its request ended: requests in the
 * background that end in the same turn report first (observed with qemu-io 7.2.22). A promise only if that takes long.
 */
export type Report = () => Answer<void>;

/** Nothing if the command is done and has reported; a promise only if it has to wait. */
export type Outcome = void | Promise<void | Report>;

/** Chooses the kind of the operand behind `operands`; `word` is the part of it that is typed so far. */
export type OperandChooser = (session: SessionState, operands: readonly string[], word: string) => OperandKind;

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

/** "name options operands -- oneline", under the name given. */
export function usageLine(command: Command, compat: Compat, name: string = command.name): string {
  const { usage, options, args, oneline } = command;
  const given = typeof usage === 'function' ? usage(compat) : usage;
  const words = given === undefined ? [options?.usage(compat), args].filter(Boolean) : [given];
  return `${[name, ...words].join(' ')} -- ${oneline}\n`;
}

/** Whether a command changes nothing of the image with these words. */
export function looksOnly({ looksOnly: where }: Command, argv: readonly string[]): boolean {
  return where === true || (where !== undefined && where(argv));
}

/** Commands by purpose: "images", "data", … */
export type CommandGroups = Readonly<Record<string, readonly Command[]>>;

/** The commands of a shell. */
export class CommandTable {
  #groups: CommandGroups;
  #loadAll: (() => Promise<CommandGroups>) | null;
  readonly #byName = new Map<string, Command>();

  /** With `loadAll`, `groups` are only those that are there from the start. */
  constructor(groups: CommandGroups, loadAll: (() => Promise<CommandGroups>) | null = null) {
    this.#groups = groups;
    this.#loadAll = loadAll;
    this.#indexNames();
  }

  #indexNames(): void {
    for (const command of Object.values(this.#groups).flat()) {
      for (const name of [command.name, ...(command.aliases ?? [])]) {
        assert(!this.#byName.has(name), `only one command is called ${name}`);
        this.#byName.set(name, command);
      }
    }
  }

  /** Every command is there; else what `find` does not find may come with `complete`. */
  get isComplete(): boolean {
    return this.#loadAll === null;
  }

  /** Loads the commands that are not there yet. */
  async complete(): Promise<void> {
    if (this.#loadAll === null) return;
    this.#groups = await this.#loadAll();
    this.#loadAll = null;
    this.#byName.clear();
    this.#indexNames();
  }

  get groups(): CommandGroups {
    assert(this.isComplete, 'all commands are loaded');
    return this.#groups;
  }

  /** Every command once, by name. */
  get all(): readonly Command[] {
    return Object.values(this.groups)
      .flat()
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Every name and alias. */
  get names(): readonly string[] {
    assert(this.isComplete, 'all commands are loaded');
    return [...this.#byName.keys()];
  }

  /** A command by its name or an alias. */
  find(name: string): Command | undefined {
    return this.#byName.get(name);
  }
}
