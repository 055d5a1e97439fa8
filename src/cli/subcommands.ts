/** Work without a session of its own: `attach`, `ctl`, `report`, `merge`, `replay`, `completion` and `manual`. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { makeReport } from '../live/record/report.ts';
import { runProgram } from './program.ts';
import type { Stdio } from './stdio.ts';

/** Runs a subcommand; the exit status. Throws BlockError with the reason why it cannot. */
export async function runSubcommand(words: readonly string[], stdio: Stdio): Promise<number> {
  const streams = {
    stdout: (text: string) => stdio.stdout(text),
    stderr: (text: string) => stdio.stderr(text),
    columns: stdio.columns,
  };
  const printed = async (text: Promise<string>): Promise<number> => {
    stdio.stdout(await text);
    return 0;
  };
  const actions = {
    attach: (socket: string) => import('./attach.ts').then(({ runAttach }) => runAttach(socket, stdio)),
    ctl: (socket: string, commands: readonly string[], { json, shutdown }: { json?: true; shutdown?: true }) =>
      import('./ctl.ts').then(({ runCtl }) =>
        runCtl({ socket, commands, isJson: json === true, endsSession: shutdown === true }, stdio),
      ),
    report: (recording: string, output: string) => report(recording, output, stdio),
    merge: async (files: readonly string[]) => (await import('./search/merge-results.ts')).mergeResults(files, stdio),
    replay: (file: string, image?: string) => replay(file, image ?? null, stdio),
    completion: (shell: string) => printed(import('./documents.ts').then((made) => made.completionScript(shell))),
    manual: () => printed(import('./documents.ts').then((made) => made.manualPage())),
  };
  return runProgram('blkscope', words, actions, streams);
}

/** Enough to tell a recording from what is made of one. */
const HEAD_BYTES = 32;

/** One word for both: a recording says what it is in its first line, everything else is taken for a find. */
async function replay(file: string, image: string | null, stdio: Stdio): Promise<number> {
  const head = headOf(file);
  if (head.startsWith('{"kind":"header"')) {
    return (await import('./replay-recording.ts')).replayRecording(file, image, stdio);
  }
  if (head.startsWith('<!doctype html>') || head.startsWith('{"displayTimeUnit"')) {
    stdio.stderr(`blkscope replay: '${file}' shows a recording; one that can be run again is NAME.ndjson\n`);
    return 2;
  }
  if (image !== null) {
    stdio.stderr('blkscope replay: a find names its image\n');
    return 2;
  }
  return (await import('./search/replay-find.ts')).replayFind(file, stdio);
}

/** The first characters of a file; none if it cannot be read: then another place says why. */
function headOf(file: string): string {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const head = Buffer.alloc(HEAD_BYTES);
      return head.toString('latin1', 0, readSync(fd, head));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

async function report(recording: string, output: string, stdio: Stdio): Promise<number> {
  const { records, notes } = await makeReport(recording, output);
  for (const note of notes) stdio.stderr(`note: ${note}\n`);
  stdio.stdout(`${output}: ${records} records\n`);
  return 0;
}
