/** The command line: qemu-io's options with its checks and messages, and a few of ours. */
import { type Compat, compatOf, defaultCompat } from '../block/compat.ts';
import { parseAio, CACHE_FLAGS, parseCacheMode, parseDiscard } from '../block/options/cache-mode.ts';
import { BlockError, invalidArgument } from '../block/error.ts';
import { Open } from '../block/flags.ts';
import { Getopt, type LongOption } from '../shell/words/getopt.ts';
import type { UserObject } from '../block/user-object.ts';
import { versionText } from './version.ts';

/** A command line, checked. */
export interface Invocation {
  /** The lines of `-c`. With any, standard input is not read. */
  readonly commands: readonly string[];
  readonly file: string | null;
  /** Files of commands that run first. */
  readonly scripts: readonly string[];
  /** A blkdebug node goes between the format and the file. */
  readonly blkdebug: boolean;
  /** The prompt; null for the program's own. */
  readonly prompt: string | null;
  readonly format: string | null;
  /** Bits of `Open`. */
  readonly flags: number;
  readonly writethrough: boolean;
  readonly forceShare: boolean;
  readonly imageOptions: boolean;
  /** The objects of `--object`, by id. */
  readonly objects: ReadonlyMap<string, UserObject>;
  readonly misalign: boolean;
  /** Piped input stops at its first error. */
  readonly bail: boolean;
  /** The version of QEMU whose behaviour is asked for. */
  readonly compat: Compat;
  /** Open a temporary image instead of a file. */
  readonly demo: boolean;
  /** Work on a copy in memory. */
  readonly sandbox: boolean;
  /** Show the panel above the prompt. */
  readonly live: boolean;
  /** Keep the run in this file. */
  readonly record: string | null;
  /** Let others watch through this socket. */
  readonly monitor: string | null;
  /** Offer the image to NBD clients at these addresses. */
  readonly exports: readonly string[];
  /** A server without a shell ends when its last client has left. */
  readonly once: boolean;
  /** Tracing was asked for, which is QEMU's own. */
  readonly wantsTrace: boolean;
}

/** Where the parser speaks. */
export interface Console {
  readonly programName: string;
  stdout(text: string): void;
  stderr(text: string): void;
}

/** The options as far as they are read: an invocation without its file, whose version is still a name. */
type Given = Mutable<Omit<Invocation, 'file' | 'compat'>> & { compat: string | null };

type Mutable<T> = { -readonly [Name in keyof T]: MutableValue<T[Name]> };
type MutableValue<T> = T extends readonly string[] ? string[] : T extends ReadonlyMap<infer K, infer V> ? Map<K, V> : T;

/** Names of the fields that can hold a value of this type. */
type FieldOf<T> = { [Name in keyof Given]: T extends Given[Name] ? Name : never }[keyof Given];

const nothingGiven = (): Given => ({
  commands: [],
  scripts: [],
  blkdebug: false,
  prompt: null,
  format: null,
  flags: Open.UNMAP | Open.READ_WRITE,
  writethrough: true,
  forceShare: false,
  imageOptions: false,
  objects: new Map(),
  misalign: false,
  bail: false,
  compat: null,
  demo: false,
  sandbox: false,
  live: false,
  record: null,
  monitor: null,
  exports: [],
  once: false,
  wantsTrace: false,
});

/** An option of the command line: its names, and what it changes. */
interface ProgramOption {
  readonly name: string;
  readonly letter?: string;
  readonly argument?: 'required';
  /** Throws `Exit` if that was all, and BlockError for a bad argument. */
  take(given: Given, argument: string, console: Console): void | Promise<void>;
}

const sets =
  (name: FieldOf<true>) =>
  (given: Given): void => {
    given[name] = true;
  };
const keeps =
  (name: FieldOf<string>) =>
  (given: Given, text: string): void => {
    given[name] = text;
  };
const adds =
  (name: 'commands' | 'scripts' | 'exports') =>
  (given: Given, text: string): void => {
    given[name].push(text);
  };
