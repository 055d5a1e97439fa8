/** Serves a session to clients on a Unix socket: the lines of the record schema, a snapshot first. */
import { chmodSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { BlockError, errorWithErrno } from '../../block/error.ts';
import type { TraceBus } from '../../block/events/trace.ts';
import { Errno, errnoByName, hostErrno } from '../../util/errno.ts';
import { claimSocketPath, socketName, type SocketRefusal } from '../../util/socket-path.ts';
import { Broadcast } from './broadcast.ts';
import { encodeLine } from '../record/encoder.ts';
import { latestEvents } from '../panel/model.ts';
import type { Snapshot } from '../snapshot.ts';
import { type RecordingLine, SCHEMA_VERSION, WANT_LATEST } from '../record/schema.ts';

/** The session that clients see. */
export interface MonitorOptions {
  readonly bus: TraceBus;
  /** Now, in the clock of the bus. */
  readonly nowNs: () => number;
  readonly snapshot: () => Snapshot;
  /** Name and version of the program, and the words of its command line, for the client. */
  readonly program: string;
  readonly command: readonly string[];
}

/** Records are sent in batches. */
const BATCH_MS = 50;
/** Snapshots are sent at most so often. */
const SNAPSHOT_MS = 100;
/** On the way out the monitor waits for a slow client no longer than this. */
const CLOSE_MS = 200;

/** The socket of one session. */
export class Monitor {
  readonly path: string;
  readonly #options: MonitorOptions;
  readonly #server: Server;
  /** Clients that get every record, and clients that asked for the latest events. */
  readonly #everything: Broadcast;
  readonly #latest: Broadcast;
  #unsubscribe: (() => void) | null = null;
  /** Takes back that the history calls back, for clients that want the latest. */
  #unfollowHistory: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #records = 0;
  #snapshotdMs = 0;
  #wantsSnapshot = false;
  #wantsEvents = false;

  private constructor(socketPath: string, options: MonitorOptions) {
    this.path = socketPath;
    this.#options = options;
    this.#everything = new Broadcast(options.snapshot);
    this.#latest = new Broadcast(options.snapshot);
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
    return this.#everything.size + this.#latest.size;
  }

  /** Sends the end to all clients and removes the socket. Resolves when they have everything, or are too slow. */
  async close(): Promise<void> {
    this.#server.close();
    this.#unfollow();
    this.#flush();
    const snapshot = this.#options.snapshot();
    const lastLines =
      encodeLine({ kind: 'snapshot', ...snapshot }) +
      encodeLine({ kind: 'end', timeNs: Math.round(this.#options.nowNs()), records: this.#records });
    const events = encodeLine(latestEvents(this.#options.bus.history, snapshot));
    const sockets = [...this.#everything.dismiss(lastLines), ...this.#latest.dismiss(events + lastLines)];
    await Promise.all(sockets.map(endSocket));
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
    let broadcast = this.#everything;
    const leave = (): void => {
      broadcast.delete(socket);
      this.#follow();
    };
    socket.on('error', leave);
    socket.on('close', leave);
    socket.on('drain', () => broadcast.catchUp(socket));
    // A client that is gone altogether shows when it is written to.
    socket.on('end', () => socket.write(encodeLine({ kind: 'snapshot', ...this.#options.snapshot() })));
    socket.on('data', (words: Buffer) => {
      // Anything else that a client sends is ignored. The line is short and comes in one piece.
      if (broadcast === this.#latest || !words.includes(WANT_LATEST)) return;
      broadcast.delete(socket);
      broadcast = this.#latest;
      broadcast.add(socket);
      this.#follow();
      this.#eventsChanged();
    });
    const { program, command } = this.#options;
    const startedNs = Math.round(this.#options.nowNs());
    const startedAt = new Date().toISOString();
    socket.write(encodeLine({ kind: 'header', schema: SCHEMA_VERSION, program, startedAt, startedNs, command }));
    socket.write(encodeLine({ kind: 'snapshot', ...this.#options.snapshot() }));
    broadcast.add(socket);
    this.#follow();
  }

  /** Subscribes to what clients want. Without a client that wants every record, none is even built. */
  #follow(): void {
    const { bus } = this.#options;
    if (this.#everything.size === 0) {
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    } else {
      this.#unsubscribe ??= bus.subscribe((record) => {
        this.#records += 1;
        this.#wantsSnapshot = true;
        this.#everything.record(record);
        this.#sendSoon();
      });
    }
    this.#unfollowHistory?.();
    this.#unfollowHistory = this.#latest.size === 0 ? null : bus.history.atNextChange(() => this.#eventsChanged());
    if (this.clientCount === 0) this.#stopTimer();
  }

  #unfollow(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#unfollowHistory?.();
    this.#unfollowHistory = null;
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #eventsChanged(): void {
    this.#wantsEvents = true;
    this.#wantsSnapshot = true;
    this.#sendSoon();
  }

  #sendSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#send();
    }, BATCH_MS);
    this.#timer.unref();
  }

  #send(): void {
    const snapshot = this.#options.snapshot();
    if (this.#wantsEvents) {
      this.#wantsEvents = false;
      this.#latest.line(latestEvents(this.#options.bus.history, snapshot));
      this.#follow();
    }
    if (this.#wantsSnapshot) this.#sendSnapshot(snapshot);
    this.#flush();
  }

  #sendSnapshot(snapshot: Snapshot): void {
    const nowMs = performance.now();
    if (nowMs - this.#snapshotdMs < SNAPSHOT_MS) {
      this.#sendSoon();
      return;
    }
    this.#snapshotdMs = nowMs;
    this.#wantsSnapshot = false;
    const line: RecordingLine = { kind: 'snapshot', ...snapshot };
    for (const broadcast of [this.#everything, this.#latest]) if (broadcast.size > 0) broadcast.line(line);
  }

  #flush(): void {
    this.#everything.flush();
    this.#latest.flush();
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
