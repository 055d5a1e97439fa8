/** A connection to the control socket of a session, for programs that use it: `ctl` and the console of `attach`. */
import { connect, type Socket } from 'node:net';
import { BlockError, errorWithErrno } from '../../block/error.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import { socketName } from '../../util/socket-path.ts';
import { isObject } from '../record/check.ts';
import { LineReader } from './line-reader.ts';
import { CONTROL_VERSION, requestLine, RpcCode, RpcError } from './messages.ts';

/** Beyond any message of a session: the output of a command, each character escaped. */
const MAX_MESSAGE_BYTES = 128 << 20;

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
   * Connects to the session at a socket. ENOENT or ECONNREFUSED if there is none, EPROTO if it speaks something else,
   * ENOTSUP if it serves no methods that this program knows.
   */
  static async open(path: string): Promise<ControlLink> {
    const link = new ControlLink(await connectTo(path));
    const error = await new Promise<BlockError | null>((resolve) => {
      link.#greeted = resolve;
    });
    if (error === null) return link;
    link.close();
    throw error;
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
      this.#failure = error;
      this.close();
    }
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
      if (isObject(error)) throw new BlockError(Errno.EPROTO, `The session refuses: ${String(error.message)}`);
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

function noMessage(reason: string): BlockError {
  return new BlockError(Errno.EPROTO, `The session sends what is no message: ${reason}`);
}

function errorOf({ code, message, data }: Readonly<Record<string, unknown>>): RpcError {
  return new RpcError(Number(code), String(message), isObject(data) ? data : undefined);
}

function lost(reason = 'the session has ended'): RpcError {
  return new RpcError(RpcCode.NOT_RUN, reason);
}
