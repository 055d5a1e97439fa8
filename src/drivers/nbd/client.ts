/**
 * The client of one export: requests in flight on a connection, and what becomes of them when it is lost.
 *
 * A connection that is lost is made again by the next request. With a reconnect delay, requests wait for that so long,
 * and those that were in flight are sent again; without one, and after it, they fail. A server that breaks the protocol
 * is not talked to any more.
 */
import { BlockError } from '../../block/error.ts';
import { CoroutineQueue } from '../../block/loop/coroutine-queue.ts';
import type { EventLoop, WaitReason } from '../../block/loop/loop.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import type { Steps } from '../../util/steps.ts';
import type { Channel } from './channel.ts';
import type { Connector } from './connector.ts';
import { Exchange, type Expected } from './exchange.ts';
import type { ExportInfo, Negotiated } from './negotiate.ts';
import { Command, encodeRequest, type RequestBody } from '../../nbd/wire.ts';
import { type Exchanges, readReplies } from './reply-reader.ts';

/** So many requests are in flight at most; others wait. */
const MAX_REQUESTS = 16;

const waitsForServer: WaitReason = { kind: 'network' };

/**
 * `patient`: there is no connection, and requests wait for one; `impatient`: there is none, and they fail; `broken`:
 * there will be none.
 */
type State = 'patient' | 'impatient' | 'connected' | 'broken';

/** The surroundings of a client, and its patience. */
export interface ClientSettings {
  readonly loop: EventLoop;
  readonly connector: Connector;
  /** How long requests wait for a connection that was lost. */
  readonly reconnectDelayNs: number;
  /** Looks at what a new connection offers; throws if that will not do. */
  readonly onConnected: (info: ExportInfo) => void;
  /** Told when the running request has to wait. */
  readonly onWait: (reason: WaitReason) => void;
}

/** The connection to one export. */
export class NbdClient implements Exchanges {
  readonly #settings: ClientSettings;
  readonly #loop: EventLoop;
  #state: State = 'patient';
  #channel: Channel | null = null;
  #info: ExportInfo | null = null;
  /** Requests that were let in: they are in flight, or look for a connection. */
  #admitted = 0;
  readonly #slots: (Exchange | undefined)[] = Array.from({ length: MAX_REQUESTS }, () => undefined);
  readonly #queue: CoroutineQueue;
  #serial = 0;
  #endDelay: (() => void) | null = null;
  /** @internal */
  current: Exchange | null = null;

  constructor(settings: ClientSettings) {
    this.#settings = settings;
    this.#loop = settings.loop;
    this.#queue = new CoroutineQueue(settings.loop);
  }

