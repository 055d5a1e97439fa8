/** `help`: lists the commands, or says more about one, or about a debug event. */
import { eventByName, type EventName, eventName, eventNames } from '../../block/events/events.ts';
import { eventGuide } from '../../block/events/guide.ts';
import { Errno } from '../../util/errno.ts';
import { type Command, type CommandTable, type Shell, usageLine } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import type { Output } from '../output/output.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from '../words/closest.ts';

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
  ],
  operands: ['command', 'event'],
  run: runHelp,
} satisfies Command;

function runHelp(session: SessionState, [, name, event]: string[], { commands }: Shell): void {
  const { output } = session;
  if (event !== undefined) {
    helpOnEvent(session, event, 'event', eventNames);
    return;
  }
  if (name === undefined) {
    if (output.isTerminal) printGroups(output, commands);
    else printUsages(output, commands.all);
    return;
  }
  if (name === 'event') {
    output.stdout(eventList());
    return;
  }
  const command = commands.find(name);
  if (command !== undefined) {
    output.stdout(usageLine(command, name) + helpText(command));
    if (command.name === 'events') output.stdout(`${eventList()}\n`);
    return;
  }
  const group = name === 'all' ? commands.all : commands.groups[name];
  if (group !== undefined && output.isTerminal) {
    printUsages(output, group);
    return;
  }
  helpOnEvent(session, name, 'command', [...commands.names, ...Object.keys(commands.groups)]);
}

/** The names of all commands, by purpose: they fit a small terminal. */
function printGroups(output: Output, { groups }: CommandTable): void {
  const width = Math.max(...Object.keys(groups).map((name) => name.length));
  for (const [name, members] of Object.entries(groups)) {
    output.stdout(` ${name.padEnd(width)}  ${members.map((command) => command.name).join(' ')}\n`);
  }
  output.stdout(
    '\n help NAME      what a command does, or the commands of a group\n' +
      ' help all       every command in a line\n' +
      ' help event     the debug events; help event NAME says more\n',
  );
}

function printUsages(output: Output, members: readonly Command[]): void {
  for (const command of members) output.stdout(usageLine(command));
  output.stdout("\nUse 'help commandname' for extended help.\n");
}

/** The meaning of an event; an unknown name is reported as the kind that it was meant to be. */
function helpOnEvent(
  session: SessionState,
  name: string,
  what: 'command' | 'event',
  candidates: readonly string[],
): void {
  const { output } = session;
  const event = eventByName(name);
  if (event === undefined) {
    output.stdout(`${what} ${name} not found\n`);
    hintClosest(session, name, candidates);
    throw new CommandFailure(Errno.EINVAL);
  }
  output.stdout(eventText(eventName(event)));
}

/** Every event with its sentence. */
function eventList(): string {
  const width = Math.max(...eventNames.map((name) => name.length));
  return eventNames.map((name) => ` ${name.padEnd(width)}  ${eventGuide[name].meaning}\n`).join('');
}

/** The meaning of an event; ours, in the place of qemu-io's "not found". */
function eventText(name: EventName): string {
  const { meaning, firedBy, onDisk, before, after } = eventGuide[name];
  const lines = [`fired by: ${firedBy}`, `on disk: ${onDisk}`];
  if (before.length > 0) lines.push(`often after: ${before.join(', ')}`);
  if (after.length > 0) lines.push(`often before: ${after.join(', ')}`);
  return `${name} -- ${meaning}\n\n${lines.map((line) => ` ${line}\n`).join('')}\n`;
}

/** Everything below the usage line; empty for a command that needs no more words. */
function helpText(command: Command): string {
  if (command.help === undefined) return '';
  const options = (command.options?.help ?? []).map(({ letter, help: text }) => ` -${letter}  ${text}\n`);
  const gap = options.length === 0 ? '' : '\n';
  return `\n${command.help.map((line) => ` ${line}\n`).join('')}${gap}${options.join('')}\n`;
}
