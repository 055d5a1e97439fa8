/** Work without a session of its own: `attach`, `ctl`, `report`, `merge`, `replay`, `completion` and `manual`. */
import { AttachedView, attachLines } from '../live/watch/attach.ts';
import { makeReport } from '../live/record/report.ts';
import { isUtf8Locale } from '../util/ascii.ts';
import { unpainted } from '../util/style.ts';
import { onHangUp, setRawMode } from './host-terminal.ts';
import { runProgram } from './program.ts';
import { dieOf, type FatalSignal, onFatalSignals } from './signals.ts';
import { type Stdio, terminalSize } from './stdio.ts';

/** q, and Ctrl-C and Ctrl-D, which raw mode gives as keys. */
const LEAVING_KEYS = ['q', '\u0003', '\u0004'];

/** Runs a subcommand; the exit status. Throws BlockError with the reason why it cannot. */
export async function runSubcommand(words: readonly string[], stdio: Stdio): Promise<number> {
  const streams = { stdout: (text: string) => stdio.stdout(text), stderr: (text: string) => stdio.stderr(text) };
  const printed = async (text: Promise<string>): Promise<number> => {
    stdio.stdout(await text);
    return 0;
  };
  const actions = {
    attach: (socket: string) => attach(socket, stdio),
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

async function attach(path: string, stdio: Stdio): Promise<number> {
  if (!stdio.hasCursor) {
    await attachLines(path, (text) => {
      stdio.stdout(text);
      stdio.flush();
    });
    return 0;
  }
  const { stdout, stdin } = process;
  const view = new AttachedView({
    path,
    write: (text) => void stdout.write(text),
    size: terminalSize(),
    paint: stdio.paint ?? unpainted,
    isAscii: !isUtf8Locale(process.env),
  });
  let signal: FatalSignal | null = null;
  const stop = (): void => view.stop();
  const stopBy = (name: FatalSignal): void => {
    signal ??= name;
    stop();
  };
  stdout.on('resize', () => view.resize(terminalSize()));
  onFatalSignals(stopBy);
  onHangUp(() => stopBy('SIGHUP'));
  setRawMode(true);
  stdin.on('data', (keys) => {
    if (LEAVING_KEYS.some((key) => keys.includes(key))) stop();
  });
  try {
    const endedInOrder = await view.run();
    if (endedInOrder) stdio.stdout('the session has ended\n');
  } finally {
    setRawMode(false);
    stdin.destroy();
  }
  if (signal !== null) {
    stdio.end();
    dieOf(signal);
  }
  return 0;
}

async function report(recording: string, output: string, stdio: Stdio): Promise<number> {
  const { records, notes } = await makeReport(recording, output);
  for (const note of notes) stdio.stderr(`note: ${note}\n`);
  stdio.stdout(`${output}: ${records} records\n`);
  return 0;
}