  /** The export as the server described it when the connection was made last. */
  get info(): ExportInfo {
    assert(this.#info !== null, 'the client has been connected');
    return this.#info;
  }

  /** Makes the first connection, trying until `timeoutNs` have passed; 0 for one attempt. Throws if there is none. */
  *open(timeoutNs: number): Steps<void> {
    const { connector } = this.#settings;
    connector.retries = timeoutNs > 0;
    const endTimeout = timeoutNs > 0 ? this.#loop.clock.after(timeoutNs, () => connector.stopWaiting()) : null;
    try {
      const connection = yield* connector.establish(true);
      if (connection instanceof BlockError) throw connection;
      this.#adopt(connection);
    } catch (error) {
      connector.release();
      throw error;
    } finally {
      endTimeout?.();
    }
    connector.retries = true;
  }

  /** Says goodbye and ends the connection. No request is in flight. */
  close(): void {
    this.#settings.connector.release();
    this.#channel?.close(encodeRequest({ type: Command.DISC, flags: 0, offset: 0, length: 0 }, 0, 0));
    this.#channel = null;
    this.#state = 'broken';
  }

  /** Sends a request and waits for its reply, on as many connections as it takes. Throws the server's error, or EIO. */
  *request(request: RequestBody, expected: Expected, payload: Buffer | null = null): Steps<Exchange> {
    for (;;) {
      const exchange = yield* this.#send(request, expected, payload);
      const errno = exchange === null ? Errno.EIO : yield* this.#receive(exchange);
      if (errno === 0 && exchange !== null) {
        if (exchange.serverErrno !== 0) throw new BlockError(exchange.serverErrno);
        return exchange;
      }
      if (this.#state !== 'patient') throw new BlockError(errno);
    }
  }

  find(serial: number, slot: number): Exchange | undefined {
    const exchange = this.#slots[slot];
    return exchange?.serial === serial && exchange.outcome === null ? exchange : undefined;
  }

  /** The exchange that has begun; null if there is no connection. */
  *#send(request: RequestBody, expected: Expected, payload: Buffer | null): Steps<Exchange | null> {
    this.#loop.checkCancelled();
    while (this.#admitted === MAX_REQUESTS || (this.#state !== 'connected' && this.#admitted > 0)) {
      this.#settings.onWait(waitsForServer);
      yield this.#queue.wait(waitsForServer);
      this.#loop.checkCancelled();
    }
    this.#admitted += 1;
    try {
      if (this.#state === 'patient' || this.#state === 'impatient') {
        yield* this.#reconnect();
        this.#queue.wakeAll();
      }
      if (this.#channel?.isBroken === true) this.#lose(Errno.EIO);
    } catch (error) {
      this.#leave();
      throw error;
    }
    if (this.#state !== 'connected' || this.#channel === null) {
      this.#leave();
      return null;
    }
    const slot = this.#slots.indexOf(undefined);
    this.#serial = (this.#serial + 1) >>> 0;
    const place = { slot, serial: this.#serial };
    const exchange = new Exchange(request, expected, place, this.info.hasStructuredReplies);
    this.#slots[slot] = exchange;
    this.#channel.send(encodeRequest(request, exchange.serial, slot), payload);
    return exchange;
  }

  /** Waits for the end of an exchange. The errno of a lost connection, or 0. */
  *#receive(exchange: Exchange): Steps<number> {
    try {
      if (exchange.outcome === null) {
        yield this.#loop.parkOutside(waitsForServer, (arrived) => exchange.whenEnded(arrived));
      }
      // Its data must not be written to, or sent, any more: that takes the connection with it.
      if (exchange.outcome === null) this.#lose(Errno.ECANCELED);
      this.#loop.checkCancelled();
    } finally {
      this.#slots[exchange.slot] = undefined;
      this.#leave();
    }
    return exchange.outcome ?? Errno.ECANCELED;
  }

  #leave(): void {
    this.#admitted -= 1;
    this.#queue.wakeOne();
  }

  /** Tries to get a connection; without luck the state stays. */
  *#reconnect(): Steps<void> {
    const { connector, reconnectDelayNs } = this.#settings;
    const waits = this.#state === 'patient';
    if (waits) {
      this.#settings.onWait(waitsForServer);
      this.#endDelay ??= this.#loop.clock.after(reconnectDelayNs, () => {
        this.#endDelay = null;
        if (this.#state !== 'patient') return;
        this.#state = 'impatient';
        connector.stopWaiting();
      });
    }
    this.#channel = null;
    try {
      const connection = yield* connector.establish(waits);
      if (!(connection instanceof BlockError)) this.#adoptIfSuited(connection);
    } finally {
      this.#endDelay?.();
      this.#endDelay = null;
    }
  }

  #adoptIfSuited(connection: Negotiated): void {
    try {
      this.#adopt(connection);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
    }
  }

  /** Goes on with a new connection, unless it does not offer what it must. */
  #adopt({ channel, info }: Negotiated): void {
    this.#info = info;
    try {
      this.#settings.onConnected(info);
    } catch (error) {
      channel.close(encodeRequest({ type: Command.DISC, flags: 0, offset: 0, length: 0 }, 0, 0));
      throw error;
    }
    this.#channel = channel;
    this.#state = 'connected';
    this.current = null;
    channel.read(readReplies(this)).catch((error: unknown) => {
      if (!(error instanceof BlockError)) this.#loop.schedule(() => Promise.reject(error));
      else if (this.#channel === channel) this.#readingEnded(error.errno);
    });
  }

  /** The connection has ended, or the server has said what it must not; nothing can be read any more. */
  #readingEnded(errno: number): void {
    const { current } = this;
    this.#lose(errno, current === null ? Errno.EIO : errno);
  }

  /** Gives the connection up: EIO says that another one may be had. All exchanges end, `current` with its own errno. */
  #lose(errno: number, currentErrno: number = Errno.EIO): void {
    if (this.#state === 'connected') {
      const again: State = this.#settings.reconnectDelayNs > 0 ? 'patient' : 'impatient';
      this.#state = errno === Errno.EIO ? again : 'broken';
    }
    this.#channel?.close(null);
    const { current } = this;
    this.current = null;
    current?.end(currentErrno);
    for (const exchange of this.#slots) exchange?.end(Errno.EIO);
  }
}
