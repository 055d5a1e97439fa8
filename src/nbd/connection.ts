/** One client: its socket, its handshake, its requests, and its end. */
import type { Socket } from 'node:net';
import type { Clock } from '../block/loop/clock.ts';
import type { EventLoop } from '../block/loop/loop.ts';
import type { Steps } from '../util/steps.ts';
import { type Budget, Share } from './budget.ts';
import type { NbdExport } from './export.ts';
import { ByteQueue } from './byte-queue.ts';
import type { NbdLimits } from './server-limits.ts';
import { Negotiation, type NegotiationHost, ProtocolError } from './negotiation.ts';
import { type BlockPool, Replies } from './replies.ts';
import { Transmission, type TransmissionHost } from './transmission.ts';
import type { Served } from './turns.ts';

/** ByteQueue beyond this is left in the socket until it is served. */
const MAX_INPUT_BYTES = 128 << 10;
/** A client whose handshake's replies are not read gets no more of them. */
const MAX_HANDSHAKE_OUTPUT_BYTES = 256 << 10;
/** Options that are answered before others have their turn. */
const OPTIONS_PER_SLICE = 16;
/** Bytes that a slice of a handshake counts for in a turn. */
const HANDSHAKE_SLICE_BYTES = 16 << 10;
/** A peer that is silent is asked so often whether it is still there. */
const KEEP_ALIVE_MS = 60_000;

/**
 * `handshake`: no export is chosen yet; `serving`; `ending`: nothing is read any more, replies go out; `gone`: the
 * client has left, but not all of its requests have ended.
 */
export type ConnectionState = 'handshake' | 'serving' | 'ending' | 'gone';

/** A connection as views show it. */
export interface ConnectionInfo {
  readonly id: number;
  /** Host and port, or the path of the socket. */
  readonly peer: string;
  /** Null before one is chosen. */
  readonly exportName: string | null;
  readonly state: ConnectionState;
  /** Requests since it began, and those that have not ended. */
  readonly requests: number;
  readonly inFlight: number;
  /** Memory that its requests and replies take. */
  readonly heldBytes: number;
}

/** The parts of the server that a connection uses. */
export interface ConnectionHost {
  readonly loop: EventLoop;
  readonly clock: Clock;
  readonly limits: NbdLimits;
  readonly budget: Budget;
  readonly pool: BlockPool;
  readonly exports: ReadonlyMap<string, NbdExport>;
  readonly isStopping: boolean;
  /** It has something to do. */
  ready(connection: Connection): void;
  /** A line for the user. */
  tell(line: string): void;
  /** Its socket is closed and all of its requests have ended. */
  left(connection: Connection): void;
}

/** One client. It is served in its turns (see turns.ts), and reads on only while it may take more in. */
export class Connection implements Served, NegotiationHost, TransmissionHost {
  readonly id: number;
  readonly peer: string;
  readonly origin: string;
  readonly loop: EventLoop;
  readonly limits: NbdLimits;
  readonly pool: BlockPool;
  readonly exports: ReadonlyMap<string, NbdExport>;
  readonly share: Share;
  readonly replies: Replies;
  isReady = false;
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  readonly #input = new ByteQueue();
  #negotiation: Negotiation | null;
  #transmission: Transmission | null = null;
  #state: ConnectionState = 'handshake';
  /** The server, or the export, is about to end. */
  #isStopped = false;
  /** The client will send nothing more. */
  #hasEnded = false;
  /** It has to wait for memory, or for one of its requests. */
  #isBlocked = false;
  /** Takes back the time limit of the handshake, or of the end. */
  #stopTimer: () => void;

