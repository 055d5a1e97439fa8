/** `help`: lists the commands, or says more about one, or about a debug event. */
import type { Compat } from '../../block/compat.ts';
import { eventByName, eventName, eventNames } from '../../block/events/events.ts';
import { Errno } from '../../util/errno.ts';
import { type Command, type CommandTable, type Shell, usageLine } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import { wrapLines, wrapParagraphs } from '../output/wrap.ts';
import { arrival } from '../script.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from '../words/closest.ts';
import { fromGdbWords, gdbWords } from '../words/gdb-words.ts';

export const help = {
  name: 'help',
  aliases: ['?'],
  args: '[command]',
  oneline: 'help for one or all commands',
  minArgs: 0,
  maxArgs: 1,
  acceptsAlso: ([, word, ...more]) => word === 'event' && more.length === 1,
  needsFile: false,
  looksOnly: true,
  help: [
    'Lists the commands, or says more about one.',
    '  help write            what write does, and its options',
    '  help event pwritev    what a debug event means, who fires it, what is on disk then',
    '  help events           all debug events',
    '  help gdb              words of gdb, at a prompt',
  ],
  operands: ['command', 'event'],
  // Pages are turned by a person, and requests go on meanwhile.
  polls: true,
  run: runHelp,
} satisfies Command;

async function runHelp(session: SessionState, argv: string[], shell: Shell): Promise<void> {
  const { page, columns } = session.output;
  const text = wrapLines(await helpOn(session, argv, shell), columns);
  if (page === undefined) session.output.stdout(text);
  else await arrival(session, page(text));
}

async function helpOn(session: SessionState, [, name, event]: string[], { commands }: Shell): Promise<string> {
  const { isTerminal } = session.output;
  const { compat } = session.context;
  if (event !== undefined) return helpOnEvent(session, event, 'event', eventNames);
  // Lines in a pipe mean what they mean to qemu-io: what needs another meaning is not listed there.
  if (name === undefined)
    return isTerminal ? groupsText(commands) : usagesText(commands.all.filter(isForPipes), compat);
  if (name === 'event') return (await eventTexts()).eventList();
  if (isTerminal && name === 'gdb') return gdbText();
  const command = commands.find(isTerminal ? (fromGdbWords([name])?.[0] ?? name) : name);
  if (command !== undefined) {
    const shown = commands.find(name) === command ? name : undefined;
    const text = usageLine(command, compat, shown) + helpText(command, compat, session.output.columns);
    return command.name === 'events' ? `${text}${(await eventTexts()).eventList()}\n` : text;
  }
  const group = name === 'all' ? commands.all : commands.groups[name];
  if (group !== undefined && isTerminal) return usagesText(group, compat);
  return helpOnEvent(session, name, 'command', [...commands.names, ...Object.keys(commands.groups)]);
}

function isForPipes({ takesLine }: Command): boolean {
  return takesLine !== true;
}

/** The names of all commands, by purpose: they fit a small terminal. */
function groupsText({ groups }: CommandTable): string {
  const width = Math.max(...Object.keys(groups).map((name) => name.length));
  const lines = Object.entries(groups).map(
    ([name, members]) => ` ${name.padEnd(width)}  ${members.map((command) => command.name).join(' ')}\n`,
  );
  return (
    `${lines.join('')}\n help NAME      what a command does, or the commands of a group\n` +
    ' help all       every command in a line\n' +
    ' help event     the debug events; help event NAME says more\n' +
    ' help gdb       words of gdb that are understood at this prompt\n'
  );
}

/** The words of gdb, each with what it stands for. */
function gdbText(): string {
  const rows = gdbWords.map(({ names, means, does }) => [names.join(', '), means, does] as const);
  const width = (column: 0 | 1): number => Math.max(...rows.map((row) => row[column].length));
  return rows
    .map(([names, means, does]) => ` ${names.padEnd(width(0))}  ${means.padEnd(width(1))}  ${does}\n`)
    .join('');
}

function usagesText(members: readonly Command[], compat: Compat): string {
  return `${members.map((command) => usageLine(command, compat)).join('')}\nUse 'help commandname' for extended help.\n`;
}

/** The guide to the events is long, and few sessions ask for it. */
function eventTexts() {
  return import('../output/event-text.ts');
}

/** The meaning of an event; an unknown name is reported as the kind that it was meant to be. */
async function helpOnEvent(
  session: SessionState,
  name: string,
  what: 'command' | 'event',
  candidates: readonly string[],
): Promise<string> {
  const event = eventByName(name);
  if (event !== undefined) return (await eventTexts()).eventText(eventName(event));
  session.output.stdout(`${what} ${name} not found\n`);
  hintClosest(session, name, candidates);
  throw new CommandFailure(Errno.EINVAL);
}

/** Everything below the usage line; empty for a command that needs no more words. */
function helpText(command: Command, compat: Compat, columns?: number): string {
  if (command.help === undefined) return '';
  const options = (command.options?.help(compat) ?? []).map(({ letter, help: text }) => ` -${letter}  ${text}\n`);
  const gap = options.length === 0 ? '' : '\n';
  const lines = wrapParagraphs(command.help, columns === undefined ? undefined : columns - 1);
  return `\n${lines.map((line) => ` ${line}\n`).join('')}${gap}${options.join('')}\n`;
}