const setsFlag =
  (flag: number) =>
  (given: Given): void => {
    given.flags |= flag;
  };

/** qemu-io's, in its order: getopt lists those that an abbreviation may mean. */
const qemuOptions: readonly ProgramOption[] = [
  { name: 'help', letter: 'h', take: () => end(0, true) },
  {
    name: 'version',
    letter: 'V',
    take(given, _argument, console) {
      console.stdout(versionText(chosenCompat(given)));
      end(0);
    },
  },
  { name: 'cmd', letter: 'c', argument: 'required', take: adds('commands') },
  { name: 'format', letter: 'f', argument: 'required', take: keeps('format') },
  {
    name: 'read-only',
    letter: 'r',
    take(given) {
      given.flags &= ~Open.READ_WRITE;
    },
  },
  { name: 'snapshot', letter: 's', take: setsFlag(Open.SNAPSHOT) },
  {
    name: 'nocache',
    letter: 'n',
    take(given) {
      given.flags |= Open.NO_CACHE;
      given.writethrough = false;
    },
  },
  { name: 'copy-on-read', letter: 'C', take: setsFlag(Open.COPY_ON_READ) },
  { name: 'misalign', letter: 'm', take: sets('misalign') },
  { name: 'native-aio', letter: 'k', take: setsFlag(Open.NATIVE_AIO) },
  {
    name: 'aio',
    letter: 'i',
    argument: 'required',
    take(given, mode) {
      given.flags |= known(parseAio(mode), 'aio', mode).flags;
    },
  },
  {
    name: 'discard',
    letter: 'd',
    argument: 'required',
    take(given, mode) {
      given.flags = (given.flags & ~Open.UNMAP) | known(parseDiscard(mode), 'discard', mode).flags;
    },
  },
  {
    name: 'cache',
    letter: 't',
    argument: 'required',
    take(given, mode) {
      const { flags, writethrough } = known(parseCacheMode(mode), 'cache', mode);
      given.flags = (given.flags & ~CACHE_FLAGS) | flags;
      given.writethrough = writethrough;
    },
  },
  {
    name: 'trace',
    letter: 'T',
    argument: 'required',
    async take(given, text, console) {
      const { checkTraceOption } = await import('./trace-option.ts');
      const status = checkTraceOption(text, console);
      if (status !== null) end(status);
      given.wantsTrace = true;
    },
  },
  {
    name: 'object',
    argument: 'required',
    async take(given, definition, console) {
      const { createObject } = await import('./objects.ts');
      const say = (text: string): void => console.stdout(text);
      // Only a version that stands before the object is known here.
      if (createObject(definition, given.objects, say, chosenCompat(given)) === 'help') end(0);
    },
  },
  { name: 'image-opts', take: sets('imageOptions') },
  { name: 'force-share', letter: 'U', take: sets('forceShare') },
];

/** Ours. They must be written out, so that the abbreviations and clusters of qemu-io's options stay what they are. */
const ownOptions: readonly ProgramOption[] = [
  { name: 'blkdebug', letter: 'D', take: sets('blkdebug') },
  { name: 'execute', letter: 'x', argument: 'required', take: adds('scripts') },
  { name: 'prompt', argument: 'required', take: keeps('prompt') },
  { name: 'bail', take: sets('bail') },
  { name: 'compat', argument: 'required', take: keeps('compat') },
  { name: 'demo', take: sets('demo') },
  { name: 'sandbox', take: sets('sandbox') },
  { name: 'live', take: sets('live') },
  { name: 'record', argument: 'required', take: keeps('record') },
  { name: 'monitor', argument: 'required', take: keeps('monitor') },
  { name: 'export', argument: 'required', take: adds('exports') },
  { name: 'once', take: sets('once') },
];

/** The value of `Getopt.name` for an option, whichever of its names is written. */
const valueOf = ({ letter, name }: ProgramOption): string => letter ?? name;
const options = new Map([...qemuOptions, ...ownOptions].map((option) => [valueOf(option), option]));

