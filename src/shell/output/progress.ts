/** How far long work has come, for a person at a terminal: one line, gone when the work is done. */
import type { Output } from './output.ts';

/** Work that is done sooner is not worth a line. */
const FIRST_MS = 500;
const EVERY_MS = 100;

/** One piece of work. */
export class Progress {
  readonly #output: Output;
  readonly #what: string;
  readonly #total: number;
  readonly #amount: (done: number) => string;
  #dueMs = performance.now() + FIRST_MS;
  #done = 0;

  private constructor(output: Output, what: string, total: number, amount: (done: number) => string) {
    this.#output = output;
    this.#what = what;
    this.#total = total;
    this.#amount = amount;
  }

  /** Null where it would not be seen. `amount` is how a part of `total` is written. */
  static of(output: Output, what: string, total: number, amount: (done: number) => string): Progress | null {
    return output.progress === undefined ? null : new Progress(output, what, total, amount);
  }

  /** So much more is done. */
  add(count: number): void {
    this.reached(this.#done + count);
  }

  /** So much is done in all. */
  reached(done: number): void {
    this.#done = done;
    const now = performance.now();
    if (now < this.#dueMs) return;
    this.#dueMs = now + EVERY_MS;
    // Metadata and copies make more of a request than was asked for.
    const shown = Math.min(done, this.#total);
    const percent = Math.min(99, Math.floor((100 * shown) / this.#total));
    this.#output.progress?.(`${this.#what}: ${percent}%, ${this.#amount(shown)} of ${this.#amount(this.#total)}`);
  }

  /** Takes what was shown away. */
  end(): void {
    this.#output.progress?.('');
  }
}
