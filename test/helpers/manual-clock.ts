/** A clock that stands still until a test moves it. */
import type { Clock } from '../../src/block/loop/clock.ts';

export class ManualClock implements Clock {
  #nowNs = 0;
  #timers = new Set<{ readonly atNs: number; readonly callback: () => void }>();

  nowNs(): number {
    return this.#nowNs;
  }

  get recentNs(): number {
    return this.#nowNs;
  }

  hostNs(): number {
    return this.nowNs();
  }

  after(delayNs: number, callback: () => void): () => void {
    const timer = { atNs: this.#nowNs + delayNs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Moves the time on; what is due is called. */
  advance(ns: number): void {
    this.#nowNs += ns;
    for (const timer of [...this.#timers].sort((a, b) => a.atNs - b.atNs)) {
      if (timer.atNs > this.#nowNs || !this.#timers.delete(timer)) continue;
      timer.callback();
    }
  }
}
