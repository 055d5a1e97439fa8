/** The clock of a case: time stands still while anything can run, and jumps to the next timer when nothing can. */
import type { Clock } from '../block/loop/clock.ts';

/** Time at the start of a case, in nanoseconds. Not 0, which the loop takes for "not known". */
const START_NS = 1e9;

interface Timer {
  readonly dueNs: number;
  readonly callback: () => void;
}

/**
 * A clock whose timers fire in the order of their times, however long they are. One fires only when Node has nothing
 * else to do, which is when the loop sleeps: a case is over in no time and the same in every run.
 */
export class JumpingClock implements Clock {
  #nowNs = START_NS;
  /** Earliest first; of equal ones that which was set first. */
  readonly #timers: Timer[] = [];
  #isArmed = false;

  nowNs(): number {
    return this.#nowNs;
  }

  recentNs(): number {
    return this.#nowNs;
  }

  after(delayNs: number, callback: () => void): () => void {
    const timer = { dueNs: this.#nowNs + delayNs, callback };
    const place = this.#timers.findIndex(({ dueNs }) => dueNs > timer.dueNs);
    this.#timers.splice(place < 0 ? this.#timers.length : place, 0, timer);
    this.#arm();
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => this.#jump());
  }

  #jump(): void {
    this.#isArmed = false;
    const timer = this.#timers.shift();
    if (timer === undefined) return;
    this.#nowNs = Math.max(this.#nowNs, timer.dueNs);
    if (this.#timers.length > 0) this.#arm();
    timer.callback();
  }
}
