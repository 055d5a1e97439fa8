/** The NBD server: where it listens, what it exports, and its clients. */
import { createServer, type Server, type Socket } from 'node:net';
import { findDebugPort } from '../block/debug/port.ts';
import { BlockError, errorWithErrno, invalidArgument } from '../block/error.ts';
import type { Allocator } from '../block/graph/context.ts';
import type { Clock } from '../block/loop/clock.ts';
import type { EventLoop } from '../block/loop/loop.ts';
import { assert } from '../util/assert.ts';
import { Errno, errnoByName, resolverText } from '../util/errno.ts';
import { claimSocketPath, socketName } from '../util/socket-path.ts';
import { type Address, formatAddress } from './address.ts';
import { Budget } from './budget.ts';
import { Connection, type ConnectionHost, type ConnectionInfo } from './connection.ts';
import type { NbdExport } from './export.ts';
import { defaultLimits, type NbdLimits } from './server-limits.ts';
import { Notices } from './notices.ts';
import { BlockPool } from './replies.ts';
import { Turns } from './turns.ts';
import { MAX_STRING_BYTES } from './wire.ts';

/** A cancelled request can run into further breakpoints. */
const MAX_CANCELS = 100_000;

/** Dependencies and choices of a server. */
export interface NbdServerOptions {
  /** The loop that requests run in. Something must turn it: see turns.ts. */
  readonly loop: EventLoop;
  /** Makes the memory of requests and replies; `Buffer.alloc` by default. */
  readonly allocate?: Allocator;
  /** For time limits; the loop's by default. */
  readonly clock?: Clock;
  readonly limits?: Partial<NbdLimits>;
  /** A line for the user, without the newline: refused and broken clients. Few, whatever clients do. */
  readonly tell?: (line: string) => void;
  /** Called when a client has come or left. */
  readonly onChange?: () => void;
}

/** Exports of opened images at one or more addresses. */
export class NbdServer implements ConnectionHost {
  readonly loop: EventLoop;
  readonly clock: Clock;
  readonly limits: NbdLimits;
  readonly budget: Budget;
  readonly pool: BlockPool;
  readonly exports = new Map<string, NbdExport>();
  readonly #turns: Turns;
  readonly #notices: Notices;
  readonly #onChange: () => void;
  readonly #listeners = new Map<Server, Address>();
  readonly #connections = new Set<Connection>();
  #nextId = 1;
  #isStopping = false;
  /** Called when the last connection has left. */
  #onEmpty: (() => void) | null = null;

  constructor(options: NbdServerOptions) {
    const { loop, limits = {}, tell = () => {}, onChange = () => {} } = options;
    const clock = options.clock ?? loop.clock;
    this.loop = loop;
    this.clock = clock;
    this.limits = { ...defaultLimits, ...limits };
    this.pool = new BlockPool(options.allocate ?? ((bytes) => Buffer.alloc(bytes)));
    this.budget = new Budget(this.limits, clock);
    this.#turns = new Turns(loop, this.limits.turnBytes);
    this.#notices = new Notices(clock, tell);
    this.#onChange = onChange;
  }

