/** Runs many command lines: a list, or what a source gives line by line. */
import type { Clock } from '../block/loop/clock.ts';
import type { Session } from './session.ts';

/** Gives lines without their newline; null at the end. A promise says that the line has not arrived yet. */
export interface LineSource {
  next(): string | null | Promise<string | null>;
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

  breathe(): Promise<void> | undefined {
    // A request has just looked at the clock, as a rule; to look again costs a thirtieth of a short command.
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
 * with `bail` set. What the last line that failed returned; 0 if none has.
 */
export async function runList(session: Session, lines: readonly string[]): Promise<number> {
  const breather = new Breather(session.loop.clock);
  let lastError = 0;
  for (const line of lines) {
    const wait = breather.breathe();
    if (wait !== undefined) await wait;
    if (session.quitRequested) break;
    const result = session.execute(line);
    const status = typeof result === 'number' ? result : await result;
    if (status >= 0) continue;
    lastError = status;
    if (session.bail) break;
  }
  return lastError;
}

/**
 * Runs lines until the source ends, `quit` was given, or one failed with `bail` set. Before each line `prompt` is
 * printed, what is due at once is done, and, while the line has not arrived, everything that goes on by itself.
 * What the last line that failed returned; 0 if none has.
 */
export async function runLines(session: Session, source: LineSource, prompt: string | null): Promise<number> {
  const { loop, output } = session;
  const breather = new Breather(loop.clock);
  let lastError = 0;
  while (!session.quitRequested) {
    if (prompt !== null) {
      output.stdout(prompt);
      output.flush();
    }
    if (loop.hasBottomHalves) await loop.runBottomHalves();
    const wait = breather.breathe();
    if (wait !== undefined) await wait;
    let line = source.next();
    if (typeof line === 'object' && line !== null) line = await arrival(session, line);
    if (line === null) break;
    const result = session.execute(line);
    const status = typeof result === 'number' ? result : await result;
    if (status >= 0) continue;
    lastError = status;
    if (session.bail) break;
  }
  return lastError;
}

/** Turns the loop until the line is there; clients of an export are served meanwhile. */
async function arrival(session: Session, promise: Promise<string | null>): Promise<string | null> {
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
