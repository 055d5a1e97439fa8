/**
 * How sockets and the event loop meet.
 *
 * The host tells of new input at any time between two callbacks of Node; the loop runs one coroutine at a time and only
 * where it says so. Therefore input is never acted upon when it arrives: it is kept, and a bottom half is scheduled
 * that serves the connections which have some. It runs
 *
 * - at once, while the shell waits for a line, as the loop then sleeps until something is scheduled (`turnOrSleep`);
 * - in the turns of a command that waits (for a timer, a lock, another request), as any other bottom half;
 * - between two lines of a script whose commands never wait, each time that Node has had a turn;
 * - never within a command that does not wait, nor between the commands of `-c`, as QEMU runs none there either.
 *
 * In its bottom half each request is a coroutine of its own, begun in the order of arrival: it runs until it ends or
 * parks, and only then comes the next one. A request at a breakpoint, or behind a lock, so holds up no other. What
 * parked goes on in later turns, as requests of the shell do.
 *
 * A turn serves every connection that has input for one slice (`sliceRequests`, `sliceBytes`), in turn, and ends when
 * `turnBytes` were moved, or work was done that is worth them (`workOf`). The next one begins after Node has looked for
 * other input: for a line of the shell, too. A request that is longer than a piece lets Node look between its pieces
 * (pieces.ts).
 */
import type { EventLoop } from '../block/loop/loop.ts';
import { run, type Steps } from '../util/steps.ts';

/** A connection, as far as it takes turns. */
export interface Served {
  /** Waits for its turn. */
  isReady: boolean;
  /** Does a slice of work; the bytes of data that were moved. */
  serve(): Steps<number>;
}

/** The connections that have something to do, in the order in which they are served. */
export class Turns {
  readonly #loop: EventLoop;
  readonly #turnBytes: number;
  #ready: Served[] = [];
  #isScheduled = false;

  constructor(loop: EventLoop, turnBytes: number) {
    this.#loop = loop;
    this.#turnBytes = turnBytes;
  }

  /** Gives a connection its next turn. */
  add(connection: Served): void {
    if (connection.isReady) return;
    connection.isReady = true;
    this.#ready.push(connection);
    if (!this.#isScheduled) this.#schedule();
  }

  #schedule(): void {
    this.#isScheduled = true;
    this.#loop.schedule(() => run(this.#turn()));
  }

  *#turn(): Steps<void> {
    let bytes = 0;
    // Those that become ready meanwhile are served in the next turn.
    for (let left = this.#ready.length; left > 0 && bytes < this.#turnBytes; left -= 1) {
      const connection = this.#ready.shift();
      if (connection === undefined) break;
      connection.isReady = false;
      bytes += yield* connection.serve();
    }
    if (this.#ready.length > 0) setImmediate(() => this.#schedule());
    else this.#isScheduled = false;
  }
}
