/**
 * How much memory clients may take: each its share, all together a total. A client that gets none waits for what
 * others give back.
 */
import type { Clock } from '../block/loop/clock.ts';
import type { NbdLimits } from './server-limits.ts';

/** The memory of all clients of a server. */
export class Budget {
  readonly limits: NbdLimits;
  readonly #clock: Clock;
  readonly #waiting = new Set<Share>();
  /** Those that hold something. */
  readonly #holders = new Set<Share>();
  /** Ends the watch over clients that hold memory while others wait. */
  #endWatch: (() => void) | null = null;
  #heldBytes = 0;

  constructor(limits: NbdLimits, clock: Clock) {
    this.limits = limits;
    this.#clock = clock;
  }

  /** Bytes that all clients hold. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Changes what is held by `bytes`. @internal */
  account(share: Share, bytes: number): void {
    this.#heldBytes += bytes;
    if (share.heldBytes > 0) this.#holders.add(share);
    else this.#holders.delete(share);
    if (bytes < 0 && this.#waiting.size > 0) this.#wakeAll();
  }

  /** Notes a client that waits for memory which others hold. @internal */
  wait(share: Share): void {
    this.#waiting.add(share);
    if (this.#endWatch !== null) return;
    for (const holder of this.#holders) holder.hasMoved = false;
    this.#endWatch = this.#clock.after(this.limits.stallNs, () => this.#dropStalled());
  }

  /** Forgets a client that has left. @internal */
  forget(share: Share): void {
    this.#waiting.delete(share);
    if (this.#waiting.size === 0) this.#stopWatch();
  }

  #wakeAll(): void {
    const woken = [...this.#waiting];
    this.#waiting.clear();
    this.#stopWatch();
    for (const share of woken) share.onRoom();
  }

  #stopWatch(): void {
    this.#endWatch?.();
    this.#endWatch = null;
  }

  /** Others have waited all the time, and these have not read a byte. */
  #dropStalled(): void {
    this.#endWatch = null;
    const stalled = [...this.#holders].filter((holder) => !holder.hasMoved);
    for (const holder of stalled) holder.onStalled();
    for (const share of this.#waiting) this.wait(share);
  }
}

/** The memory of one client. */
export class Share {
  readonly #budget: Budget;
  /** Called when there may be memory again, after a `take` that was refused. */
  readonly onRoom: () => void;
  /** Called if the client has read nothing for too long while others wait for the memory that it holds. */
  readonly onStalled: () => void;
  heldBytes = 0;
  /** Something was given back since others began to wait. @internal */
  hasMoved = false;
  #waitsForOwn = false;

  constructor(budget: Budget, onRoom: () => void, onStalled: () => void) {
    this.#budget = budget;
    this.onRoom = onRoom;
    this.onStalled = onStalled;
  }

  /** Takes memory for a request; false if there is none. `onRoom` is called then, when there may be. */
  take(bytes: number): boolean {
    const { limits } = this.#budget;
    if (this.heldBytes > 0 && this.heldBytes + bytes > limits.maxConnectionBytes) {
      this.#waitsForOwn = true;
      return false;
    }
    const isSmall = this.heldBytes === 0 && bytes <= limits.smallRequestBytes;
    if (!isSmall && this.#budget.heldBytes + bytes > limits.maxTotalBytes && this.#budget.heldBytes > 0) {
      this.#budget.wait(this);
      return false;
    }
    this.heldBytes += bytes;
    this.#budget.account(this, bytes);
    return true;
  }

  /** Gives memory back. */
  give(bytes: number): void {
    if (bytes === 0) return;
    this.heldBytes -= bytes;
    this.hasMoved = true;
    this.#budget.account(this, -bytes);
    if (!this.#waitsForOwn) return;
    this.#waitsForOwn = false;
    this.onRoom();
  }

  /** The client has left: it waits for nothing any more. What it still holds is given back as its requests end. */
  leave(): void {
    this.#waitsForOwn = false;
    this.#budget.forget(this);
  }
}
