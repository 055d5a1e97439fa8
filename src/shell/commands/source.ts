/** `source`: runs the commands of a file. Not in qemu-io. */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { Errno, hostErrno, HostError, strerror } from '../../util/errno.ts';
import type { Command, Shell } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import { Progress } from '../output/progress.ts';
import { runLines } from '../script.ts';
import type { SessionState } from '../session-state.ts';

/** A file may source files, which may source files. */
const MAX_DEPTH = 16;
const MAX_FILE_BYTES = 64 * 1024 * 1024;

export const source = {
  name: 'source',
  args: 'file',
  oneline: 'runs the commands of a file',
  minArgs: 1,
  maxArgs: 1,
  needsFile: false,
  help: [
    `Runs the lines of a file as if they were typed here. A file may source others, ${MAX_DEPTH} deep. Fails if one of its`,
    "commands fails; with 'bail on' it stops there.",
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
  const lines = readLines(session, path);
  const progress = Progress.of(session.output, `source ${path}`, lines.length, (count) => `line ${count}`);
  let next = 0;
  const nextLine = (): string | null => {
    progress?.reached(next);
    return lines[next++] ?? null;
  };
  session.sourceDepth += 1;
  try {
    const status = await runLines(shell, { next: nextLine }, null);
    if (status < 0) throw new CommandFailure(-status);
  } finally {
    session.sourceDepth -= 1;
    progress?.end();
  }
}

function readLines(session: SessionState, path: string): string[] {
  try {
    const text = readBounded(path);
    return (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n');
  } catch (error) {
    const errno = hostErrno(error);
    session.error(`source: ${path}: ${strerror(errno)}`);
    throw new CommandFailure(errno);
  }
}

/** The whole file. EFBIG beyond what a command file can sensibly be. */
function readBounded(path: string): string {
  const fd = openSync(path, 'r');
  try {
    if (fstatSync(fd).size > MAX_FILE_BYTES) throw new HostError(Errno.EFBIG);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
