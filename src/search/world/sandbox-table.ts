/** The commands of the shell as a case has them: those that act on more than the image are refused. */
import { Errno } from '../../util/errno.ts';
import { type Command, CommandTable } from '../../shell/command.ts';
import { CommandFailure } from '../../shell/failure.ts';
import { tokenize } from '../../shell/words/tokenizer.ts';

/** A table with the same commands, of which some only complain. */
export function sandboxTable({ groups }: CommandTable): CommandTable {
  const safe = Object.entries(groups).map(([group, commands]) => [group, commands.map(guarded)] as const);
  return new CommandTable(Object.fromEntries(safe));
}

function guarded(command: Command): Command {
  if (command.actsOutside === undefined) return command;
  return {
    ...command,
    run(session, argv, shell) {
      if (!actsOutside(command, argv)) return command.run(session, argv, shell);
      session.error(refusal(argv));
      throw new CommandFailure(Errno.EPERM);
    },
  };
}

function actsOutside({ actsOutside: where }: Command, argv: readonly string[]): boolean {
  return where === true || (where !== undefined && where(argv));
}

function refusal(argv: readonly string[]): string {
  return `'${argv.join(' ')}' acts on more than the image and cannot be part of a search`;
}

/** A sentence about the first line that a search refuses; null if there is none. */
export function refusedLine(table: CommandTable, lines: readonly string[]): string | null {
  for (const line of lines) {
    const argv = tokenize(line);
    const command = table.find(argv[0] ?? '');
    if (command !== undefined && actsOutside(command, argv)) return refusal(argv);
  }
  return null;
}
