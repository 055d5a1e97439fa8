/**
 * The event loop: its turns, and what coroutines may wait for in it.
 *
 * Two queues hold what may run on: bottom halves (work that was put off by one turn) and completions of host I/O. They
 * are apart because a shell that has more input ready runs the first between two commands, and the second only when a
 * command waits (observed with qemu-io 7.2.22: piped `aio_write` on null-co reports before the next command, on a file
 * only when a later command polls).
 *
 * Host I/O that was under way when a command began has ended by the time it polls, and is delivered newest first; what
 * is started after that ends in its order. QEMU's thread pool does so: it walks its list of requests from the newest on
 * (observed with qemu-io 7.2.22: of three piped `aio_write` the last reports first, a `read` behind them reports last).
 */
import { BlockError } from '../error.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { type Answer, type Pending, run, type Steps } from '../../util/steps.ts';
import { type Clock, hostTurn, systemClock } from './clock.ts';
import { CoroutineRunner } from './coroutine-runner.ts';
import { type Coroutine, WaitingCoroutines, type WaitReason } from './coroutine.ts';

export { Coroutine, type RequestLabel, type WaitReason } from './coroutine.ts';

/** Node gets a turn at least this often: a signal acts within twice that. */
const MAX_BUSY_NS = 40e6;
const waitsForHostIo: WaitReason = { kind: 'host-io' };
const waitsForBottomHalf: WaitReason = { kind: 'bottom-half' };
const waitsForTimer: WaitReason = { kind: 'timer' };

/** Runs coroutines, one at a time, and everything that they may wait for. */
export class EventLoop extends CoroutineRunner {
  /**
   * Counts what is run from outside: commands and turns. What the host was asked in one need not be asked again in it.
   */
  epoch = 0;

  #bottomHalves: (() => void | Promise<void>)[] = [];
  /** Coroutines that one bottom half is going to run, in their order. */
  #scheduled: Coroutine[] = [];
  readonly #completions = new WaitingCoroutines();
  /** Host I/O that ended before the running command began. */
  readonly #ended: Coroutine[] = [];
  /** How to end the wait of each coroutine that waits for something outside of the loop. */
  readonly #outside = new Map<Coroutine, () => void>();
  /** Coroutines whose wait for the outside is over, in the order in which that happened. */
  readonly #arrived = new WaitingCoroutines();
  /** Resolves the wait of `poll` when a timer fires, something arrives, or the wait is interrupted. */
  #kick: (() => void) | null = null;
  #interrupted = false;
  /** When Node had its last turn, as far as is known; 0 for not known, which is when a command begins. */
  #turnNs = 0;
  #isInHostTurn = false;
  /**
   * Nothing goes on by itself: no turn does anything, and every wait for one ends as if nothing could happen. For a
   * session that has been stopped at one event.
   */
  isFrozen = false;

  constructor(clock: Clock = systemClock) {
    super(clock);
  }

  /** Runs `callback` as a bottom half: at the next turn of the loop. */
  schedule(callback: () => void | Promise<void>): void {
    this.#bottomHalves.push(callback);
    this.#kick?.();
  }

  /**
   * Called by a driver after it has done a synchronous host call: lets others run, as they would while a host call is
   * under way. Undefined when there are no others, and none can come.
   */
  hostIo(): Pending {
    const coroutine = this.current;
    // A request that ended at once still has its report among the bottom halves, and that comes before our completion.
    const isAlone = this.alive.size <= 1 && this.#bottomHalves.length === 0;
    if (coroutine === null || (isAlone && !coroutine.isAsynchronous)) return undefined;
    this.#completions.push(coroutine);
    return this.park(waitsForHostIo);
  }

  /** Called when a command begins: the host has had the time to end what is under way. */
  endHostIo(): void {
    for (let next = this.#completions.shift(); next !== undefined; next = this.#completions.shift()) {
      this.#ended.push(next);
    }
  }

  /**
   * Puts the running coroutine off by one turn of the loop. Also when it is alone: the commands that a script brings in
   * between see it unfinished. Undefined outside of a coroutine.
   */
  bottomHalf(): Pending {
    const coroutine = this.current;
    if (coroutine === null) return undefined;
    this.#bottomHalves.push(() => this.enter(coroutine));
    return this.park(waitsForBottomHalf);
  }

