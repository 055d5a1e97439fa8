/**
 * The program as its users know it, declared through commander: options, operands and subcommands with their help. The
 * help texts, the README, the manual page and the completions are made from it, and it runs the subcommands. The
 * options of a session are parsed by `command-line.ts`, as qemu-io's messages are those of getopt_long(3); a test holds
 * its table against this one. Loaded for help and subcommands only.
 */
import { wrapParagraphs } from '../shell/output/wrap.ts';
import { commonOptions, strategies } from './search/search-words.ts';
import { Argument, Command, CommanderError, Help, Option } from 'commander';

/** The work of the subcommands; each resolves with the exit status. Those left out do nothing. */
export interface Actions {
  readonly attach?: (socket: string) => Promise<number>;
  readonly ctl?: (socket: string, commands: readonly string[], options: CtlFlags) => Promise<number>;
  readonly report?: (recording: string, output: string) => Promise<number>;
  readonly merge?: (files: readonly string[]) => Promise<number>;
  readonly replay?: (file: string, image?: string) => Promise<number>;
  readonly completion?: (shell: string) => Promise<number>;
  readonly manual?: () => Promise<number>;
}

/** The options of `ctl`. */
interface CtlFlags {
  readonly json?: true;
  readonly shutdown?: true;
}

/** Where a subcommand's help and complaints go. */
export interface Streams {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly columns?: number | undefined;
}

/** Below the options of a search. */
const searchHelp = [
  'SCRIPT is a file of commands, as qemu-io reads them. They run again and again on the image in memory; the files of the',
  'image are only read. The options that say what to open and how are those of the program, before the image. Where the',
  'image has no blkdebug node, one is put below its format.',
  '',
  'Verdicts, from the worst: wrong data, corrupt, lost (acknowledged, flushed, and gone), hung, swallowed (an error that',
  'no command reports), crashed, leak, sound. The exit status is 0 if there is no find, 1 if there is one, and 2 if the',
  'search could not run, or was interrupted before it found any.',
];

/** Shells that completions are made for. */
export const completedShells = ['bash', 'zsh', 'fish'] as const;

/** The headings of the help, each with its options: flags, description. */
const optionGroups: Readonly<Record<string, readonly (readonly [flags: string, description: string])[]>> = {
  'What to open:': [
    ['-f, --format <FMT>', 'use this driver instead of probing the image'],
    ['--image-opts', 'the operand is a list of options (driver=...,file.filename=...)'],
    ['--object <DEF>', 'create an object first, such as secret,id=NAME,data=TEXT'],
    ['-r, --read-only', 'open read-only'],
    ['-s, --snapshot', 'write to a temporary overlay instead of the image'],
    ['-U, --force-share', 'open even if another process has the image locked'],
    [
      '--sandbox',
      'work on a copy in memory: the files are only read; commit writes them, goto and back travel in time',
    ],
    ['-D, --blkdebug', 'put a blkdebug node between the format and the file'],
    ['--demo', 'without a file: open a new 64 MiB qcow2 image below blkdebug; implies --live'],
  ],
  'How to access it:': [
    ['-t, --cache <MODE>', 'none, writeback, unsafe, directsync or writethrough'],
    ['-n, --nocache', 'short for -t none'],
    ['-d, --discard <MODE>', 'ignore (off) or unmap (on)'],
    ['-i, --aio <MODE>', 'threads, native or io_uring'],
    ['-k, --native-aio', 'short for -i native'],
    ['-C, --copy-on-read', 'copy what is read from a backing file to the image'],
    ['-m, --misalign', 'put the data of requests at unaligned addresses'],
  ],
  'What to do:': [
    ['-c, --cmd <STRING>', 'run this command and do not read standard input; may be repeated'],
    ['-x, --execute <FILE>', 'run this file first, as the command source does; may be repeated'],
    ['--bail', 'stop at the first command that fails'],
    ['--live', 'on a terminal: show events, rules and suspended requests above the prompt'],
    ['--prompt <TEXT>', 'the prompt; "qemu-io> " also makes messages begin with "qemu-io: "'],
    ['--record <FILE>', 'record the session: .ndjson, .json (for Perfetto) or .html'],
    ['--monitor <SOCKET>', 'let other processes watch and give commands: blkscope attach, blkscope ctl'],
    ['--export <ADDRESS>', 'offer the image to NBD clients at unix:PATH or tcp:[HOST:]PORT; may be repeated'],
    ['--compat <VERSION>', 'behave as this version of QEMU: 7.2 or 10.2; also BLKSCOPE_COMPAT in the environment'],
    ['--once', 'blkscope serve: end when the last client has left'],
    ['-T, --trace <OPTS>', "accepted for compatibility; QEMU's trace events do not exist here"],
    ['-h, --help', 'print this'],
    ['-V, --version', 'print the version'],
  ],
};

