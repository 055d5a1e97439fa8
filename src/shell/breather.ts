/** Turns of Node between pieces of work that never wait. */
import { type Clock, hostTurn } from '../block/loop/clock.ts';
import type { Pending } from '../util/steps.ts';

/** Commands run so long before Node gets a turn, in which it notices signals and what they printed goes out. */
const TURN_NS = 10e6;

/** Gives Node a turn now and then: commands that never wait would keep it from noticing Ctrl-C. */
export class Breather {
  readonly #clock: Clock;
  readonly #drained: (() => Pending) | undefined;
  #turnedNs: number;
  #seenNs = 0;

  /** `drained` waits while a reader of the output is too slow: commands do not run ahead of it. */
  constructor(clock: Clock, drained?: () => Pending) {
    this.#clock = clock;
    this.#drained = drained;
    this.#turnedNs = clock.hostNs();
  }

  /** Waits if it is time for a turn of Node. */
  breathe(): Pending {
    // A request has just looked at the clock, as a rule.
    const { recentNs } = this.#clock;
    const nowNs = recentNs === this.#seenNs ? this.#clock.hostNs() : recentNs;
    this.#seenNs = nowNs;
    return nowNs - this.#turnedNs < TURN_NS ? undefined : this.#turn();
  }

  async #turn(): Promise<void> {
    await hostTurn();
    await this.#drained?.();
    this.#turnedNs = this.#clock.hostNs();
  }
}
