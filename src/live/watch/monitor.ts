/** Serves a session to clients on a Unix socket: the lines of the record schema, a snapshot first. */
import { chmodSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { BlockError, errorWithErrno, withContext } from '../../block/error.ts';
import type { TraceBus } from '../../block/events/trace.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import { Broadcast } from './broadcast.ts';
import { encodeLine } from '../record/encoder.ts';
import { latestEvents } from '../panel/model.ts';
import type { Snapshot } from '../snapshot.ts';
import { socketName } from './attach.ts';
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

/** The longest path that a socket can have (sun_path of Linux, with its NUL). */
const MAX_PATH_BYTES = 107;
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
   * Listens on a socket that only this user can connect to. A socket that nobody listens on any more is replaced, nothing
   * else is. EADDRINUSE if a session is there, EEXIST for another kind of file, EPERM for a folder that others may
   * change, ENAMETOOLONG.
   */
  static async open(socketPath: string, options: MonitorOptions): Promise<Monitor> {
    if (socketPath === '') throw refusal(socketPath, Errno.ENOENT);
    if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) throw refusal(socketPath, Errno.ENAMETOOLONG);
    checkFolder(socketPath);
    await removeStale(socketPath);
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
      throw refusal(this.path, hostErrno(error));
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

function refusal(socketPath: string, errno: number): BlockError {
  return errorWithErrno(errno, contextOf(socketPath));
}

function contextOf(socketPath: string): string {
  return `Could not listen on '${socketPath}'`;
}

/** A user who may change the folder could replace the socket. */
function checkFolder(socketPath: string): void {
  const folder = path.dirname(path.resolve(socketPath));
  const stats = withContext(contextOf(socketPath), () => statSync(folder));
  const self = process.getuid?.() ?? stats.uid;
  const isForeign = stats.uid !== self && stats.uid !== 0;
  const isOpen = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  if (isForeign || isOpen) {
    throw new BlockError(Errno.EPERM, `Could not listen on '${socketPath}': others may change the folder '${folder}'`);
  }
}

async function removeStale(socketPath: string): Promise<void> {
  const context = contextOf(socketPath);
  const stats = withContext(context, () => lstatSync(socketPath, { throwIfNoEntry: false }));
  if (stats === undefined) return;
  if (!stats.isSocket()) throw refusal(socketPath, Errno.EEXIST);
  if (await isAnswered(socketPath)) throw refusal(socketPath, Errno.EADDRINUSE);
  withContext(context, () => unlinkSync(socketPath));
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketName(socketPath));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Refused: no process listens any more. Any other error (no right to connect) means that one may.
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