/** In a pipe, and at most: the same text everywhere that has room for it. */
const MAX_WIDTH = 100;

/**
 * qemu-io's layout: no angle brackets, no blank line below the usage, room for a short option before every long one.
 */
class PlainHelp extends Help {
  /** The room that is left beside the terms of options is filled from here on. */
  override minWidthToWrap = 20;
  override optionTerm(option: Option): string {
    const flags = option.flags.replaceAll(/[<>]/g, '');
    return option.short === undefined ? `    ${flags}` : flags;
  }

  override argumentTerm(argument: Argument): string {
    return argument.name().toUpperCase();
  }

  override subcommandTerm(command: Command): string {
    return `${command.name()} ${command.usage()}`.replace('[OPTIONS]... IMAGE', 'IMAGE').trim();
  }

  override formatHelp(command: Command, helper: Help): string {
    return super.formatHelp(command, helper).replace(/^(Usage: .*\n)\n/, '$1');
  }
}

interface ProgramOptions {
  /** Gets the status that an action resolves with. */
  readonly setStatus?: (status: number) => void;
  /** Of the terminal; undefined in a pipe. */
  readonly columns?: number | undefined;
}

/** Shared by the declarations of subcommands. */
interface Declaring {
  readonly actions: Actions;
  /** Declares a subcommand: its usage line without the program's name, and its operands, each with its meaning. */
  readonly subcommand: (
    usage: string,
    description: string,
    operands: readonly (readonly [name: string, meaning: string])[],
  ) => Command;
  /** Paragraphs below the options, as wide as the help. */
  readonly prose: (...lines: string[]) => string;
  /** Ends an action with its status; one that was left out is a success. */
  readonly end: (status: Promise<number> | undefined) => Promise<void>;
}

/** The program under a name, with its subcommands' actions. */
export function makeProgram(
  name: string,
  actions: Actions = {},
  { setStatus = () => {}, columns = MAX_WIDTH }: ProgramOptions = {},
): Command {
  const helpWidth = Math.min(columns, MAX_WIDTH);
  const program = declareSession(name, helpWidth);
  program.commandsGroup('Subcommands of blkscope:');
  program.helpCommand('help [subcommand]', 'print this, or the help of a subcommand');
  const declaring: Declaring = {
    actions,
    subcommand: (...declaration) => addSubcommand(program, ...declaration),
    prose: (...lines) => `\n${wrapParagraphs(lines, helpWidth).join('\n')}`,
    end: async (status) => setStatus((await status) ?? 0),
  };
  // The help lists them in this order.
  declareClients(declaring);
  declareReport(declaring);
  declareServer(declaring);
  declareSearches(declaring);
  declareReplay(declaring);
  declareDocuments(declaring);
  return program;
}

