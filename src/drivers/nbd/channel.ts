/** A connection as a stream of bytes: reads that wait until they are full, and errors with QEMU's texts. */
import type { Socket } from 'node:net';
import { BlockError } from '../../block/error.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { errnoOfSocket } from './connect.ts';

/**
 * A reader of a stream: it yields buffers, and goes on when each is full. At the end of the stream the error is thrown
 * into it.
 */
export type Reading<T> = Generator<Buffer, T, void>;

interface CurrentReading {
  readonly steps: Reading<unknown>;
  /** The buffer that is being filled, and how far it is. */
  target: Buffer;
  filledBytes: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** A connected socket. At most one reading at a time; nothing is taken from the socket while there is none. */
export class Channel {
  readonly socket: Socket;
  #reading: CurrentReading | null = null;
  /** Bytes that arrived and were not asked for yet. */
  #early: Buffer[] = [];
  #failure: BlockError | null = null;
  /** A write has failed; the end of the stream will follow. */
  #writeFailure: BlockError | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#keepReadingAfterWriteErrors();
    socket.on('data', (data: Buffer) => this.#take(data));
    socket.on('end', () => this.#fail(endOfFile()));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#fail(socketError(socket, error)));
    socket.on('close', () => this.#fail(endOfFile()));
    socket.pause();
  }

  /** Whether the connection has come to an end, by either side. */
  get isBroken(): boolean {
    return this.#failure !== null;
  }

  /** Runs steps on what arrives. Their result; rejected with what they throw, EIO when the connection ends before. */
  read<T>(steps: Reading<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const reading: CurrentReading = {
        steps,
        target: Buffer.alloc(0),
        filledBytes: 0,
        resolve: resolve as (value: unknown) => void,
        reject,
      };
      this.#reading = reading;
      this.#step(reading, () => steps.next());
      const early = this.#early;
      this.#early = [];
      for (const data of early) this.#take(data);
      if (this.#reading === null) return;
      if (this.#failure !== null) this.#throwIntoReading(this.#failure);
      else this.socket.resume();
    });
  }

  /** Reads so many bytes. `what` they are stands in the message of the error. */
  readBytes(bytes: number, what: string | null): Promise<Buffer> {
    return this.read(readExactly(bytes, what));
  }

  /** Writes; resolves when the host has taken the bytes, throws EIO with the reason. */
  async write(data: Buffer): Promise<void> {
    await new Promise<void>((resolve) => {
      this.socket.write(data, () => resolve());
    });
    const failure = this.#writeFailure ?? this.#failure;
    if (failure !== null) throw failure;
  }

  /** Writes a message and its data, without a word of how that went: a failure ends the connection. */
  send(message: Buffer, data: Buffer | null): void {
    const { socket } = this;
    if (data !== null) socket.cork();
    socket.write(message);
    if (data === null) return;
    socket.write(data);
    socket.uncork();
  }

  /** Gives the socket away, with what arrived and was not read; the channel is of no use any more. */
  release(): Socket {
    const { socket } = this;
    for (const event of ['data', 'end', 'error', 'close']) socket.removeAllListeners(event);
    for (const data of this.#early.reverse()) socket.unshift(data);
    this.#early = [];
    return socket;
  }

  /** Sends a last message, if there is one, and closes the connection. */
  close(lastMessage: Buffer | null): void {
    if (lastMessage !== null && this.#failure === null) this.socket.write(lastMessage);
    this.#failure ??= new BlockError(Errno.EIO, 'The connection is closed');
    this.#reading = null;
    if (lastMessage === null) this.socket.destroy();
    else this.socket.destroySoon();
  }

  /**
   * A peer that closes its socket makes our next write fail, and Node's sockets drop what they have not read then:
   * replies that were sent before. So the socket is not told; it reads on to the end, for which it gets two turns.
   */
  #keepReadingAfterWriteErrors(): void {
    const { socket } = this;
    const write = socket._write.bind(socket);
    const writev = socket._writev?.bind(socket);
    const tolerant =
      (callback: (error?: Error | null) => void) =>
      (error?: Error | null): void => {
        if (error !== undefined && error !== null) this.#endSoon(socketError(socket, error));
        callback();
      };
    socket._write = (chunk, encoding, callback) => write(chunk, encoding, tolerant(callback));
    if (writev !== undefined) socket._writev = (chunks, callback) => writev(chunks, tolerant(callback));
  }

  #endSoon(failure: BlockError): void {
    if (this.#writeFailure !== null) return;
    this.#writeFailure = failure;
    setImmediate(() => setImmediate(() => this.#fail(failure)));
  }

  #take(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      const reading = this.#reading;
      if (reading === null) {
        if (this.#failure !== null) return;
        this.#early.push(data.subarray(at));
        this.socket.pause();
        return;
      }
      const copied = data.copy(reading.target, reading.filledBytes, at);
      at += copied;
      reading.filledBytes += copied;
      if (reading.filledBytes === reading.target.length) this.#step(reading, () => reading.steps.next());
    }
  }

  /** Lets the reading go on until it asks for bytes or ends. */
  #step(reading: CurrentReading, next: () => IteratorResult<Buffer, unknown>): void {
    try {
      let result = next();
      while (result.done !== true && result.value.length === 0) result = reading.steps.next();
      if (result.done !== true) {
        reading.target = result.value;
        reading.filledBytes = 0;
        return;
      }
      this.#reading = null;
      reading.resolve(result.value);
    } catch (error) {
      this.#reading = null;
      reading.reject(error);
    }
  }

  #fail(failure: BlockError): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    this.#throwIntoReading(failure);
  }

  #throwIntoReading(failure: BlockError): void {
    const reading = this.#reading;
    if (reading !== null) this.#step(reading, () => reading.steps.throw(failure));
  }
}

/** Reads so many bytes; `what` they are, if that is worth a word, stands in the message of the error. */
export function* readExactly(bytes: number, what: string | null): Reading<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  try {
    yield buffer;
  } catch (error) {
    if (what === null || !(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `Failed to read ${what}: ${error.message}`);
  }
  return buffer;
}

function endOfFile(): BlockError {
  return new BlockError(Errno.EIO, 'Unexpected end-of-file before all data were read');
}

/** Tells nothing of what lies behind an error of TLS, as qemu-io does. */
function socketError(socket: Socket, error: NodeJS.ErrnoException): BlockError {
  const direction = error.syscall === 'write' ? 'write to' : 'read from';
  const message =
    'encrypted' in socket
      ? `Cannot ${direction} TLS channel: ${strerror(Errno.EIO)}`
      : `Unable to ${direction} socket: ${strerror(errnoOfSocket(error))}`;
  return new BlockError(Errno.EIO, message);
}
