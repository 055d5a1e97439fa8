/** `display` and `on`: commands that are run whenever a request is suspended. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { Command, Shell } from '../command.ts';
import type { SessionState } from '../session-state.ts';
import { StopCommands } from '../stop-commands.ts';

export const display = {
  name: 'display',
  args: '[command.. | off]',
  oneline: 'runs a command at each stop',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  looksOnly: true,
  changesSession: true,
  help: [
    'The command is run when a command has led to a stop of a request. Several may be given, one by one; without words they',
    'are listed, "display off" forgets them.',
    '  display diff         what each step has changed',
    '  display where 64k    the way of an offset, at each stop',
  ],
  operands: ['command', 'word'],
  run(session, [, ...words], shell) {
    if (words.length === 0) {
      for (const line of session.stops?.displays ?? []) session.output.stdout(`${line}\n`);
    } else if (words.length === 1 && words[0] === 'off') {
      session.stops?.displays.clear();
    } else {
      checkCommand(shell, words[0] ?? '');
      stopsOf(session, shell).displays.add(words.join(' '));
    }
  },
} satisfies Command;

export const onStop = {
  name: 'on',
  args: 'tag { command; .. }',
  oneline: 'runs commands when a request is suspended under a tag',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  looksOnly: true,
  changesSession: true,
  help: [
    'The commands are run one after the other when a command has led to a stop under the tag; a "resume" among them lets the',
    'request go on. They stay for each such stop until "on tag { }".',
    '  on A { where 64k; diff; resume A }',
  ],
  operands: ['tag', 'word'],
  run(session, [, tag = '', ...words], shell) {
    const text = words.join(' ').trim();
    if (!text.startsWith('{') || !text.endsWith('}')) {
      throw new BlockError(Errno.EINVAL, 'the commands stand between { and }, with ; between them');
    }
    const lines = text
      .slice(1, -1)
      .split(';')
      .map((line) => line.trim())
      .filter((line) => line !== '');
    for (const line of lines) checkCommand(shell, line.split(' ')[0] ?? '');
    const stops = stopsOf(session, shell);
    if (lines.length === 0) stops.onTag.delete(tag);
    else stops.onTag.set(tag, lines);
  },
} satisfies Command;

function stopsOf(session: SessionState, shell: Shell): StopCommands {
  if (session.stops === null) {
    session.stops = new StopCommands();
    session.stops.takeNew(shell);
  }
  return session.stops;
}

function checkCommand(shell: Shell, name: string): void {
  if (shell.commands.find(name) === undefined) throw new BlockError(Errno.EINVAL, `there is no command '${name}'`);
}