/** The program itself: the options of a session. */
function declareSession(name: string, helpWidth: number): Command {
  const program = new Command(name);
  program
    .usage('[OPTIONS]... [-c STRING]... [file]')
    .description('Reads and writes a disk image through its drivers, command by command.')
    .helpOption(false)
    .enablePositionalOptions()
    .addHelpText('after', `\n'${name} -c help' lists the commands of a session.`);
  program.createHelp = () => Object.assign(new PlainHelp(), { helpWidth });
  for (const [heading, options] of Object.entries(optionGroups)) {
    for (const [flags, description] of options) program.addOption(new Option(flags, description).helpGroup(heading));
  }
  return program;
}

function addSubcommand(
  program: Command,
  ...[usage, description, operands]: Parameters<Declaring['subcommand']>
): Command {
  const command = new Command(usage.split(' ', 1)[0])
    .usage(usage.slice(usage.indexOf(' ') + 1))
    .description(description);
  command.createHelp = () => program.createHelp();
  command.copyInheritedSettings(program).helpOption('-h, --help', 'print this').helpCommand(false);
  for (const [operand, meaning] of operands) command.argument(`<${operand}>`, meaning);
  program.addCommand(command);
  return command;
}

/** Clients of a session that others can watch. */
function declareClients({ actions, subcommand, prose, end }: Declaring): void {
  subcommand('attach SOCKET', 'a second console of a session that runs with --monitor SOCKET', [
    ['socket', 'the socket that the session listens on'],
  ])
    .addHelpText(
      'after',
      prose(
        'On a terminal: the panel of the session, and a line for commands of its shell. "?" shows the keys; "quit" and Ctrl-D',
        'leave it, with status 0, and the session goes on; the status is 1 if the session ends first. In a pipe: its records',
        'as NDJSON; the status is 1 if the session is killed.',
      ),
    )
    .action((socket: string) => end(actions.attach?.(socket)));
  subcommand('ctl SOCKET [COMMAND]...', 'run commands in a session that runs with --monitor SOCKET', [
    ['socket', 'the socket that the session listens on'],
  ])
    .argument('[commands...]', 'lines of the shell, each a word; without any those of standard input')
    .option('-j, --json', 'print each result as a line of JSON: status, stdout, stderr, unfinished, suspended')
    .option('--shutdown', 'end the session in order afterwards')
    .addHelpText(
      'after',
      prose(
        'It prints what the commands print. The exit status is 0 if all succeeded, 1 if one failed, and 2 if the session',
        'cannot be reached. A request that stays suspended is no failure; "quit" leaves the session as it is.',
        "  blkscope ctl SOCKET 'break l2_update A'",
        "  blkscope ctl SOCKET 'wait_break A' 'suspended -j' 'resume A'",
      ),
    )
    .action((socket: string, commands: string[], options: CtlFlags) => end(actions.ctl?.(socket, commands, options)));
}

/** Pages and traces from recordings. */
function declareReport({ actions, subcommand, end }: Declaring): void {
  subcommand('report RUN.ndjson -o OUT', 'make a page, or a file for Perfetto, from a recording', [
    ['recording', 'what --record RUN.ndjson or "record start" has written'],
  ])
    .requiredOption('-o, --output <OUT>', 'what to write: NAME.html or NAME.json')
    .action((recording: string, { output }: { output: string }) => end(actions.report?.(recording, output)));
}

/** A session without a shell, declared for its help: `main.ts` runs it. */
function declareServer({ subcommand, prose }: Declaring): void {
  subcommand('serve [OPTIONS]... FILE', 'offer the image to NBD clients, without a shell', [])
    .allowUnknownOption()
    .option('--export <ADDRESS>', 'unix:PATH or tcp:[HOST:]PORT; without HOST for this machine alone')
    .option('--monitor <SOCKET>', 'take commands: blkscope ctl, blkscope attach; this or --export is required')
    .option('--once', 'end when the last client has left')
    .addHelpText(
      'after',
      prose(
        'It takes the options of a session, too; -x FILE and -c run first. It ends on SIGTERM, SIGINT or SIGHUP: what clients',
        'have begun is answered, what is suspended is cancelled. It prints the URI for clients:',
        "  qemu-system-x86_64 -drive 'file=nbd+unix:///?socket=PATH,format=raw'",
        '  nbdfuse FILE nbd+unix:///?socket=PATH',
        '  nbdcopy nbd+unix:///?socket=PATH FILE',
        '  fio --ioengine=nbd --uri=nbd+unix:///?socket=PATH ...',
      ),
    )
    .action(() => undefined);
}

