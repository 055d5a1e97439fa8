/** Requests in the background: what was started and has not reported, and turning the loop for it. */
import { BlockError } from '../../block/error.ts';
import type { EventLoop, RequestLabel } from '../../block/loop/loop.ts';
import type { Pending } from '../../util/steps.ts';

/** The requests and suspended commands of one session that will report when they end. */
export class Background {
  readonly #loop: EventLoop;
  /** The console that asked for the command that runs, or for the request that reports; null for the session itself. */
  origin: string | null = null;
  #unfinished = 0;
  /** Those of consoles, by their names. */
  readonly #ofConsoles = new Map<string, number>();
  #interrupted = false;
  #isNoted = false;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** How many requests and commands have begun and not reported. */
  get unfinished(): number {
    return this.#unfinished;
  }

  /** How many of them a console has asked for. */
  unfinishedOf(console: string): number {
    return this.#ofConsoles.get(console) ?? 0;
  }

  /** A command of this origin goes on in the background. */
  add(origin: string | null): void {
    this.#unfinished += 1;
    if (origin !== null) this.#count(origin, 1);
  }

  /** A command that was added has ended. */
  remove(origin: string | null): void {
    this.#unfinished -= 1;
    if (origin !== null) this.#count(origin, -1);
  }

  #count(console: string, change: 1 | -1): void {
    const count = this.unfinishedOf(console) + change;
    if (count === 0) this.#ofConsoles.delete(console);
    else this.#ofConsoles.set(console, count);
  }

  /**
   * Starts a request and runs it until it parks or ends. `report` is called when it ends, with the error or undefined,
   * and never before this is done: a request that ends at once reports as a bottom half, as QEMU's AIO requests do.
   */
  start(label: RequestLabel, body: () => Pending, report: (error: unknown) => void): Pending {
    const { origin } = this;
    this.add(origin);
    let hasReturned = false;
    const pending = this.#loop.begin(origin === null ? label : { ...label, origin }, body, (error) => {
      // A bug is thrown on by the turn of the loop that follows, which has a caller.
      const isBug = error !== undefined && !(error instanceof BlockError);
      if (hasReturned && !isBug) this.#end(report, error, origin);
      else this.#loop.schedule(() => this.#end(report, error, origin));
    });
    if (pending !== undefined) return pending.then(() => void (hasReturned = true));
    hasReturned = true;
    return undefined;
  }

  #end(report: (error: unknown) => void, error: unknown, origin: string | null): void {
    this.remove(origin);
    const outer = this.origin;
    this.origin = origin;
    report(error);
    this.origin = outer;
  }

  /** Lets every request end that can. False if some cannot (a breakpoint suspends them), or after an interrupt. */
  async drain(): Promise<boolean> {
    await this.pollUntil(() => this.#unfinished === 0);
    return this.#unfinished === 0;
  }

  /** Turns the loop until `condition` holds. False if nothing that goes on by itself can bring it about. */
  async pollUntil(condition: () => boolean): Promise<boolean> {
    while (!condition()) {
      if (this.#interrupted || !(await this.#loop.poll())) return false;
    }
    return true;
  }

  /** Turns the loop until nothing goes on by itself any more, or an interrupt. */
  async untilIdle(): Promise<void> {
    await this.pollUntil(() => false);
  }

  /** Ends what the running command waits for (Ctrl-C). Requests in flight live on. */
  interrupt(): void {
    this.#interrupted = true;
    this.#loop.interrupt();
  }

  /** A new command begins: it was not interrupted. */
  begin(): void {
    this.#interrupted = false;
    this.#isNoted = false;
  }

  /** True for the first call after an interrupt: the innermost file says where it was. */
  noteInterrupt(): boolean {
    if (this.#isNoted) return false;
    this.#isNoted = true;
    return true;
  }

  /** Whether the command that ran last was interrupted. */
  get wasInterrupted(): boolean {
    return this.#interrupted;
  }
}
