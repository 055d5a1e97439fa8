/** A connection to the control socket of a session, for programs that use it: `ctl` and the console of `attach`. */
import { connect, type Socket } from 'node:net';
import { BlockError, errorWithErrno } from '../../block/error.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import { socketName } from '../../util/socket-path.ts';
import { isObject } from '../record/value-checks.ts';
import { LineReader } from './line-reader.ts';
import { CONTROL_VERSION, requestLine, RpcCode, RpcError } from './messages.ts';

/** Beyond any message of a session: the output of a command, each character escaped. */
const MAX_MESSAGE_BYTES = 128 << 20;

/** A session greets a client, and answers its first call, within this time, whatever it does. */
export const GREETING_MS = 10_000;
/** The time is counted in so many steps: this process may not have run for a while either. */
const GREETING_STEPS = 20;

/** A call that is not answered yet. */
interface OpenCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Connects to a socket. ENOENT or ECONNREFUSED if no session listens there. */
export async function connectTo(path: string): Promise<Socket> {
  const context = `Could not attach to '${path}'`;
  if (path === '') throw errorWithErrno(Errno.ENOENT, context);
  const socket = connect(socketName(path));
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(errorWithErrno(hostErrno(error), context)));
  });
  socket.removeAllListeners('error');
  return socket;
}

/** Calls `giveUp` unless the peer at a socket speaks in time; the function returned says that it does. */
export function limitGreeting(path: string, ms: number, giveUp: (error: BlockError) => void): () => void {
  let steps = 0;
  const timer = setInterval(() => {
    steps += 1;
    if (steps < GREETING_STEPS) return;
    clearInterval(timer);
    const seconds = ms / 1000;
    giveUp(new BlockError(Errno.ETIMEDOUT, `No session of blkscope has answered at '${path}' within ${seconds} s`));
  }, ms / GREETING_STEPS);
  return () => clearInterval(timer);
}

/** Checks the first line that a session sends. EPROTO if it is of something else, or of a session that refuses. */
export function checkGreeting(line: string): void {
  const { kind, error } = parsed(line);
  if (isObject(error)) throw refusedBy(error);
  if (kind !== 'header') throw noMessage('no header');
}

/** Calls methods of a session. */
export class ControlLink {
  /** Called for each notification. */
  onNotification: (method: string, params: Readonly<Record<string, unknown>>) => void = () => {};
  /** Resolves when the connection has ended: with the reason if the session sent what is no message. */
  readonly closed: Promise<BlockError | null>;
  /** The session said that it ends, in order. */
  hasSessionEnded = false;
  readonly #socket: Socket;
  readonly #lines = new LineReader(MAX_MESSAGE_BYTES);
  readonly #calls = new Map<number, OpenCall>();
  #nextId = 1;
  #failure: BlockError | null = null;
  #greeted: ((error: BlockError | null) => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.#end();
        resolve(this.#failure);
      });
    });
    // A session that died has ended as well.
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => this.#receive(bytes));
  }

  /**
   * Connects to the session at a socket, by a name that its clients are listed with. ENOENT or ECONNREFUSED if there is
   * none, EPROTO if it speaks something else, ETIMEDOUT if it says nothing, ENOTSUP if it serves no methods that this
   * program knows.
   */
  static async open(path: string, name: string, greetingMs = GREETING_MS): Promise<ControlLink> {
    const link = new ControlLink(await connectTo(path));
    const stopLimit = limitGreeting(path, greetingMs, (error) => link.#fail(error));
    try {
      const error = await new Promise<BlockError | null>((resolve) => {
        link.#greeted = resolve;
      });
      if (error !== null) throw error;
      await link.call('version', { name });
      return link;
    } catch (error) {
      link.close();
      throw error instanceof RpcError ? new BlockError(Errno.EPROTO, error.message) : error;
    } finally {
      stopLimit();
    }
  }

  /** Calls a method; its result. `RpcError` if the session refuses, or ends without an answer. */
  call(method: string, params: object = {}): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (!this.#socket.writable) {
        reject(lost());
        return;
      }
      this.#calls.set(id, { resolve, reject });
      this.#socket.write(requestLine(id, method, params));
    });
  }

  /** Leaves the session alone. */
  close(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    try {
      for (const line of this.#lines.push(bytes)) this.#take(line);
      if (this.#lines.isTooLong) throw new BlockError(Errno.EPROTO, 'The session sends a line without end');
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      this.#fail(error);
    }
  }

  #fail(error: BlockError): void {
    this.#failure ??= error;
    this.close();
  }

  #take(line: string): void {
    const message = parsed(line);
    if (message.jsonrpc !== '2.0') {
      if (message.kind === 'header') this.#greet(message);
      return;
    }
    const { method, params, id, result, error } = message;
    if (typeof method === 'string') {
      if (!isObject(params)) throw noMessage(`'${method}' without parameters`);
      if (method === 'session-end') this.hasSessionEnded = true;
      this.onNotification(method, params);
      return;
    }
    const call = typeof id === 'number' ? this.#calls.get(id) : undefined;
    if (call === undefined) {
      if (isObject(error)) throw refusedBy(error);
      throw noMessage('an answer to no call');
    }
    this.#calls.delete(id as number);
    if (isObject(error)) call.reject(errorOf(error));
    else call.resolve(result);
  }

  #greet({ control }: Readonly<Record<string, unknown>>): void {
    const isKnown = typeof control === 'number' && control <= CONTROL_VERSION;
    this.#greeted?.(isKnown ? null : new BlockError(Errno.ENOTSUP, 'The session is of another version of blkscope'));
    this.#greeted = null;
  }

  #end(): void {
    this.#greeted?.(this.#failure ?? new BlockError(Errno.EPROTO, 'The session has ended'));
    this.#greeted = null;
    for (const { reject } of this.#calls.values()) reject(lost(this.#failure?.message));
    this.#calls.clear();
  }
}

function parsed(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (isObject(value)) return value;
  } catch {
    throw noMessage('not JSON');
  }
  throw noMessage('not an object');
}

function refusedBy({ message }: Readonly<Record<string, unknown>>): BlockError {
  return new BlockError(Errno.EPROTO, `The session refuses: ${String(message)}`);
}

function noMessage(reason: string): BlockError {
  return new BlockError(Errno.EPROTO, `The session sends what is no message: ${reason}`);
}

function errorOf({ code, message, data }: Readonly<Record<string, unknown>>): RpcError {
  return new RpcError(Number(code), String(message), isObject(data) ? data : undefined);
}

function lost(reason = 'the session has ended'): RpcError {
  return new RpcError(RpcCode.NOT_RUN, reason);
}
