/** Runs many command lines: a list, or what a source gives line by line. */
import { hostTurn } from '../block/loop/clock.ts';
import { Breather } from './breather.ts';
import { Errno, strerror } from '../util/errno.ts';
import { type Answer, isPromise, type Pending, run, type Steps } from '../util/steps.ts';
import type { Shell } from './command.ts';
import type { SessionState } from './session-state.ts';
import type { SessionConsoles } from './session-views.ts';

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
  return runEach(shell, { next: () => lines[next++] ?? null }, null, false);
}

/**
 * Runs lines until the source ends, `quit` was given, or one failed with `bail` set. Before each line `prompt` is
 * printed, host I/O ends, and, while the line has not arrived, everything that goes on by itself.
 * The status of the last line that failed; 0 if none has.
 */
export async function runLines(shell: Shell, source: LineSource, prompt: string | null): Promise<number> {
  return runEach(shell, source, prompt, true);
}

/** Runs the lines of a source; with `settles` the loop turns before each of them, and before the end. */
async function runEach(shell: Shell, source: LineSource, prompt: string | null, settles: boolean): Promise<number> {
  const { session } = shell;
  const { output } = session;
  const hasPlaces = source.place !== undefined;
  const consoles = consolesBetween(session, hasPlaces);
  const breather = breatherOf(session);
  tellTimeline(session, hasPlaces, settles);
  let lastError = 0;
  while (!session.quitRequested) {
    if (prompt !== null) {
      output.stdout(prompt, 'prompt');
      output.flush();
    }
    const settling = settles ? settle(session, breather) : undefined;
    if (settling !== undefined) await settling;
    const turn = breather.breathe();
    if (turn !== undefined) await turn;
    if (hasPlaces && session.wasInterrupted) break;
    if (consoles?.hasCommands === true) await consoles.runCommands();
    const next = source.next();
    const line = isPromise(next) ? await lateLine(shell, next) : next;
    if (line === null) break;
    // A signal or Ctrl-C may have come between the line and its run.
    if (session.quitRequested || source.takesBack?.() === true) continue;
    const { failuresPlaced } = session;
    const result = shell.execute(line);
    const status = isPromise(result) ? await result : result;
    if (status >= 0) continue;
    lastError = status;
    if (hasPlaces && session.wasInterrupted) break;
    if (session.failuresPlaced === failuresPlaced) placeFailure(session, source, line, status);
    if (session.bail) break;
  }
  return hasPlaces && session.wasInterrupted ? interrupted(session, source) : lastError;
}

/** A sandbox runs these lines again as they are run now. */
function tellTimeline({ timeline }: SessionState, hasPlaces: boolean, settles: boolean): void {
  if (timeline !== null && !hasPlaces) timeline.settles = settles;
}

/**
 * A line that has not arrived yet. While there is time, all commands are loaded: a later line need not find the
 * program's files as they are now.
 */
function lateLine({ commands, session }: Shell, line: Promise<string | null>): Promise<string | null> {
  // Should it fail, it is tried again by the line that needs it.
  commands.complete().catch(() => {});
  return arrival(session, line);
}

/** Says where a line has failed, if lines have places; only the innermost file does. */
function placeFailure(session: SessionState, { place }: LineSource, line: string, status: number): void {
  if (typeof place !== 'string') return;
  session.failuresPlaced += 1;
  session.error(`${place}: ${line}: ${strerror(-status)}`);
}

/** The status of a source that was interrupted, after saying where that was. */
function interrupted(session: SessionState, { place }: LineSource): number {
  if (typeof place === 'string' && session.background.noteInterrupt()) session.error(`interrupted at ${place}`);
  return INTERRUPTED;
}

/** The consoles whose commands run between two lines; a file that `source` runs is one command, none is in between. */
function consolesBetween({ consoles }: SessionState, hasPlaces: boolean): SessionConsoles | null {
  return hasPlaces ? null : consoles;
}

/**
 * Turns the loop until nothing can go on without waiting. qemu-io's main loop turns between two lines of its input, and
 * completes the host I/O that has ended by then; how much that is depends on its threads there. Here it is all of it,
 * as if the next line came late: a request has reached its breakpoint, or reported, when the next command runs.
 */
export function settle(session: SessionState, breather = breatherOf(session)): Pending {
  return session.loop.isReady ? run(turnUntilQuiet(session, breather)) : undefined;
}

function breatherOf({ loop, output }: SessionState): Breather {
  return new Breather(loop.clock, () => output.drained?.());
}

function* turnUntilQuiet({ loop, background }: SessionState, breather: Breather): Steps<void> {
  while (loop.isReady && !background.wasInterrupted) {
    yield loop.poll(false);
    yield breather.breathe();
  }
}

/** Turns the loop until what a person is to give is there; clients of an export and consoles are served meanwhile. */
export async function arrival<T>(session: SessionState, promise: Promise<T>): Promise<T> {
  const { output, consoles } = session;
  let hasArrived = false;
  let runsForConsole = false;
  const arrived = promise.finally(() => {
    hasArrived = true;
    // The line waits for a command of another console, and does not end it.
    if (!runsForConsole) session.loop.interrupt();
  });
  // A failure is thrown to the caller when the loop has turned.
  arrived.catch(() => {});
  // A line that is there already goes first: what it does must not depend on how fast it was.
  await hostTurn();
  // A program at the other end of a pipe may be reading.
  output.flush();
  while (!hasArrived) {
    await session.loop.turnOrSleep();
    if (consoles?.hasCommands === true) {
      runsForConsole = true;
      await consoles.runCommands();
      runsForConsole = false;
    }
    output.flush();
  }
  return arrived;
}
