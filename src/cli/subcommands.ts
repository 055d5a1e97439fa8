/** `blkscope attach SOCKET` and `blkscope report RUN -o OUT`: what the program does without a session of its own. */
import { BlockError } from '../block/error.ts';
import { AttachedView, attachLines } from '../live/watch/attach.ts';
import { makeReport } from '../live/record/report.ts';
import { unpainted } from '../util/style.ts';
import { Errno } from '../util/errno.ts';
import type { Stdio } from './stdio.ts';
import { terminalSize } from './terminal-size.ts';

const attachUsage = 'Usage: blkscope attach SOCKET';
/** q, and Ctrl-C and Ctrl-D, which raw mode gives as keys. */
const LEAVING_KEYS = ['q', '\u0003', '\u0004'];
const reportUsage = 'Usage: blkscope report RUN.ndjson -o RUN.html|RUN.json';

/** Runs a subcommand; the exit status. Throws BlockError with the reason why it cannot. */
export async function runSubcommand(words: readonly string[], stdio: Stdio): Promise<number> {
  return words[0] === 'attach' ? attach(words.slice(1), stdio) : report(words.slice(1), stdio);
}

async function attach(words: readonly string[], stdio: Stdio): Promise<number> {
  const [path, ...more] = words;
  if (path === undefined || more.length > 0) throw new BlockError(Errno.EINVAL, attachUsage);
  if (!stdio.stdoutIsTerminal) {
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
  });
  const stop = (): void => view.stop();
  stdout.on('resize', () => view.resize(terminalSize()));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  if (stdin.isTTY) stdin.setRawMode(true);
  stdin.on('data', (keys) => {
    if (LEAVING_KEYS.some((key) => keys.includes(key))) stop();
  });
  try {
    const endedInOrder = await view.run();
    if (endedInOrder) stdio.stdout('the session has ended\n');
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false);
    stdin.destroy();
  }
  return 0;
}

async function report(words: readonly string[], stdio: Stdio): Promise<number> {
  const output = words.indexOf('-o');
  const [input, ...more] = words.filter((_word, index) => output < 0 || (index !== output && index !== output + 1));
  const target = output < 0 ? undefined : words[output + 1];
  if (input === undefined || target === undefined || more.length > 0) throw new BlockError(Errno.EINVAL, reportUsage);
  const { records, notes } = await makeReport(input, target);
  for (const note of notes) stdio.stderr(`note: ${note}\n`);
  stdio.stdout(`${target}: ${records} records\n`);
  return 0;
}
