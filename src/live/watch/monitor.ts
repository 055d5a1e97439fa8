/**
 * Serves a session to clients on a Unix socket. A client that says nothing gets the lines of the record schema, a
 * snapshot first; one that calls a method gets answers, and what it subscribes to.
 */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { BlockError, errorWithErrno } from '../../block/error.ts';
import type { TraceBus } from '../../block/events/trace.ts';
import { hostTurn } from '../../block/loop/clock.ts';
import { Errno, errnoByName, hostErrno } from '../../util/errno.ts';
import { claimSocketPath, socketName, type SocketRefusal } from '../../util/socket-path.ts';
import { ControlClient } from '../control/control-client.ts';
import { LineReader } from '../control/line-reader.ts';
import { CONTROL_VERSION, errorText, RpcCode, RpcError } from '../control/messages.ts';
import { consoleName, type SessionControl } from '../control/session-control.ts';
import type { Broadcast } from './broadcast.ts';
import { Followers } from './followers.ts';
import { latestEvents } from '../panel/model.ts';
import { encodeLine } from '../record/encoder.ts';
import type { Snapshot } from '../snapshot.ts';
import { SCHEMA_VERSION, WANT_LATEST } from '../record/schema.ts';

/** The session that clients see. */
export interface MonitorOptions {
  readonly bus: TraceBus;
  /** Now, in the clock of the bus. */
  readonly nowNs: () => number;
  readonly snapshot: () => Snapshot;
  /** Name and version of the program, and the words of its command line, for the client. */
  readonly program: string;
  readonly command: readonly string[];
  readonly control: SessionControl;
  /** A client that calls methods and takes nothing for so long is disconnected; 30 s by default. */
  readonly patienceMs?: number;
}

/** On the way out the monitor waits for a slow client no longer than this. */
const CLOSE_MS = 200;
/** A longer message of a client is refused. */
const MAX_MESSAGE_BYTES = 1 << 20;
/** More clients are refused. */
const MAX_CLIENTS = 64;
const PATIENCE_MS = 30_000;
/** So often within that time a client that has closed its half is written to: once a second. */
const PROBES = 30;

/** The socket of one session. */
export class Monitor {
  readonly path: string;
  readonly #options: MonitorOptions;
  readonly #server: Server;
  readonly #followers: Followers;
  readonly #sockets = new Map<Socket, () => object>();
  #clientNumber = 0;

  private constructor(socketPath: string, options: MonitorOptions) {
    this.path = socketPath;
    this.#options = options;
    this.#followers = new Followers(options);
    // A client that has nothing to send may close its half, and is served on.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#welcome(socket));
    // Clients do not keep the session alive.
    this.#server.unref();
  }

  /**
   * Listens on a socket that only this user can connect to. A socket without a listener is replaced, nothing
   * else is. EADDRINUSE if a session is there, EEXIST for another kind of file, EPERM for a folder that others may
   * change, ENAMETOOLONG.
   */
  static async open(socketPath: string, options: MonitorOptions): Promise<Monitor> {
    const refusal = await claimSocketPath(socketPath);
    if (refusal !== null) throw refused(socketPath, refusal);
    const monitor = new Monitor(socketPath, options);
    await monitor.#listen();
    return monitor;
  }

  /** How many are connected. */
  get clientCount(): number {
    return this.#sockets.size;
  }

  get #probeMs(): number {
    return (this.#options.patienceMs ?? PATIENCE_MS) / PROBES;
  }

