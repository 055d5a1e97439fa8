/** The manual page and the shells' completions, made from the declarations of the program and of its commands. */
import type { Command as ProgramCommand, Option } from 'commander';
import { type Command, usageLine } from '../shell/command.ts';
import { isOnlyLater, newestCompat } from '../block/compat.ts';
import { commandsOf } from '../shell/commands/index.ts';
import { settingsHelp } from './user-settings.ts';
import { makeProgram } from './program.ts';
import { ownVersion } from './version.ts';

/** A command of a session as documents need it: the one place that knows how commands declare their options. */
interface DocumentedCommand {
  readonly usage: string;
  readonly aliases: readonly string[];
  readonly help: readonly string[];
  readonly options: readonly (readonly [letter: string, meaning: string])[];
}

function documented(command: Command): DocumentedCommand {
  const options = command.options?.help(newestCompat) ?? [];
  return {
    usage: usageLine(command, newestCompat).trimEnd() + remarkOn(command),
    aliases: command.aliases ?? [],
    help: command.help ?? [],
    options: options.map(({ letter, help, since }) => [letter, help + remarkOn({ since })] as const),
  };
}

/** A remark on what a session has only if a later version of QEMU is asked for. */
function remarkOn(declared: Parameters<typeof isOnlyLater>[0]): string {
  return isOnlyLater(declared) ? ` (with --compat ${newestCompat.version})` : '';
}

/** Words that complete an option's argument; other arguments are file names, or free. */
const optionChoices: Readonly<Record<string, readonly string[]>> = {
  '--format': ['raw', 'qcow2', 'blkdebug'],
  '--cache': ['none', 'writeback', 'unsafe', 'directsync', 'writethrough'],
  '--discard': ['ignore', 'off', 'unmap', 'on'],
  '--aio': ['threads', 'native', 'io_uring'],
};
/** Options whose argument names a file. */
const fileOptions: ReadonlySet<string> = new Set(['--execute', '--record', '--monitor']);

/** Text that roff takes as it is. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1')
    .replaceAll(
      /[^\n\x20-\x7e]/gu,
      (mark) => `\\[u${mark.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
    );
}

/** The manual page, in roff's man macros. */
export function manualPage(): string {
  const program = makeProgram('blkscope');
  const lines = [
    `.TH BLKSCOPE 1 "" "blkscope ${roff(ownVersion())}" "User Commands"`,
    '.SH NAME',
    'blkscope \\- a drop\\-in qemu\\-io with the blkdebug driver opened up',
    '.SH SYNOPSIS',
    `.B blkscope\n${roff(program.usage())}`,
    ...program.commands.map((command) => `.br\n.B blkscope ${command.name()}\n${roff(command.usage())}`),
    '.SH DESCRIPTION',
    roff(program.description()),
    roff(
      'It takes what qemu-io 7.2 takes and prints the same; on a terminal it has a prompt, views and colours of its own.',
    ),
    '.SH OPTIONS',
  ];
  for (const [heading, options] of groups(program)) {
    lines.push(`.SS ${roff(heading.replace(/:$/, ''))}`);
    for (const option of options) lines.push('.TP', `.B ${roff(plainFlags(option))}`, roff(option.description));
  }
  lines.push('.SH SUBCOMMANDS');
  for (const command of program.commands) {
    lines.push('.TP', `.B ${roff(`${command.name()} ${command.usage()}`.trim())}`, roff(command.description()));
  }
  lines.push('.SH COMMANDS', 'The commands of a session.');
  for (const command of commandsOf(newestCompat).all) lines.push(...commandSection(documented(command)));
  lines.push(
    '.SH FILES',
    '.TP',
    '.I ~/.config/blkscope/settings.ini',
    'Settings, read on a terminal only:',
    '.RS',
    '.nf',
  );
  lines.push(roff(settingsHelp), '.fi', '.RE', '.TP', '.I ~/.local/state/blkscope/history');
  lines.push('The lines typed at the prompt.', '.TP', '.I ~/.cache/blkscope', 'Compiled code of the program.');
  lines.push('.SH ENVIRONMENT', '.TP', '.B NO_COLOR, FORCE_COLOR', 'Whether a terminal gets colours.');
  lines.push('.TP', '.B XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME', 'Where the files above are.');
  lines.push(
    '.SH EXIT STATUS',
    roff(
      '0 if every command succeeded, else 1; a signal ends the program as that signal. attach: 1 if the session ends ' +
        'before it is left. ctl: 2 if the session cannot be reached.',
    ),
  );
  lines.push('.SH SEE ALSO', '.BR qemu\\-io (1),', '.BR qemu\\-img (1)');
  return `${lines.join('\n')}\n`;
}

function commandSection({ usage, aliases, help, options }: DocumentedCommand): string[] {
  const lines = ['.SS', roff(usage)];
  // Without a heading's macro on the same line, groff takes the next one.
  if (aliases.length > 0) lines.push(`Also called ${roff(aliases.join(', '))}.`, '.br');
  if (help.length > 0) lines.push('.nf', ...help.map(roff), '.fi');
  for (const [letter, meaning] of options) lines.push('.TP', `.B \\-${letter}`, roff(meaning));
  return lines;
}

