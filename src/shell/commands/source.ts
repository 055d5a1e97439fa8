/** `source` and `repeat`: run the commands of a file, or one command several times. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { Errno, hostErrno, strerror } from '../../util/errno.ts';
import { formatSize } from '../../util/format.ts';
import { parseLong } from '../../util/size.ts';
import { isPromise } from '../../util/steps.ts';
import type { Command, Shell } from '../command.ts';
import { CommandFile } from '../data/command-file.ts';
import { CommandFailure, refuse } from '../failure.ts';
import { Progress } from '../output/progress.ts';
import { runLines } from '../script.ts';
import type { SessionState } from '../session-state.ts';
import { quoted } from '../words/tokenizer.ts';

/** A file may source files, which may source files. */
const MAX_DEPTH = 16;

export const source = {
  name: 'source',
  args: 'file',
  oneline: 'runs the commands of a file',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  help: [
    `Runs the lines of a file as if they were typed here. A file may source others, ${MAX_DEPTH} deep. Fails if one of its`,
    'commands fails; with \'bail on\' it stops there. In a file "# " begins a comment, names with blanks may stand in',
    'quotes, and a size may be a sum: 64k*3+512.',
  ],
  operands: ['file'],
  polls: true,
  run: runSource,
} satisfies Command;

async function runSource(session: SessionState, [, path = '']: string[], shell: Shell): Promise<void> {
  if (session.sourceDepth >= MAX_DEPTH) {
    session.error(`source: ${path}: files are nested more than ${MAX_DEPTH} deep`);
    throw new CommandFailure(Errno.ELOOP);
  }
  const status = await runFile(shell, path, { name: `source: ${path}` });
  if (status < 0) throw new CommandFailure(-status);
}

/**
 * Runs the lines of a file, each as `change` makes it: the status of the last one that failed, 0 if none has. Throws
 * CommandFailure if it cannot be read, after saying so of `name`.
 */
export async function runFile(
  shell: Shell,
  path: string,
  { name = path, change = (line) => line }: { name?: string; change?: (line: string) => string },
): Promise<number> {
  const { session } = shell;
  session.timeline?.readsFile(path);
  const file = orFailure(session, name, () => new CommandFile(path, () => session.wasInterrupted));
  const progress = file.bytes === null ? null : Progress.of(session.output, `source ${path}`, file.bytes, formatSize);
  const changed = (line: string | null): string | null => (line === null ? null : change(line));
  session.sourceDepth += 1;
  try {
    const lines = {
      next() {
        const line = orFailure(session, name, () => file.next());
        progress?.reached(file.doneBytes);
        return isPromise(line) ? line.then(changed) : changed(line);
      },
      get place() {
        return file.place;
      },
    };
    return await runLines(shell, lines, null);
  } finally {
    session.sourceDepth -= 1;
    progress?.end();
    file.close();
  }
}

function orFailure<T>(session: SessionState, name: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    const errno = error instanceof BlockError ? error.errno : hostErrno(error);
    session.error(`${name}: ${error instanceof BlockError ? error.message : strerror(errno)}`);
    throw new CommandFailure(errno);
  }
}

const MAX_REPEATS = 1_000_000_000;

export const repeat = {
  name: 'repeat',
  args: 'N command...',
  oneline: 'runs a command several times',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  help: [
    "Runs the command N times, one after the other. Fails if one of them fails; with 'bail on' it stops there.",
    '  repeat 100 aio_write 0 4k',
  ],
  operands: ['word', 'command'],
  polls: true,
  async run(session, [, countText = '', ...words], shell) {
    const count = parseLong(countText);
    if (count === undefined || count < 0 || count > MAX_REPEATS) {
      throw refuse(session, `${countText} is not a number of times, 0 to ${MAX_REPEATS}`);
    }
    const line = words.map(quoted).join(' ');
    let left = Number(count);
    const status = await runLines(shell, { next: () => (left-- > 0 ? line : null), place: null }, null);
    if (status < 0) throw new CommandFailure(-status);
  },
} satisfies Command;
