/** The clock of a sandbox: time stands still while anything can run, and jumps to the next timer when nothing can. */
import { type Clock, systemClock } from '../block/loop/clock.ts';

/** Time at the start, in nanoseconds. Not 0, which the loop takes for "not known". */
const START_NS = 1e9;

interface Timer {
  readonly dueNs: number;
  readonly callback: () => void;
}

/** How far the clock of a session with a user may go. */
export interface ClockLimits {
  /** Whether the loop sleeps: in a turn that Node is given in between, no timer fires. */
  readonly isAsleep: () => boolean;
}

/**
 * A clock whose timers fire in the order of their times, however long they are. One fires only when Node has nothing
 * else to do, which is when the loop sleeps: a case is over in no time and the same in every run.
 *
 * With limits it is the clock of a session with a user: then time passes only while it is not held.
 */
export class JumpingClock implements Clock {
  readonly #limits: ClockLimits | null;
  #nowNs = START_NS;
  /** Earliest first; of equal ones that which was set first. */
  readonly #timers: Timer[] = [];
  #isArmed = false;
  #isHeld = false;

  constructor(limits: ClockLimits | null = null) {
    this.#limits = limits;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  get recentNs(): number {
    return this.hostNs();
  }

  hostNs(): number {
    return this.#limits === null ? this.#nowNs : systemClock.nowNs();
  }

  /** Time stands still until `release`, whatever sleeps. */
  hold(): void {
    this.#isHeld = true;
  }

  /** Ends `hold`. */
  release(): void {
    this.#isHeld = false;
    if (this.#timers.length > 0) this.#arm();
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
    if (this.#isArmed || this.#isHeld) return;
    this.#isArmed = true;
    setImmediate(() => this.#jump());
  }

  #jump(): void {
    this.#isArmed = false;
    if (this.#isHeld || this.#timers.length === 0) return;
    if (this.#limits !== null && !this.#limits.isAsleep()) {
      this.#arm();
      return;
    }
    const timer = this.#timers.shift();
    if (timer === undefined) return;
    this.#nowNs = Math.max(this.#nowNs, timer.dueNs);
    if (this.#timers.length > 0) this.#arm();
    timer.callback();
  }
}