function groups(program: ProgramCommand): Map<string, Option[]> {
  const byHeading = new Map<string, Option[]>();
  for (const option of program.options) {
    const heading = option.helpGroupHeading ?? '';
    byHeading.set(heading, [...(byHeading.get(heading) ?? []), option]);
  }
  return byHeading;
}

function plainFlags({ flags }: Option): string {
  return flags.replaceAll(/[<>]/g, '');
}

/** How an option's argument is completed. */
function choicesOf(option: Option): readonly string[] | 'file' | 'free' | 'none' {
  if (!option.required) return 'none';
  const long = option.long ?? '';
  if (long === '--cmd') return commandsOf(newestCompat).all.map(({ name }) => name);
  return optionChoices[long] ?? (fileOptions.has(long) ? 'file' : 'free');
}

const names = ({ short, long }: Option): string[] => [short, long].filter((name) => name !== undefined);

/** The completions for a shell: a script that it reads. */
export function completionScript(shell: string): string {
  const program = makeProgram('blkscope');
  if (shell === 'bash') return bashScript(program);
  return shell === 'zsh' ? zshScript(program) : fishScript(program);
}

function bashScript(program: ProgramCommand): string {
  const cases = program.options.flatMap((option) => {
    const choices = choicesOf(option);
    if (choices === 'none') return [];
    const reply =
      choices === 'file'
        ? 'COMPREPLY=($(compgen -f -- "$word"))'
        : choices === 'free'
          ? 'COMPREPLY=()'
          : `COMPREPLY=($(compgen -W '${choices.join(' ')}' -- "$word"))`;
    return [`    ${names(option).join('|')}) ${reply}; return ;;`];
  });
  const subcommands = program.commands.flatMap((command) => {
    const [argument] = command.registeredArguments;
    const words = [...(argument?.argChoices ?? []), ...command.options.flatMap(names), '--help'].join(' ');
    return [
      `    ${command.name()}) COMPREPLY=($(compgen -W '${words}' -- "$word") $(compgen -f -- "$word")); return ;;`,
    ];
  });
  return `# Completions of blkscope for bash, made by "blkscope completion bash".
_blkscope() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  case $before in
${cases.join('\n')}
  esac
  case \${COMP_WORDS[1]} in
${subcommands.join('\n')}
  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W '${program.options.flatMap(names).join(' ')}' -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
    if ((COMP_CWORD == 1)); then
      COMPREPLY+=($(compgen -W '${[...program.commands.map((command) => command.name()), 'help'].join(' ')}' -- "$word"))
    fi
  fi
}
complete -o filenames -F _blkscope blkscope
`;
}

/** Text between single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

function zshScript(program: ProgramCommand): string {
  const specifications = program.options.map((option) => {
    const choices = choicesOf(option);
    const action =
      choices === 'none'
        ? ''
        : choices === 'file'
          ? ':file:_files'
          : choices === 'free'
            ? ':value:'
            : `:value:(${choices.join(' ')})`;
    const [first = '', second] = names(option);
    const meaning = option.description.replaceAll(/[[\]:]/g, (mark) => `\\${mark}`);
    const flags = second === undefined ? quoted(first) : `{${first},${second}}`;
    return `    ${flags}${quoted(`[${meaning}]${action}`)}`;
  });
  const subcommands = program.commands.map((command) => `    ${quoted(`${command.name()}:${command.description()}`)}`);
  return `#compdef blkscope
# Completions of blkscope for zsh, made by "blkscope completion zsh".
_blkscope() {
  local -a subcommands options
  subcommands=(
${subcommands.join('\n')}
  )
  options=(
${specifications.join('\n')}
  )
  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
    _describe subcommand subcommands
    _files
  elif [[ $words[2] == completion ]]; then
    _values shell bash zsh fish
  else
    _arguments -s $options '*:file:_files'
  fi
}
_blkscope "$@"
`;
}

function fishScript(program: ProgramCommand): string {
  const lines = ['# Completions of blkscope for fish, made by "blkscope completion fish".'];
  for (const option of program.options) {
    const { short, long, description } = option;
    const choices = choicesOf(option);
    const argument =
      choices === 'none'
        ? ''
        : choices === 'file'
          ? ' -r'
          : choices === 'free'
            ? ' -x'
            : ` -x -a ${quoted(choices.join(' '))}`;
    const flags = [short && `-s ${short.slice(1)}`, long && `-l ${long.slice(2)}`].filter(Boolean).join(' ');
    lines.push(`complete -c blkscope ${flags}${argument} -d ${quoted(description)}`);
  }
  for (const command of program.commands) {
    const name = command.name();
    lines.push(`complete -c blkscope -n __fish_use_subcommand -a ${name} -d ${quoted(command.description())}`);
    for (const choice of command.registeredArguments[0]?.argChoices ?? [])
      lines.push(`complete -c blkscope -n '__fish_seen_subcommand_from ${name}' -f -a ${choice}`);
  }
  return `${lines.join('\n')}\n`;
}