  constructor(host: ConnectionHost, socket: Socket, id: number, peer: string) {
    this.#host = host;
    this.#socket = socket;
    this.id = id;
    this.peer = peer;
    this.origin = `client ${id}`;
    this.loop = host.loop;
    this.limits = host.limits;
    this.pool = host.pool;
    this.exports = host.exports;
    this.share = new Share(
      host.budget,
      () => this.#unblock(),
      () => this.#dropStalled(),
    );
    this.replies = new Replies(socket, host.pool, (heldBytes) => this.#sent(heldBytes));
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('end', () => {
      this.#hasEnded = true;
      host.ready(this);
    });
    socket.on('drain', () => this.#unblock());
    // A reset, a broken pipe: 'close' follows.
    socket.on('error', () => {});
    socket.on('close', () => this.#closed());
    this.#stopTimer = this.#limitHandshake();
    this.#negotiation = new Negotiation(this);
  }

  get isStopping(): boolean {
    return this.#isStopped || this.#host.isStopping;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The export that its client has chosen; null before. */
  get export(): NbdExport | null {
    return this.#transmission?.agreement.export ?? null;
  }

  /** Requests that have begun and not ended. */
  get inFlight(): number {
    return this.#transmission?.inFlightCount ?? 0;
  }

  describe(): ConnectionInfo {
    return {
      id: this.id,
      peer: this.peer,
      exportName: this.export?.name ?? null,
      state: this.#state,
      requests: this.#transmission?.requestCount ?? 0,
      inFlight: this.inFlight,
      heldBytes: this.share.heldBytes,
    };
  }

  /** Sends a message of the handshake. */
  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Ends the connection as soon as the requests that have begun are answered; no others are begun. */
  stop(): void {
    this.#isStopped = true;
    if (this.#state === 'handshake') this.#socket.end();
    this.#end();
  }

  /** Ends the connection now. Requests that have begun go on; their replies are dropped. */
  destroy(): void {
    this.#socket.destroy();
  }

  *serve(): Steps<number> {
    if (this.#state === 'ending' || this.#state === 'gone') return 0;
    try {
      if (this.#negotiation !== null) {
        if (!this.#negotiate(this.#negotiation)) return HANDSHAKE_SLICE_BYTES;
      }
      if (this.#transmission !== null) yield* this.#transmit(this.#transmission);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#host.tell(`${this.origin} (${this.peer}): ${error.message}; disconnected`);
      this.#end();
    }
    return (this.#transmission?.sliceBytes ?? 0) + HANDSHAKE_SLICE_BYTES;
  }

  /** A request has ended. */
  onEnded(): void {
    if (this.#state === 'ending') this.#endIfIdle();
    else if (this.#state === 'gone') this.#leaveIfIdle();
    else this.#unblock();
  }

  /** True once an export is chosen. */
  #negotiate(negotiation: Negotiation): boolean {
    for (let count = 0; count < OPTIONS_PER_SLICE; count += 1) {
      if (this.#socket.writableLength > MAX_HANDSHAKE_OUTPUT_BYTES) {
        this.#block();
        return false;
      }
      const result = negotiation.step(this.#input);
      if (result === null) continue;
      if (result === 'more') {
        this.#readOn();
        return false;
      }
      if (result === 'aborted') {
        this.#end();
        return false;
      }
      this.#stopTimer();
      this.#negotiation = null;
      this.#transmission = new Transmission(this, result);
      this.#state = 'serving';
      return true;
    }
    this.#host.ready(this);
    return false;
  }

  *#transmit(transmission: Transmission): Steps<void> {
    const served = yield* transmission.serve(this.#input);
    if (served === 'over') this.#end();
    else if (served === 'blocked') this.#block();
    else if (served === 'again') this.#host.ready(this);
    else this.#readOn();
  }

  #receive(chunk: Buffer): void {
    if (this.#state === 'ending' || this.#state === 'gone') return;
    this.#input.push(chunk);
    if (this.#input.available >= MAX_INPUT_BYTES) this.#socket.pause();
    if (!this.#isBlocked) this.#host.ready(this);
  }

  /** All input is consumed that can be: more is read, or the client has sent its last. */
  #readOn(): void {
    if (this.#hasEnded) this.#end();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #block(): void {
    this.#isBlocked = true;
    this.#socket.pause();
  }

  #unblock(): void {
    if (!this.#isBlocked) return;
    this.#isBlocked = false;
    this.#host.ready(this);
  }

  #limitHandshake(): () => void {
    return this.#host.clock.after(this.limits.handshakeNs, () => {
      if (this.#state !== 'handshake') return;
      if (this.isReady) {
        // The client has spoken and was not heard: a command was running all the time.
        this.#stopTimer = this.#limitHandshake();
        return;
      }
      const seconds = this.limits.handshakeNs / 1e9;
      this.#host.tell(`${this.origin} (${this.peer}): no export chosen within ${seconds} s; disconnected`);
      this.destroy();
    });
  }

  #dropStalled(): void {
    if (this.replies.isEmpty) return;
    this.#host.tell(`${this.origin} (${this.peer}): it does not read its replies; disconnected`);
    this.destroy();
  }

  /** Reads nothing more; once all requests have ended and their replies are out, the socket is closed. */
  #end(): void {
    if (this.#state === 'ending' || this.#state === 'gone') return;
    this.#state = 'ending';
    this.#stopTimer();
    this.#input.clear();
    // What still comes is thrown away, so that the end of it is seen.
    this.#socket.resume();
    // To a peer of a Unix socket that is gone, and has not closed its writing half alone, nothing can be written.
    if (this.inFlight > 0) this.#socket.write(Buffer.alloc(0));
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.inFlight > 0) return;
    this.replies.flush();
    this.#socket.end();
    this.#stopTimer();
    this.#stopTimer = this.#host.clock.after(this.limits.goodbyeNs, () => this.destroy());
  }

  #sent(heldBytes: number): void {
    this.share.give(heldBytes);
  }

  #closed(): void {
    this.#stopTimer();
    this.#state = 'gone';
    this.#input.clear();
    this.#transmission?.leave();
    this.#endDelays();
    this.replies.end();
    this.share.leave();
    this.#leaveIfIdle();
  }

  /** A request that a rule delays ends with its client. One that is suspended stays, to be looked at. */
  #endDelays(): void {
    for (const coroutine of this.loop.delayed()) {
      if (coroutine.origin === this.origin) this.loop.cancel(coroutine);
    }
  }

  #leaveIfIdle(): void {
    if (this.inFlight === 0) this.#host.left(this);
  }
}
