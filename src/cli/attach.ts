/** `blkscope attach`: a second console of a session on a terminal, its lines in a pipe. */
import { emitKeypressEvents, type Interface, type Key } from 'node:readline';
import { BlockError } from '../block/error.ts';
import { SecondConsole } from '../live/console/console.ts';
import { ControlLink } from '../live/control/control-link.ts';
import { attachLines } from '../live/watch/attach-lines.ts';
import { isUtf8Locale } from '../util/ascii.ts';
import { unpainted } from '../util/style.ts';
import { History } from './line-history.ts';
import { onHangUp, setRawMode, stopForShell } from './host-terminal.ts';
import { dieOf, type FatalSignal, onFatalSignals } from './signals.ts';
import { type Stdio, terminalSize } from './stdio.ts';

/** After that time Esc is a key, and no beginning of another one. */
const ESCAPE_MS = 50;

/**
 * Shows a session until it ends or the user leaves: 0 if the user left, 1 if the session ended. In a pipe 0 if it ended
 * in order, 1 if it was killed. 1 also if none can be reached, after saying why.
 */
export async function runAttach(socket: string, stdio: Stdio): Promise<number> {
  try {
    return await (stdio.hasCursor ? onTerminal(socket, stdio) : inPipe(socket, stdio));
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    stdio.stderr(`blkscope: ${error.message}\n`);
    return 1;
  }
}

async function inPipe(socket: string, stdio: Stdio): Promise<number> {
  const hasEnded = await attachLines(socket, (text) => {
    stdio.stdout(text);
    stdio.flush();
  });
  if (hasEnded) return 0;
  stdio.stderr('blkscope: the session was killed\n');
  return 1;
}

async function onTerminal(socket: string, stdio: Stdio): Promise<number> {
  const { stdout, stdin } = process;
  const history = new History();
  history.load();
  const link = await ControlLink.open(socket, 'attach');
  const console = new SecondConsole({
    link,
    socket,
    write: (text) => void stdout.write(text),
    size: terminalSize(),
    paint: stdio.paint ?? unpainted,
    isAscii: !isUtf8Locale(process.env),
    history,
    stop() {
      stdout.write(console.restore());
      stopForShell(() => {
        setRawMode(true);
        console.comeBack();
      });
    },
  });
  let signal: FatalSignal | null = null;
  const stopBy = (name: FatalSignal): void => {
    signal ??= name;
    console.leave();
  };
  stdout.on('resize', () => console.resize(terminalSize()));
  onFatalSignals(stopBy);
  onHangUp(() => stopBy('SIGHUP'));
  process.once('exit', () => stdout.write(console.restore()));
  let end: Awaited<ReturnType<SecondConsole['run']>>;
  try {
    // Without a terminal at standard input it only watches.
    if (stdin.isTTY) {
      emitKeypressEvents(stdin, { escapeCodeTimeout: ESCAPE_MS } as Interface & { escapeCodeTimeout: number });
      setRawMode(true);
      stdin.on('keypress', (text: string | undefined, key: Key) => console.key(text, key));
      stdin.resume();
    }
    end = await console.run();
  } finally {
    setRawMode(false);
    stdin.destroy();
  }
  if (signal !== null) {
    stdio.end();
    dieOf(signal);
  }
  if (end === 'left') return 0;
  stdio.stdout(end === 'ended' ? 'the session has ended\n' : 'the session was killed\n');
  return 1;
}
