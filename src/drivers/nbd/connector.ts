/**
 * Makes connections in the background: an attempt goes on by itself when the request that wanted it has given up, and
 * the next one finds its result.
 */
import { BlockError } from '../../block/error.ts';
import type { Clock } from '../../block/loop/clock.ts';
import type { EventLoop } from '../../block/loop/loop.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { Socket } from 'node:net';
import type { ServerAddress } from './server-address.ts';
import { Channel } from './channel.ts';
import { connectTo } from './connect.ts';
import { negotiate, type Negotiated, type Wishes } from './negotiate.ts';

/** Pauses between attempts: from one second on twice as long each time, up to 16. */
const FIRST_PAUSE_NS = 1e9;
const MAX_PAUSE_NS = 16e9;

/** Connects to one server, again and again if need be. */
export class Connector {
  readonly #loop: EventLoop;
  readonly #clock: Clock;
  readonly #address: ServerAddress;
  readonly #wishes: Wishes;
  /** Whether an attempt that failed is followed by another one. */
  retries = false;
  #isRunning = false;
  #isReleased = false;
  #result: Negotiated | null = null;
  /** Of the last attempt, null if it went well. */
  #error: BlockError | null = null;
  /** Tells the request that waits for the attempt. */
  #arrived: (() => void) | null = null;
  #socket: Socket | null = null;
  /** Ends the pause between two attempts for good. */
  #endPause: (() => void) | null = null;

  constructor(loop: EventLoop, address: ServerAddress, wishes: Wishes) {
    this.#loop = loop;
    this.#clock = loop.clock;
    this.#address = address;
    this.#wishes = wishes;
  }

  /**
   * A connection, or the error of the last attempt. Without `waits` an attempt is begun, if none is under way, and only
   * a result that is there already counts. With it the running coroutine waits until the attempt ends or `stopWaiting`
   * is called.
   */
  *establish(waits: boolean): Steps<Negotiated | BlockError> {
    if (!this.#isRunning) {
      const ready = this.#takeResult();
      if (ready !== null) return ready;
      this.#isRunning = true;
      this.#run().catch((error: unknown) => this.#loop.schedule(() => Promise.reject(error)));
    }
    if (!waits) return this.#error ?? new BlockError(Errno.ECONNREFUSED, 'No connection at the moment');
    yield this.#loop.parkOutside({ kind: 'network' }, (arrived) => {
      this.#arrived = arrived;
      return () => {
        this.#arrived = null;
      };
    });
    this.#loop.checkCancelled();
    if (this.#isRunning) {
      return this.#error ?? new BlockError(Errno.ECONNREFUSED, 'Connection attempt cancelled by timeout');
    }
    return this.#takeResult() ?? this.#error ?? new BlockError(Errno.ECONNREFUSED);
  }

  /** Lets the request that waits for the attempt go on without it. */
  stopWaiting(): void {
    const arrived = this.#arrived;
    this.#arrived = null;
    arrived?.();
  }

  /** Ends everything. */
  release(): void {
    this.#isReleased = true;
    this.#takeResult()?.channel.close(null);
    this.#socket?.destroy();
    this.#endPause?.();
  }

  #takeResult(): Negotiated | null {
    const result = this.#result;
    this.#result = null;
    return result;
  }

  async #run(): Promise<void> {
    for (let pauseNs = FIRST_PAUSE_NS; ; pauseNs = Math.min(2 * pauseNs, MAX_PAUSE_NS)) {
      await this.#attempt();
      if (this.#result !== null || !this.retries || this.#isReleased) break;
      await this.#pause(pauseNs);
      if (this.#isReleased) break;
    }
    this.#isRunning = false;
    if (this.#isReleased) this.#takeResult()?.channel.close(null);
    this.stopWaiting();
  }

  #pause(ns: number): Promise<void> {
    return new Promise((resolve) => {
      const takeBack = this.#clock.after(ns, resolve);
      this.#endPause = () => {
        takeBack();
        resolve();
      };
    });
  }

  /** One attempt: leaves its result or its error. */
  async #attempt(): Promise<void> {
    try {
      const socket = await connectTo(this.#address, (opened) => {
        this.#socket = opened;
      });
      this.#result = await negotiate(new Channel(socket), this.#wishes);
      this.#error = null;
    } catch (error) {
      this.#socket?.destroySoon();
      if (!(error instanceof BlockError)) throw error;
      this.#error = error;
    }
    this.#socket = null;
  }
}
