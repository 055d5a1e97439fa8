/** Work without a session of its own: `attach`, `ctl`, `report`, `merge`, `replay`, `completion` and `manual`. */
import { makeReport } from '../live/record/report.ts';
import { runProgram } from './program.ts';
import type { Stdio } from './stdio.ts';

/** Runs a subcommand; the exit status. Throws BlockError with the reason why it cannot. */
export async function runSubcommand(words: readonly string[], stdio: Stdio): Promise<number> {
  const streams = { stdout: (text: string) => stdio.stdout(text), stderr: (text: string) => stdio.stderr(text) };
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
    replay: async (find: string) => (await import('./search/replay-find.ts')).replayFind(find, stdio),
    completion: (shell: string) => printed(import('./documents.ts').then((made) => made.completionScript(shell))),
    manual: () => printed(import('./documents.ts').then((made) => made.manualPage())),
  };
  return runProgram('blkscope', words, actions, streams);
}

async function report(recording: string, output: string, stdio: Stdio): Promise<number> {
  const { records, notes } = await makeReport(recording, output);
  for (const note of notes) stdio.stderr(`note: ${note}\n`);
  stdio.stdout(`${output}: ${records} records\n`);
  return 0;
}