  /** Sends the end to all clients and removes the socket. Resolves when they have everything, or are too slow. */
  async close(): Promise<void> {
    this.#server.close();
    // Commands that will not be run any more are answered first.
    this.#options.control.end();
    await hostTurn();
    this.#followers.dismiss();
    await Promise.all([...this.#sockets.keys()].map(endSocket));
  }

  async #listen(): Promise<void> {
    // The socket is made with the rights that the mask leaves; it is made before `listen` returns.
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(socketName(this.path), resolve);
        process.umask(mask);
      });
      chmodSync(this.path, 0o600);
    } catch (error) {
      throw errorWithErrno(hostErrno(error), contextOf(this.path));
    } finally {
      process.umask(mask);
    }
    this.#server.removeAllListeners('error');
    this.#server.on('error', () => {
      // A client that could not be accepted; the next one may be.
    });
  }

  #welcome(socket: Socket): void {
    socket.unref();
    socket.on('error', () => {
      // It is closed next.
    });
    if (this.#sockets.size >= MAX_CLIENTS) {
      socket.end(`${errorText(null, new RpcError(RpcCode.REFUSED, 'too many clients'))}\n`);
      socket.resume();
      return;
    }
    this.#clientNumber += 1;
    const name = consoleName(this.#clientNumber);
    const lines = new LineReader(MAX_MESSAGE_BYTES);
    /** Lines alone until it calls a method. */
    let broadcast: Broadcast | null = this.#followers.records;
    let client: ControlClient | null = null;
    const follow = (next: Broadcast | null): void => {
      broadcast?.delete(socket);
      broadcast = next;
      broadcast?.add(socket);
      this.#followers.follow();
    };
    this.#sockets.set(socket, () => {
      const follows = broadcast === this.#followers.records ? 'records' : 'events';
      return (
        client?.view ?? { client: name, label: '', follows: [follows], calls: 0, backlogBytes: socket.writableLength }
      );
    });
    let probing: NodeJS.Timeout | undefined;
    socket.on('close', () => {
      clearInterval(probing);
      this.#sockets.delete(socket);
      if (client === null) return follow(null);
      client.gone();
      this.#followers.clients.delete(client);
    });
    socket.on('drain', () => {
      if (client === null) broadcast?.catchUp(socket);
      else client.drained();
    });
    const take = (line: string): void => {
      if (client === null && line === WANT_LATEST) {
        follow(this.#followers.latest);
        this.#followers.eventsChanged();
        return;
      }
      if (client === null && line.trim() === '') return;
      if (client === null) follow(null);
      client ??= this.#makeClient(socket, name);
      client.receive(line);
    };
    /** A client that has closed its half may be gone altogether, which shows when it is written to. */
    const probe = (): void => {
      if (socket.writableLength === 0) socket.write(encodeLine({ kind: 'snapshot', ...this.#options.snapshot() }));
    };
    socket.on('end', () => {
      const rest = lines.takeRest();
      if (rest !== '') take(rest);
      if (client !== null) return client.endInput();
      probe();
      probing = setInterval(probe, this.#probeMs);
      probing.unref();
    });
    socket.on('data', (bytes: Buffer) => {
      for (const line of lines.push(bytes)) take(line);
      if (!lines.isTooLong) return;
      if (client === null) follow(null);
      client ??= this.#makeClient(socket, name);
      client.refuseEndlessLine();
    });
    const { program, command } = this.#options;
    const startedNs = Math.round(this.#options.nowNs());
    const startedAt = new Date().toISOString();
    const header = { kind: 'header', schema: SCHEMA_VERSION, program, startedAt, startedNs, command } as const;
    socket.write(encodeLine({ ...header, control: CONTROL_VERSION }));
    const snapshot = this.#options.snapshot();
    socket.write(encodeLine({ kind: 'snapshot', ...snapshot }));
    const earlier = latestEvents(this.#options.bus.history, snapshot);
    if (earlier.latest.length > 0) socket.write(encodeLine(earlier));
    broadcast.add(socket);
    this.#followers.follow();
  }

  #makeClient(socket: Socket, name: string): ControlClient {
    const { control, program, snapshot, patienceMs = PATIENCE_MS } = this.#options;
    const client = new ControlClient(socket, name, {
      control,
      program,
      snapshot,
      patienceMs,
      probeMs: this.#probeMs,
      clients: () => [...this.#sockets.values()].map((view) => view()),
      changed: (subscribed) => this.#followers.follow(subscribed),
    });
    this.#followers.clients.add(client);
    return client;
  }
}

function endSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      socket.destroy();
      resolve();
    }, CLOSE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end(() => socket.destroy());
  });
}

function refused(socketPath: string, { code, reason }: SocketRefusal): BlockError {
  const errno = errnoByName(code) ?? Errno.EIO;
  const context = contextOf(socketPath);
  return reason === undefined ? errorWithErrno(errno, context) : new BlockError(errno, `${context}: ${reason}`);
}

function contextOf(socketPath: string): string {
  return `Could not listen on '${socketPath}'`;
}
