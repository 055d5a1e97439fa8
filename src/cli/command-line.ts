/** The command line: qemu-io's options with its checks and messages, and a few of ours. */
import { type Compat, compatOf, defaultCompat } from '../block/compat.ts';
import { parseAio, CACHE_FLAGS, parseCacheMode, parseDiscard } from '../block/options/cache-mode.ts';
import { BlockError, invalidArgument } from '../block/error.ts';
import { Open } from '../block/flags.ts';
import { Getopt, type LongOption } from '../shell/words/getopt.ts';
import type { UserObject } from '../block/user-object.ts';
import { checkTraceOption } from './trace-option.ts';
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

const shortOptions = 'hVc:d:f:rsnCmki:t:T:U';
const longOptions: readonly LongOption[] = [
  { name: 'help', argument: 'none', value: 'h' },
  { name: 'version', argument: 'none', value: 'V' },
  { name: 'cmd', argument: 'required', value: 'c' },
  { name: 'format', argument: 'required', value: 'f' },
  { name: 'read-only', argument: 'none', value: 'r' },
  { name: 'snapshot', argument: 'none', value: 's' },
  { name: 'nocache', argument: 'none', value: 'n' },
  { name: 'copy-on-read', argument: 'none', value: 'C' },
  { name: 'misalign', argument: 'none', value: 'm' },
  { name: 'native-aio', argument: 'none', value: 'k' },
  { name: 'aio', argument: 'required', value: 'i' },
  { name: 'discard', argument: 'required', value: 'd' },
  { name: 'cache', argument: 'required', value: 't' },
  { name: 'trace', argument: 'required', value: 'T' },
  { name: 'object', argument: 'required', value: 'object' },
  { name: 'image-opts', argument: 'none', value: 'image-opts' },
  { name: 'force-share', argument: 'none', value: 'U' },
];
/** Ours. They must be written out, so that the abbreviations of qemu-io's options stay what they are. */
const ownOptions: readonly LongOption[] = [
  { name: 'blkdebug', argument: 'none', value: 'D' },
  { name: 'execute', argument: 'required', value: 'x' },
  { name: 'prompt', argument: 'required', value: 'prompt' },
  { name: 'bail', argument: 'none', value: 'bail' },
  { name: 'compat', argument: 'required', value: 'compat' },
  { name: 'demo', argument: 'none', value: 'demo' },
  { name: 'sandbox', argument: 'none', value: 'sandbox' },
  { name: 'live', argument: 'none', value: 'live' },
  { name: 'record', argument: 'required', value: 'record' },
  { name: 'monitor', argument: 'required', value: 'monitor' },
  { name: 'export', argument: 'required', value: 'export' },
  { name: 'once', argument: 'none', value: 'once' },
];

/** Every option that the command line takes, for a test that holds them against what `program.ts` declares. */
export const acceptedOptions = { short: `${shortOptions}Dx:`, long: [...longOptions, ...ownOptions] };

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
    return await new ArgumentParser(console).parse(words);
  } catch (error) {
    if (error instanceof Exit) return error;
    if (!(error instanceof BlockError)) throw error;
    console.stderr(`${console.programName}: ${error.message}\n`);
    return new Exit(1);
  }
}

class ArgumentParser {
  readonly #console: Console;
  readonly #commands: string[] = [];
  readonly #scripts: string[] = [];
  #blkdebug = false;
  #prompt: string | null = null;
  readonly #objects = new Map<string, UserObject>();
  #format: string | null = null;
  #flags: number = Open.UNMAP;
  #writethrough = true;
  #readOnly = false;
  #forceShare = false;
  #imageOptions = false;
  #misalign = false;
  #bail = false;
  #compat: string | null = null;
  #demo = false;
  #sandbox = false;
  #live = false;
  #record: string | null = null;
  #monitor: string | null = null;
  readonly #exports: string[] = [];
  #once = false;
  #wantsTrace = false;

  constructor(console: Console) {
    this.#console = console;
  }