  /** It ends; options and requests of clients are refused. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Where it listens: with the port that the host chose, if it was left to it. */
  get addresses(): readonly Address[] {
    return [...this.#listeners.values()];
  }

  /** The connected clients, oldest first. */
  get connections(): readonly ConnectionInfo[] {
    return [...this.#connections].map((connection) => connection.describe());
  }

  /** Throws EEXIST for the name of an export that there is, ENAMETOOLONG for one that the protocol cannot say. */
  checkName(name: string): void {
    if (Buffer.byteLength(name) > MAX_STRING_BYTES) throw new BlockError(Errno.ENAMETOOLONG);
    if (this.exports.has(name)) throw new BlockError(Errno.EEXIST, `An export '${name}' exists already`);
  }

  /** Offers an image under its name; see `checkName`. */
  addExport(added: NbdExport): void {
    this.checkName(added.name);
    this.exports.set(added.name, added);
  }

  /**
   * Listens at an address, too. A Unix socket can be connected to by this user alone; one that nothing listens on any
   * more is replaced. EADDRINUSE if something listens there, EEXIST for another kind of file, EPERM for a folder that
   * others may change, and what the host says.
   */
  async listen(address: Address): Promise<Address> {
    if (address.kind === 'unix') {
      const refusal = await claimSocketPath(address.path);
      if (refusal !== null) throw refused(address, refusal.code, refusal.reason);
    }
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#welcome(socket, address));
    const bound = await bind(server, address);
    // Out of descriptors: those that are connected are served.
    server.on('error', (error) => this.#notices.tell(`${formatAddress(bound)}: ${error.message}`));
    this.#listeners.set(server, bound);
    return bound;
  }

  /**
   * Ends the server: nothing is accepted any more, what clients have begun is answered, what is suspended is
   * cancelled, and sockets are closed. Turns the loop itself; not to be called in a coroutine. The requests that did
   * not end: they wait for something that cannot be cancelled.
   */
  async stop(): Promise<number> {
    assert(this.loop.current === null, 'a server is stopped outside of coroutines');
    this.#isStopping = true;
    for (const server of this.#listeners.keys()) server.close();
    this.#listeners.clear();
    for (const connection of this.#connections) connection.stop();
    await this.#endRequests([...this.#connections]);
    return this.#awaitLeaving([...this.#connections]);
  }

  /** Withdraws an export, and ends its clients as `stop` does. The requests that did not end. */
  async removeExport(name: string): Promise<number> {
    assert(this.loop.current === null, 'an export is withdrawn outside of coroutines');
    const removed = this.exports.get(name);
    if (removed === undefined) throw new BlockError(Errno.ENOENT, `There is no export '${name}'`);
    this.exports.delete(name);
    const clients = [...this.#connections].filter((connection) => connection.export === removed);
    for (const connection of clients) connection.stop();
    await this.#endRequests(clients);
    return this.#awaitLeaving(clients);
  }

  ready(connection: Connection): void {
    this.#turns.add(connection);
  }

  tell(line: string): void {
    this.#notices.tell(line);
  }

  left(connection: Connection): void {
    this.#connections.delete(connection);
    this.#onEmpty?.();
    this.#onChange();
  }

  #welcome(socket: Socket, address: Address): void {
    if (this.#isStopping || this.#connections.size >= this.limits.maxConnections) {
      socket.on('error', () => {});
      socket.destroy();
      if (!this.#isStopping) this.#notices.tell(`a client is refused: ${this.limits.maxConnections} are connected`);
      return;
    }
    const { remoteAddress, remotePort } = socket;
    const peer = address.kind === 'unix' ? formatAddress(address) : `${remoteAddress ?? 'unknown'}:${remotePort ?? 0}`;
    this.#connections.add(new Connection(this, socket, this.#nextId, peer));
    this.#nextId += 1;
    this.#onChange();
  }

  /** Lets requests end that can, and cancels those that are suspended, or wait for a server after an interrupt. */
  async #endRequests(connections: readonly Connection[]): Promise<void> {
    const areBusy = (): boolean => connections.some(({ inFlight }) => inFlight > 0);
    for (let cancels = 0; areBusy() && cancels < MAX_CANCELS; ) {
      if (await this.loop.poll()) continue;
      if (!(await cancelOne(this.loop, connections))) return;
      cancels += 1;
    }
  }

  /** Waits until sockets are closed. The requests that hold some of the connections. */
  async #awaitLeaving(connections: readonly Connection[]): Promise<number> {
    for (;;) {
      const present = connections.filter((connection) => this.#connections.has(connection));
      const stuck = present.filter(({ inFlight }) => inFlight > 0);
      for (const connection of stuck) connection.destroy();
      if (stuck.length === present.length) return stuck.reduce((sum, { inFlight }) => sum + inFlight, 0);
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
      this.#onEmpty = null;
    }
  }
}

/**
 * Cancels one request of these clients that is suspended or waits for a server; it may be a part of one that the client
 * has sent. False if there is none.
 */
async function cancelOne(loop: EventLoop, connections: readonly Connection[]): Promise<boolean> {
  for (const coroutine of loop.alive) {
    const owner = connections.find(({ origin }) => origin === coroutine.origin);
    const top = owner?.export?.backend.top;
    if (top === undefined) continue;
    if ((await findDebugPort(top)?.cancelRequest(coroutine.id)) === true) return true;
    if (coroutine.waitsFor?.kind !== 'network' || coroutine.cancelled) continue;
    loop.cancel(coroutine);
    return true;
  }
  return false;
}

/** Binds a server to an address; where it is then. */
async function bind(server: Server, address: Address): Promise<Address> {
  // The socket is made with the rights that the mask leaves; it is made before `listen` returns.
  const mask = address.kind === 'unix' ? process.umask(0o177) : null;
  const bound = new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(address, error)));
    server.once('listening', () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
  try {
    if (address.kind === 'unix') server.listen(socketName(address.path));
    else server.listen({ host: address.host, port: address.port });
  } finally {
    if (mask !== null) process.umask(mask);
  }
  await bound;
  if (address.kind === 'unix') return address;
  const actual = server.address();
  return actual === null || typeof actual === 'string' ? address : { ...address, port: actual.port };
}

function bindError(address: Address, error: NodeJS.ErrnoException): BlockError {
  const reason = resolverText(error);
  if (reason === undefined || address.kind === 'unix') return refused(address, error.code ?? 'EIO');
  return invalidArgument(`address resolution failed for ${address.host}:${address.port}: ${reason}`);
}

function refused(address: Address, code: string, reason?: string): BlockError {
  const errno = errnoByName(code) ?? Errno.EINVAL;
  const message = `Could not listen on '${formatAddress(address)}'`;
  return reason === undefined ? errorWithErrno(errno, message) : new BlockError(errno, `${message}: ${reason}`);
}
