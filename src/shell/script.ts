/** Runs many command lines: a list, or what a source gives line by line. */
import type { Clock } from '../block/loop/clock.ts';
import { type Answer, isPromise, type Pending } from '../util/steps.ts';
import type { Shell } from './command.ts';
import type { SessionState } from './session-state.ts';

/** Gives lines without their newline; null at the end. A promise says that the line has not arrived yet. */
export interface LineSource {
  next(): Answer<string | null>;
}

/** Commands run so long before Node gets a turn, in which it notices signals and what they printed goes out. */
const TURN_NS = 10e6;

/** Gives Node a turn now and then: commands that never wait would keep it from noticing Ctrl-C. */
class Breather {
  readonly #clock: Clock;
  #turnedNs: number;
  #seenNs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turnedNs = clock.nowNs();
  }

  breathe(): Pending {
    // A request has just looked at the clock, as a rule.
    const recentNs = this.#clock.recentNs();
    const nowNs = recentNs === this.#seenNs ? this.#clock.nowNs() : recentNs;
    this.#seenNs = nowNs;
    return nowNs - this.#turnedNs < TURN_NS ? undefined : this.#turn();
  }

  async #turn(): Promise<void> {
    await new Promise(setImmediate);
    this.#turnedNs = this.#clock.nowNs();
  }
}

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
 * printed, what is due at once is done, and, while the line has not arrived, everything that goes on by itself.
 * The status of the last line that failed; 0 if none has.
 */
export async function runLines(shell: Shell, source: LineSource, prompt: string | null): Promise<number> {
  const { session } = shell;
  const { loop, output } = session;
  const beforeLine = (): Answer<unknown> => {
    if (prompt !== null) {
      output.stdout(prompt);
      output.flush();
    }
    return loop.hasBottomHalves ? loop.runBottomHalves() : undefined;
  };
  const nextLine = (): Answer<string | null> => {
    const line = source.next();
    return isPromise(line) ? arrival(session, line) : line;
  };
  return runEach(shell, nextLine, beforeLine);
}

/** Runs the lines that `nextLine` gives; `beforeLine` comes before each of them, and before the end. */
async function runEach(
  shell: Shell,
  nextLine: () => Answer<string | null>,
  beforeLine?: () => Answer<unknown>,
): Promise<number> {
  const { session } = shell;
  const breather = new Breather(session.loop.clock);
  let lastError = 0;
  while (!session.quitRequested) {
    const due = beforeLine?.();
    if (isPromise(due)) await due;
    const turn = breather.breathe();
    if (turn !== undefined) await turn;
    const next = nextLine();
    const line = isPromise(next) ? await next : next;
    if (line === null) break;
    const result = shell.execute(line);
    const status = isPromise(result) ? await result : result;
    if (status >= 0) continue;
    lastError = status;
    if (session.bail) break;
  }
  return lastError;
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
  // Somebody may be reading what goes on, at the other end of a pipe.
  output.flush();
  while (!hasArrived) {
    await loop.turnOrSleep();
    output.flush();
  }
  return arrived;
}