/** The letters of options as getopt takes them: behind one with an argument is a colon. */
function lettersOf(these: readonly ProgramOption[]): string {
  return these
    .map(({ letter = '', argument }) => (letter !== '' && argument !== undefined ? `${letter}:` : letter))
    .join('');
}

function longOf(these: readonly ProgramOption[]): LongOption[] {
  return these.map((option) => ({
    name: option.name,
    argument: option.argument ?? 'none',
    value: valueOf(option),
  }));
}

/** Every option that the command line takes, for a test that holds them against what `program.ts` declares. */
export const acceptedOptions = {
  short: lettersOf([...qemuOptions, ...ownOptions]),
  long: longOf([...qemuOptions, ...ownOptions]),
};

/** First words that are no image; a test holds them against what `program.ts` declares. */
export const subcommandNames: ReadonlySet<string> = new Set([
  'attach',
  'ctl',
  'report',
  'serve',
  'sweep',
  'explore',
  'crash',
  'merge',
  'replay',
  'completion',
  'manual',
  'help',
]);

/** Nothing to open: the program ends with this status, after its usage if that is wanted. */
export class Exit {
  readonly status: 0 | 1;
  readonly wantsUsage: boolean;

  constructor(status: 0 | 1, wantsUsage = false) {
    this.status = status;
    this.wantsUsage = wantsUsage;
  }
}

/** Reads the words behind the program's name. `Exit` if that was all, or if something is wrong with them. */
export async function parseArguments(words: readonly string[], console: Console): Promise<Invocation | Exit> {
  try {
    return await parse(words, console);
  } catch (error) {
    if (error instanceof Exit) return error;
    if (!(error instanceof BlockError)) throw error;
    console.stderr(`${console.programName}: ${error.message}\n`);
    return new Exit(1);
  }
}

async function parse(words: readonly string[], console: Console): Promise<Invocation> {
  const short = lettersOf([...qemuOptions, ...ownOptions.filter((option) => isLetterWritten(option, words))]);
  const long = longOf([...qemuOptions, ...ownOptions.filter(({ name }) => isWrittenOut(name, words))]);
  const found = new Getopt([console.programName, ...words], short, (text) => console.stderr(text), long);
  const given = nothingGiven();
  while (found.next()) {
    const option = options.get(found.name) ?? end(1, true);
    const taking = option.take(given, found.argument, console);
    if (taking !== undefined) await taking;
  }

  const { operands } = found;
  if (operands.length > 1) end(1, true);
  if (given.format !== null && given.imageOptions) throw invalidArgument('--image-opts and -f are mutually exclusive');
  if (given.blkdebug && operands.length === 0) throw invalidArgument('-D needs a file');
  if (given.blkdebug && given.imageOptions) throw invalidArgument('-D and --image-opts are mutually exclusive');
  return { ...given, file: operands[0] ?? null, compat: chosenCompat(given) };
}

/** Ends the reading: there is nothing to open. */
function end(status: 0 | 1, wantsUsage = false): never {
  throw new Exit(status, wantsUsage);
}

/** `--compat`, else what the environment says, for suites that call the program by its name alone. */
function chosenCompat({ compat }: Given): Compat {
  const name = compat ?? process.env.BLKSCOPE_COMPAT ?? '';
  return name === '' ? defaultCompat : compatOf(name);
}

/** Whether an option is there in full, with or without its argument. */
function isWrittenOut(name: string, words: readonly string[]): boolean {
  return words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
}

/** Whether a letter is a word of its own: in a cluster, or without its argument, it stays an error of qemu-io's. */
function isLetterWritten({ letter, argument }: ProgramOption, words: readonly string[]): boolean {
  if (letter === undefined || !words.includes(`-${letter}`)) return false;
  return argument === undefined || words.at(-1) !== `-${letter}`;
}

/** The mode, if there is one of that name. */
function known<T>(mode: T | null, option: string, name: string): T {
  if (mode === null) throw invalidArgument(`Invalid ${option} option: ${name}`);
  return mode;
}
