/** Lines about clients for the user: few, whatever clients do. */
import type { Clock } from '../block/loop/clock.ts';

/** So many lines in a second; the rest is counted. */
const LINES = 10;
const WINDOW_NS = 1e9;

/** Passes lines on, up to a rate. */
export class Notices {
  readonly #clock: Clock;
  readonly #tell: (line: string) => void;
  #windowNs = Number.NEGATIVE_INFINITY;
  #told = 0;
  #leftOut = 0;

  constructor(clock: Clock, tell: (line: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** Tells a line, or counts it. */
  tell(line: string): void {
    const nowNs = this.#clock.nowNs();
    if (nowNs - this.#windowNs >= WINDOW_NS) {
      if (this.#leftOut > 0) this.#tell(`${this.#leftOut} more messages about clients were left out`);
      this.#windowNs = nowNs;
      this.#told = 0;
      this.#leftOut = 0;
    }
    this.#told += 1;
    if (this.#told <= LINES) this.#tell(line);
    else this.#leftOut += 1;
  }
}