/** The searches, declared for their help as `search-program.ts` runs them, and the results of their parts. */
function declareSearches({ actions, subcommand, prose, end }: Declaring): void {
  for (const strategy of strategies) {
    const search = subcommand(`${strategy.name} [OPTIONS]... IMAGE SCRIPT`, strategy.description, [])
      .allowUnknownOption()
      .addHelpText('after', prose(...searchHelp))
      .action(() => undefined);
    for (const [flags, description] of [...strategy.options, ...commonOptions]) search.option(flags, description);
  }
  subcommand('merge FILE...', 'print the results of the parts of a search as those of the whole', [])
    .argument('<files...>', 'what sweep --json has printed')
    .action((files: string[]) => end(actions.merge?.(files)));
}

/** A find of a search, or a recorded session, run again. */
function declareReplay({ actions, subcommand, prose, end }: Declaring): void {
  subcommand('replay FILE [IMAGE]', 'run a find of a search, or a recorded session, again on a copy', [
    ['file', 'find-N.json in the folder of sweep --out, or what --record RUN.ndjson has written'],
  ])
    .argument('[image]', 'for a recording: the image as it was then, if the one that it names has changed')
    .addHelpText(
      'after',
      prose(
        'A find runs as it was found; on a terminal, in a shell before its end. A recorded session runs command by command on',
        'copies in memory, and its records and its output, times and rates aside, are held against the recording: the status',
        'is 0 if all are the same, 1 after saying where they differ, and 2 if it cannot be run. Files are only read; commands',
        'that act on more than the image are left out.',
      ),
    )
    .action((file: string, image?: string) => end(actions.replay?.(file, image)));
}

/** Texts that are made of these declarations. */
function declareDocuments({ actions, subcommand, end }: Declaring): void {
  subcommand('completion SHELL', `print the completions for ${completedShells.join(', ')}`, [])
    .addArgument(new Argument('<shell>', 'which shell').choices(completedShells))
    .addHelpText('after', '\nFor bash: blkscope completion bash > ~/.local/share/bash-completion/completions/blkscope')
    .action((shell: string) => end(actions.completion?.(shell)));
  subcommand('manual', 'print the manual page: blkscope manual | man -l -', [])
    .usage('')
    .action(() => end(actions.manual?.()));
}

/** The text of `--help`, for a terminal of this width or for a pipe. */
export function helpText(name: string, columns?: number): string {
  const lines: string[] = [];
  makeProgram(name, {}, { columns })
    .configureOutput({ writeOut: (text) => lines.push(text) })
    .outputHelp();
  return lines.join('');
}

/** Runs the subcommand that the words begin with; the exit status. 1 after a complaint about them. */
export async function runProgram(
  name: string,
  words: readonly string[],
  actions: Actions,
  { stdout, stderr, columns }: Streams,
): Promise<number> {
  let status = 0;
  const setStatus = (result: number): void => {
    status = result;
  };
  const program = makeProgram(name, actions, { setStatus, columns });
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      writeOut: stdout,
      writeErr: stderr,
      outputError: (text, write) => {
        const sentence = text.replace(/^error: /, '').trimEnd();
        const full = command === program ? name : `${name} ${command.name()}`;
        write(`${name}: ${sentence}\nUsage: ${full} ${command.usage()}\nTry '${full} --help'.\n`);
      },
    });
  }
  try {
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode;
  }
  return status;
}
