/** The terminal that is standard input and output, for what edits lines or draws on it: its modes, its end. */

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
