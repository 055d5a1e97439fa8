/** `help`: lists the commands, or says more about one. */
import { Errno } from '../../util/errno.ts';
import { type Command, CommandFailure, usageLine } from '../command.ts';
import type { Session } from '../session.ts';

export const help = {
  name: 'help',
  aliases: ['?'],
  args: '[command]',
  oneline: 'help for one or all commands',
  minArgs: 0,
  maxArgs: 1,
  needsFile: false,
  operands: ['command'],
  run: runHelp,
} satisfies Command;

function runHelp(session: Session, [, name]: string[]): void {
  const { commands, output } = session;
  if (name === undefined) {
    for (const command of commands.all) output.stdout(usageLine(command));
    output.stdout("\nUse 'help commandname' for extended help.\n");
    return;
  }
  const command = commands.find(name);
  if (command === undefined) {
    output.stdout(`command ${name} not found\n`);
    throw new CommandFailure(Errno.EINVAL);
  }
  output.stdout(usageLine(command, name) + helpText(command));
}

/** Everything below the usage line; empty for a command that needs no more words. */
export function helpText(command: Command): string {
  if (command.help === undefined) return '';
  const options = Object.entries(command.optionHelp ?? {}).map(([letter, text]) => ` -${letter}  ${text}\n`);
  const gap = options.length === 0 ? '' : '\n';
  return `\n${command.help.map((line) => ` ${line}\n`).join('')}${gap}${options.join('')}\n`;
}
