/** The commands of the shell as a sandbox has them: those that act on more than the image are refused. */
import { type Command, CommandTable } from '../shell/command.ts';
import { CommandFailure } from '../shell/failure.ts';
import { tokenize } from '../shell/words/tokenizer.ts';
import { Errno } from '../util/errno.ts';

/** A table with the same commands, some of which only complain; `reason` follows "acts on more than the image". */
export function sandboxTable(
  { groups }: CommandTable,
  reason: string,
  allowed: ReadonlySet<string> = new Set(),
): CommandTable {
  const safe = Object.entries(groups).map(
    ([group, commands]) =>
      [group, commands.map((command) => (allowed.has(command.name) ? command : guarded(command, reason)))] as const,
  );
  return new CommandTable(Object.fromEntries(safe));
}

function guarded(command: Command, reason: string): Command {
  if (command.actsOutside === undefined) return command;
  return {
    ...command,
    run(session, argv, shell) {
      if (!actsOutside(command, argv)) return command.run(session, argv, shell);
      session.error(refusal(argv, reason));
      throw new CommandFailure(Errno.EPERM);
    },
  };
}

/** Whether a command line acts on more than the image. */
export function actsOutside({ actsOutside: where }: Command, argv: readonly string[]): boolean {
  return where === true || (where !== undefined && where(argv));
}

function refusal(argv: readonly string[], reason: string): string {
  return `'${argv.join(' ')}' acts on more than the image ${reason}`;
}

/** A sentence about the first line that a sandbox refuses; null if there is none. */
export function refusedLine(table: CommandTable, lines: readonly string[], reason: string): string | null {
  for (const line of lines) {
    const argv = tokenize(line);
    const command = table.find(argv[0] ?? '');
    if (command !== undefined && actsOutside(command, argv)) return refusal(argv, reason);
  }
  return null;
}
