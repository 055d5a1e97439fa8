/** The lines on their way to a client of the control socket: in batches, and never without bound. */
import type { Socket } from 'node:net';
import { notificationLine } from './messages.ts';

/** With so much waiting for the client its next call is not served. */
const FULL_BYTES = 1 << 20;
/** With so much waiting records and snapshots are left out, and counted. */
const MAX_BACKLOG_BYTES = 4 << 20;
/** Records are handed to the socket in pieces of this size at least, or by `flush`. */
const BATCH_CHARS = 64 << 10;

/** The way out to one client. */
export class Outbox {
  readonly #socket: Socket;
  readonly #patienceMs: number;
  readonly #giveUp: () => void;
  /** Records that are not handed to the socket yet. */
  #batch = '';
  /** Notifications that were left out since the client fell behind. */
  #dropped = 0;
  #patience: NodeJS.Timeout | null = null;
  #roomWaiter: (() => void) | null = null;
  #isClosed = false;

  /**
   * `giveUp` is called once the client has been behind for `patienceMs` without taking all that waits for it, or lets
   * too much wait that cannot be left out.
   */
  constructor(socket: Socket, patienceMs: number, giveUp: () => void) {
    this.#socket = socket;
    this.#patienceMs = patienceMs;
    this.#giveUp = giveUp;
  }

  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  /** Notifications were left out, and the client does not know it yet. */
  get hasDropped(): boolean {
    return this.#dropped > 0;
  }

  /** Sends a text behind all that was given before. */
  send(text: string): void {
    this.flush();
    this.#write(text);
  }

  /** Sends text that no call waits for and that may not be left out: a client that takes none of it is given up. */
  sendUnasked(text: string): void {
    this.send(text);
    if (this.backlogBytes > 2 * MAX_BACKLOG_BYTES) this.#giveUp();
  }

  /** Sends a line that a client that is behind does without. */
  sendIfRoom(line: string): void {
    if (!this.#leavesOut()) this.send(line);
  }

  /** Adds a line to the batch; `line` makes it, unless the client is behind. */
  batchIfRoom(line: () => string): void {
    if (this.#leavesOut()) return;
    this.#batch += line();
    if (this.#batch.length > BATCH_CHARS) this.flush();
  }

  /** Hands the batch to the socket. */
  flush(): void {
    const batch = this.#batch;
    this.#batch = '';
    if (batch !== '') this.#write(batch);
  }

  /** Tells how many notifications were left out. */
  tellDropped(): void {
    const dropped = this.#dropped;
    this.#dropped = 0;
    this.send(notificationLine('note', { text: 'records left out for a slow client', dropped }));
  }

  /** The client has taken all that waited for it. */
  drained(): void {
    this.#stopPatience();
    this.#roomWaiter?.();
  }

  /** Waits until a client that is slow has taken most of what waits for it. */
  async room(): Promise<void> {
    while (!this.#isClosed && this.backlogBytes > FULL_BYTES) {
      this.#startPatience();
      await new Promise<void>((resolve) => {
        this.#roomWaiter = resolve;
      });
      this.#roomWaiter = null;
    }
  }

  /** The connection is gone: nothing is sent any more. */
  close(): void {
    this.#isClosed = true;
    this.#stopPatience();
    this.#roomWaiter?.();
  }

  #leavesOut(): boolean {
    if (this.backlogBytes <= MAX_BACKLOG_BYTES) return false;
    this.#startPatience();
    this.#dropped += 1;
    return true;
  }

  #write(text: string): void {
    if (!this.#isClosed && this.#socket.writable) this.#socket.write(text);
  }

  #startPatience(): void {
    this.#patience ??= setTimeout(this.#giveUp, this.#patienceMs);
    this.#patience.unref();
  }

  #stopPatience(): void {
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#patience = null;
  }
}
