/** Runs many command lines: a list, or what a source gives line by line. */
import { Breather } from './breather.ts';
import { Errno, strerror } from '../util/errno.ts';
import { type Answer, isPromise, type Pending } from '../util/steps.ts';
import type { Shell } from './command.ts';
import type { SessionState } from './session-state.ts';

/** Gives lines without their newline; null at the end. A promise says that the line has not arrived yet. */
export interface LineSource {
  next(): Answer<string | null>;
  /**
   * "FILE:LINE" of the line that was given last; null where lines have no place of their own. Left out at the top:
   * there an interrupt ends one line, and not the source.
   */
  readonly place?: string | null;
  /** Called before a line is run: whether the user has taken it back since it was given. */
  takesBack?(): boolean;
}

/** The status of an interrupted command. */
const INTERRUPTED = -Errno.EINTR;

/**
 * Runs the lines of a list (`-c`), one after the other, with nothing in between. Ends early after `quit`, or an error
 * with `bail` set. The status of the last line that failed; 0 if none has.
 */
export async function runList(shell: Shell, lines: readonly string[]): Promise<number> {
  let next = 0;
  return runEach(shell, () => lines[next++] ?? null);
}

/**
 * Runs lines until the source ends, `quit` was given, or one failed with `bail` set. Before each line `prompt` is
 * printed, host I/O ends, and, while the line has not arrived, everything that goes on by itself.
 * The status of the last line that failed; 0 if none has.
 */
export async function runLines(shell: Shell, source: LineSource, prompt: string | null): Promise<number> {
  const { session } = shell;
  const { loop, output } = session;
  const beforeLine = (breather: Breather): Pending => {
    if (prompt !== null) {
      output.stdout(prompt);
      output.flush();
    }
    return loop.isReady ? settle(session, breather) : undefined;
  };
  const nextLine = (): Answer<string | null> => {
    const line = source.next();
    return isPromise(line) ? arrival(session, line) : line;
  };
  return runEach(shell, nextLine, beforeLine, source);
}

/** Runs the lines that `nextLine` gives; `beforeLine` comes before each of them, and before the end. */
async function runEach(
  shell: Shell,
  nextLine: () => Answer<string | null>,
  beforeLine?: (breather: Breather) => Pending,
  source?: LineSource,
): Promise<number> {
  const { session } = shell;
  const breather = new Breather(session.loop.clock, () => session.output.drained?.());
  let lastError = 0;
  while (!session.quitRequested) {
    const settled = beforeLine?.(breather);
    if (settled !== undefined) await settled;
    const turn = breather.breathe();
    if (turn !== undefined) await turn;
    if (source?.place !== undefined && session.wasInterrupted) break;
    const next = nextLine();
    const line = isPromise(next) ? await next : next;
    if (line === null) break;
    const { failuresPlaced } = session;
    const result = executeUnlessTakenBack(shell, line, source);
    const status = isPromise(result) ? await result : result;
    if (status >= 0) continue;
    lastError = status;
    if (source?.place !== undefined && session.wasInterrupted) break;
    if (typeof source?.place === 'string' && session.failuresPlaced === failuresPlaced) {
      session.failuresPlaced += 1;
      session.error(`${source.place}: ${line}: ${strerror(-status)}`);
    }
    if (session.bail) break;
  }
  if (source?.place === undefined || !session.wasInterrupted) return lastError;
  if (typeof source.place === 'string' && session.background.noteInterrupt()) {
    session.error(`interrupted at ${source.place}`);
  }
  return INTERRUPTED;
}

/** Runs a line, unless a signal or Ctrl-C came between the line and its run. */
function executeUnlessTakenBack(shell: Shell, line: string, source?: LineSource): Answer<number> {
  return shell.session.quitRequested || source?.takesBack?.() === true ? 0 : shell.execute(line);
}

/**
 * Turns the loop until nothing can go on without waiting. qemu-io's main loop turns between two lines of its input, and
 * completes the host I/O that has ended by then; how much that is depends on its threads there. Here it is all of it,
 * as if the next line came late: a request has reached its breakpoint, or reported, when the next command runs.
 */
async function settle({ loop, background }: SessionState, breather: Breather): Promise<void> {
  while (loop.isReady && !background.wasInterrupted) {
    await loop.poll(false);
    const turn = breather.breathe();
    if (turn !== undefined) await turn;
  }
}

/** Turns the loop until the line is there; clients of an export are served meanwhile. */
async function arrival(session: SessionState, promise: Promise<string | null>): Promise<string | null> {
  const { loop, output } = session;
  let hasArrived = false;
  const arrived = promise.finally(() => {
    hasArrived = true;
    loop.interrupt();
  });
  // A line that is there already goes first: what it does must not depend on how fast it was.
  await new Promise(setImmediate);
  // A program at the other end of a pipe may be reading.
  output.flush();
  while (!hasArrived) {
    await loop.turnOrSleep();
    output.flush();
  }
  return arrived;
}