  async parse(words: readonly string[]): Promise<Invocation> {
    const { programName } = this.#console;
    // As words of their own: in a cluster, or with nothing behind it, -x stays an error of qemu-io's.
    const hasScript = words.includes('-x') && words.at(-1) !== '-x';
    const short = shortOptions + (words.includes('-D') ? 'D' : '') + (hasScript ? 'x:' : '');
    const long = [...longOptions, ...ownOptions.filter(({ name }) => isWrittenOut(name, words))];
    const complain = (text: string): void => this.#console.stderr(text);
    const options = new Getopt([programName, ...words], short, complain, long);
    while (options.next()) {
      if (options.name === 'object') await this.#makeObject(options.argument);
      else this.#take(options.name, options.argument);
    }

    const { operands } = options;
    if (operands.length > 1) throw new Exit(1, true);
    if (this.#format !== null && this.#imageOptions)
      throw invalidArgument('--image-opts and -f are mutually exclusive');
    if (this.#blkdebug && operands.length === 0) throw invalidArgument('-D needs a file');
    if (this.#blkdebug && this.#imageOptions) throw invalidArgument('-D and --image-opts are mutually exclusive');
    return {
      commands: this.#commands,
      scripts: this.#scripts,
      blkdebug: this.#blkdebug,
      prompt: this.#prompt,
      file: operands[0] ?? null,
      format: this.#format,
      flags: this.#readOnly ? this.#flags : this.#flags | Open.READ_WRITE,
      writethrough: this.#writethrough,
      forceShare: this.#forceShare,
      imageOptions: this.#imageOptions,
      misalign: this.#misalign,
      objects: this.#objects,
      bail: this.#bail,
      compat: this.#chosenCompat(),
      demo: this.#demo,
      sandbox: this.#sandbox,
      live: this.#live,
      record: this.#record,
      monitor: this.#monitor,
      exports: this.#exports,
      once: this.#once,
      wantsTrace: this.#wantsTrace,
    };
  }

  #take(name: string, value: string): void {
    switch (name) {
      case 'h':
        throw new Exit(0, true);
      case 'V':
        this.#console.stdout(versionText(this.#chosenCompat()));
        throw new Exit(0);
      case 'c':
        this.#commands.push(value);
        break;
      case 'f':
        this.#format = value;
        break;
      case 'r':
        this.#readOnly = true;
        break;
      case 's':
        this.#flags |= Open.SNAPSHOT;
        break;
      case 'n':
        this.#flags |= Open.NO_CACHE;
        this.#writethrough = false;
        break;
      case 'C':
        this.#flags |= Open.COPY_ON_READ;
        break;
      case 'm':
        this.#misalign = true;
        break;
      case 'k':
        this.#flags |= Open.NATIVE_AIO;
        break;
      case 'U':
        this.#forceShare = true;
        break;
      case 'i':
        this.#flags |= known(parseAio(value), 'aio', value).flags;
        break;
      case 'd':
        this.#flags = (this.#flags & ~Open.UNMAP) | known(parseDiscard(value), 'discard', value).flags;
        break;
      case 't':
        this.#takeCacheMode(value);
        break;
      case 'T':
        this.#takeTrace(checkTraceOption(value, this.#console));
        break;
      case 'image-opts':
        this.#imageOptions = true;
        break;
      default:
        this.#takeOwn(name, value);
    }
  }

  async #makeObject(definition: string): Promise<void> {
    const { createObject } = await import('./objects.ts');
    const say = (text: string): void => this.#console.stdout(text);
    // Only a version that stands before the object is known here.
    if (createObject(definition, this.#objects, say, this.#chosenCompat()) === 'help') throw new Exit(0);
  }

  /** An option that qemu-io does not have. */
  #takeOwn(name: string, value: string): void {
    switch (name) {
      case 'D':
        this.#blkdebug = true;
        break;
      case 'x':
        this.#scripts.push(value);
        break;
      case 'prompt':
        this.#prompt = value;
        break;
      case 'bail':
        this.#bail = true;
        break;
      case 'compat':
        this.#compat = value;
        break;
      case 'demo':
        this.#demo = true;
        break;
      case 'sandbox':
        this.#sandbox = true;
        break;
      case 'live':
        this.#live = true;
        break;
      case 'record':
        this.#record = value;
        break;
      case 'monitor':
        this.#monitor = value;
        break;
      case 'export':
        this.#exports.push(value);
        break;
      case 'once':
        this.#once = true;
        break;
      default:
        throw new Exit(1, true);
    }
  }

  /** `--compat`, else what the environment says, for suites that call the program by its name alone. */
  #chosenCompat(): Compat {
    const name = this.#compat ?? process.env.BLKSCOPE_COMPAT ?? '';
    return name === '' ? defaultCompat : compatOf(name);
  }

  #takeTrace(status: 0 | 1 | null): void {
    if (status !== null) throw new Exit(status);
    this.#wantsTrace = true;
  }

  #takeCacheMode(mode: string): void {
    const { flags, writethrough } = known(parseCacheMode(mode), 'cache', mode);
    this.#flags = (this.#flags & ~CACHE_FLAGS) | flags;
    this.#writethrough = writethrough;
  }
}

/** Whether an option is there in full, with or without its argument. */
function isWrittenOut(name: string, words: readonly string[]): boolean {
  return words.some((word) => word === `--${name}` || word.startsWith(`--${name}=`));
}

/** The mode, if there is one of that name. */
function known<T>(mode: T | null, option: string, name: string): T {
  if (mode === null) throw invalidArgument(`Invalid ${option} option: ${name}`);
  return mode;
}