  /**
   * Parks the running coroutine until the next turn of the loop. Those that do so in one turn go on in their order,
   * where bottom halves of their own run newest first (as in QEMU, whose coroutines share one bottom half).
   */
  reschedule(): Pending {
    const coroutine = this.current;
    if (coroutine === null) return undefined;
    if (this.#scheduled.length === 0) this.#bottomHalves.push(() => run(this.#runScheduled()));
    this.#scheduled.push(coroutine);
    return this.park(waitsForBottomHalf);
  }

  *#runScheduled(): Steps<void> {
    const due = this.#scheduled;
    this.#scheduled = [];
    for (const coroutine of due) yield this.enter(coroutine);
  }

  /** Parks the running coroutine for `delayNs` nanoseconds of the loop's clock. */
  sleep(delayNs: number, reason: WaitReason = waitsForTimer): Promise<void> {
    return this.parkOutside(reason, (arrived) => this.clock.after(delayNs, arrived));
  }

  /**
   * Parks the running coroutine until something outside of the loop has happened: a timer, a message of a peer. `begin`
   * is called at once with the function to call then, at most once. It returns one that takes this back, which is
   * called if the coroutine is cancelled. While one waits so, the loop may sleep.
   */
  parkOutside(reason: WaitReason, begin: (arrived: () => void) => () => void): Promise<void> {
    const coroutine = this.current;
    assert(coroutine !== null, 'a coroutine waits for the outside');
    const takeBack = begin(() => this.#arrive(coroutine));
    this.#outside.set(coroutine, takeBack);
    return this.park(reason);
  }

  #arrive(coroutine: Coroutine): void {
    this.#outside.delete(coroutine);
    this.#arrived.push(coroutine);
    this.#kick?.();
  }

  /** Ends the wait of a coroutine for the outside, and enters it; nothing if that has arrived already. */
  endWait(coroutine: Coroutine): Pending {
    const takeBack = this.#outside.get(coroutine);
    if (takeBack === undefined) return undefined;
    takeBack();
    this.#outside.delete(coroutine);
    return this.enter(coroutine);
  }

  /** The coroutines that the rules of nodes let wait, oldest first. */
  delayed(): Coroutine[] {
    return this.#outside.size === 0 ? [] : [...this.alive].filter(({ waitsFor }) => waitsFor?.kind === 'delay');
  }

  /**
   * Called again and again by work without a bound: gives Node a turn, in which signals are seen, if it has had none
   * for a while. Nothing of the loop runs meanwhile. ECANCELED if the command is interrupted in that turn.
   */
  breathe(): Pending {
    return this.#isOverdue() ? this.#breatheNow() : undefined;
  }

  async #breatheNow(): Promise<void> {
    if (!(await this.#giveTurn())) throw new BlockError(Errno.ECANCELED);
  }

  #isOverdue(): boolean {
    const now = this.clock.hostNs();
    if (this.#turnNs === 0) this.#turnNs = now;
    return now - this.#turnNs > MAX_BUSY_NS;
  }

  /** Gives Node a turn; false if it brought an interrupt. */
  async #giveTurn(): Promise<boolean> {
    const { current } = this;
    this.current = null;
    this.#isInHostTurn = true;
    await hostTurn();
    this.#isInHostTurn = false;
    this.current = current;
    this.#turnNs = this.clock.hostNs();
    return !this.#takeInterrupt();
  }

