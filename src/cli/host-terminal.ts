/**
 * The terminal that is standard input and output, for those who edit lines or draw on it: its modes, its output, its
 * end.
 */
import { Writable } from 'node:stream';

/** Reads keys as they are typed, or whole lines again. A terminal that has gone is left alone. */
export function setRawMode(isRaw: boolean): void {
  if (process.stdin.isTTY && !process.stdin.destroyed) process.stdin.setRawMode(isRaw);
}

/** A signal to ourselves has had its effect by then. */
const NOT_STOPPED_MS = 50;

/**
 * Stops the program, as Ctrl-Z does where keys are not raw; `comeBack` is called once it is continued. It gives the
 * terminal back first, and takes no keys.
 */
export function stopForShell(comeBack: () => void): void {
  let isBack = false;
  const continued = (): void => {
    if (isBack) return;
    isBack = true;
    comeBack();
  };
  process.once('SIGCONT', continued);
  setRawMode(false);
  process.kill(process.pid, 'SIGTSTP');
  // Without a shell that could continue it, the host does not stop a program at all.
  setTimeout(continued, NOT_STOPPED_MS);
}

let hangUpHandler: (() => void) | null = null;

/**
 * Calls `handle` when the terminal has gone: its window was closed, its connection dropped. Reads and writes fail from
 * then on (EIO), and the kernel's SIGHUP goes to the leader of the terminal's session alone.
 */
export function onHangUp(handle: () => void): void {
  const isFirst = hangUpHandler === null;
  hangUpHandler = handle;
  if (!isFirst) return;
  process.stdout.on('error', () => hangUpHandler?.());
  process.stdin.on('error', () => hangUpHandler?.());
  // Ctrl-D is a key while lines are edited: an end of the input is the end of the terminal.
  process.stdin.on('end', () => hangUpHandler?.());
}

/** The terminal as a line editor sees it: its output goes through a function first. */
export class EchoedOutput extends Writable {
  readonly isTTY = true;
  readonly #change: (text: string) => string;

  /**
   * `change` gives what is written in the place of a text; `beforeResize` comes before the editor hears of a new size,
   * and says whether it is to hear of it: it draws its line then.
   */
  constructor(change: (text: string) => string, beforeResize: () => boolean) {
    super({ decodeStrings: false });
    this.#change = change;
    process.stdout.on('resize', () => {
      if (beforeResize()) this.emit('resize');
    });
  }

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  /** At once, as standard output on a terminal does: the order among all writers is that of the calls. */
  override _write(text: string, _encoding: BufferEncoding, done: () => void): void {
    process.stdout.write(this.#change(text));
    done();
  }
}