  /** Runs the bottom halves that are due now, newest first as QEMU does, not those that they add. */
  *#runBottomHalves(): Steps<void> {
    const due = this.#bottomHalves;
    this.#bottomHalves = [];
    for (let callback = due.pop(); callback !== undefined; callback = due.pop()) yield callback();
  }

  /**
   * One turn: bottom halves, else one that waited for the outside (a timer, a peer), else one host I/O, else (with
   * `wait`) sleeps until something arrives. False if nothing can happen by itself any more, or if the sleep was
   * interrupted.
   */
  poll(wait = true): Answer<boolean> {
    return run(this.#poll(wait));
  }

  *#poll(wait: boolean): Steps<boolean> {
    this.epoch += 1;
    if (this.#isOverdue() && !(yield this.#giveTurn())) return false;
    if (this.isFrozen) return false;
    if (this.#bottomHalves.length > 0) {
      yield* this.#runBottomHalves();
      return true;
    }
    const next = this.#arrived.shift() ?? this.#ended.pop() ?? this.#completions.shift();
    if (next !== undefined) {
      yield this.enter(next);
      return true;
    }
    if (!wait || this.#outside.size === 0) return false;
    yield this.#sleepUntilKicked();
    return !this.#takeInterrupt();
  }

  async #sleepUntilKicked(): Promise<void> {
    if (this.#interrupted) return;
    await new Promise<void>((resolve) => {
      this.#kick = resolve;
    });
    this.#kick = null;
    this.#turnNs = 0;
  }

  #takeInterrupt(): boolean {
    const interrupted = this.#interrupted;
    this.#interrupted = false;
    return interrupted;
  }

  /** Ends the sleep of a `poll`, or the work that breathes (Ctrl-C). */
  interrupt(): void {
    if (this.#kick === null && !this.#isInHostTurn) return;
    this.#interrupted = true;
    this.#kick?.();
  }

  /**
   * One turn; if nothing can happen by itself, a sleep until something is scheduled from outside (a client's request)
   * or it is interrupted. For turning the loop while no command runs.
   */
  async turnOrSleep(): Promise<void> {
    if (this.pending) await this.poll();
    else await this.#sleepUntilKicked();
    this.#interrupted = false;
  }

  /** Whether it sleeps until something arrives from outside. */
  get isAsleep(): boolean {
    return this.#kick !== null;
  }

  /** Whether the next turn has something to do at once. */
  get isReady(): boolean {
    if (this.isFrozen) return false;
    return (
      this.#bottomHalves.length > 0 ||
      this.#ended.length > 0 ||
      this.#completions.first !== null ||
      this.#arrived.first !== null
    );
  }

  /**
   * Whether a turn could do something without waiting for a command: work is queued, a timer runs, a peer is to answer.
   */
  get pending(): boolean {
    return this.isReady || (this.#outside.size > 0 && !this.isFrozen);
  }

  /**
   * Runs a function as a coroutine, which does `operation`, and turns the loop until it has ended. False if it is
   * stuck: it waits, directly or not, for something that only a later command can bring (a breakpoint to be resumed).
   * It then lives on and ends when that happens. A function that is done when it returns (undefined) is done here, too,
   * without a promise.
   */
  run(operation: string, body: () => Pending): Promise<boolean> | true {
    this.epoch += 1;
    this.#turnNs = 0;
    const coroutine = this.make({ operation });
    const pending = this.start(coroutine, body);
    return pending === undefined ? true : this.#runOn(coroutine, pending);
  }

  async #runOn(coroutine: Coroutine, pending: Promise<void>): Promise<boolean> {
    let failure: unknown;
    let detached = false;
    const onEnd = (error: unknown): void => {
      failure = error;
      // Its caller has gone on; an error that the body let through is a bug and must not be lost.
      if (detached && error !== undefined) this.schedule(() => Promise.reject(error));
    };
    await this.untilItStops(coroutine, pending, onEnd);
    while (!coroutine.done) {
      if (await this.poll()) continue;
      // An interrupt. A delay is all that a rule has done: it ends with the command.
      if (coroutine.waitsFor?.kind === 'delay' && !coroutine.cancelled) {
        this.cancel(coroutine);
        continue;
      }
      detached = true;
      return false;
    }
    if (failure !== undefined) throw failure;
    return true;
  }

  /**
   * Marks a coroutine as cancelled: it ends with ECANCELED at its next I/O. One that waits for the outside (a timer, a
   * peer) wakes up; whatever else parked it must still wake it.
   */
  cancel(coroutine: Coroutine): void {
    coroutine.cancelled = true;
    const takeBack = this.#outside.get(coroutine);
    if (takeBack === undefined) return;
    takeBack();
    this.#arrive(coroutine);
  }
}
