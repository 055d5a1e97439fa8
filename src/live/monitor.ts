/** Lets others watch a session through a Unix socket: the lines of the record schema, the current picture first. */
import { chmodSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { BlockError, errorWithErrno } from '../block/error.ts';
import type { TraceBus } from '../block/trace.ts';
import { Errno } from '../util/errno.ts';
import { Encoder, encodeLine } from './encoder.ts';
import type { Picture } from './picture.ts';
import { SCHEMA_VERSION } from './record-schema.ts';
import { hostErrno } from './run-file.ts';

export interface MonitorOptions {
  readonly bus: TraceBus;
  /** Now, in the clock of the bus. */
  readonly nowNs: () => number;
  readonly picture: () => Picture;
  /** Name and version of the program, and the words of its command line, for the watcher. */
  readonly program: string;
  readonly command: readonly string[];
}

/** The longest path that a socket can have (sun_path of Linux, with its NUL). */
const MAX_PATH_BYTES = 107;
/** A watcher that has not taken this much gets nothing more until it has. */
const MAX_BACKLOG_BYTES = 4 << 20;
/** Records are handed out together. */
const BATCH_MS = 30;
/** Pictures at most so often. */
const PICTURE_MS = 100;
/** On the way out a watcher that is behind is waited for no longer than this. */
const GOODBYE_MS = 200;

interface Watcher {
  readonly socket: Socket;
  /** It gets nothing until it has taken what waits for it. */
  isBehind: boolean;
  /** Records that it did not get since it fell behind. */
  dropped: number;
}

export class Monitor {
  readonly path: string;
  readonly #options: MonitorOptions;
  readonly #server: Server;
  readonly #watchers = new Set<Watcher>();
  readonly #encoder = new Encoder((lines) => this.#broadcast(Buffer.from(lines)));
  #unsubscribe: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #records = 0;
  /** Records in the batch that was not handed out yet. */
  #batched = 0;
  #picturedMs = 0;
  #wantsPicture = false;

  private constructor(socketPath: string, options: MonitorOptions) {
    this.path = socketPath;
    this.#options = options;
    this.#server = createServer((socket) => this.#welcome(socket));
    // Nobody who watches keeps the session alive.
    this.#server.unref();
  }

  /**
   * Listens on a socket that only this user can connect to. A socket that nobody listens on any more is replaced, nothing
   * else is. EADDRINUSE if a session is there, EEXIST for another kind of file, EPERM for a folder that others may
   * change, ENAMETOOLONG.
   */
  static async open(socketPath: string, options: MonitorOptions): Promise<Monitor> {
    if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) throw refusal(socketPath, Errno.ENAMETOOLONG);
    checkFolder(socketPath);
    await removeStale(socketPath);
    const monitor = new Monitor(socketPath, options);
    await monitor.#listen();
    return monitor;
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Something has changed that the bus does not tell. */
  pictureChanged(): void {
    if (this.#watchers.size === 0) return;
    this.#wantsPicture = true;
    this.#handOutSoon();
  }

  /** Says goodbye and removes the socket. Resolves when watchers have everything, or are too slow. */
  async close(): Promise<void> {
    this.#server.close();
    this.#unfollow();
    this.#encoder.flush();
    const lastWords =
      encodeLine({ kind: 'picture', ...this.#options.picture() }) +
      encodeLine({ kind: 'end', timeNs: Math.round(this.#options.nowNs()), records: this.#records });
    for (const watcher of this.#watchers) {
      // They are few, and for those who are behind as well.
      this.#catchUp(watcher);
      watcher.socket.write(lastWords);
    }
    await Promise.all(Array.from(this.#watchers, ({ socket }) => goodbye(socket)));
    this.#watchers.clear();
  }

  async #listen(): Promise<void> {
    // The socket is made with the rights that the mask leaves; it is made before `listen` returns.
    const mask = process.umask(0o177);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(this.path, resolve);
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
      // A watcher that could not be accepted; the next one may be.
    });
  }

  #welcome(socket: Socket): void {
    socket.unref();
    const watcher: Watcher = { socket, isBehind: false, dropped: 0 };
    const leave = (): void => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#unfollow();
    };
    socket.on('error', leave);
    socket.on('close', leave);
    socket.on('drain', () => this.#catchUp(watcher));
    // What a watcher says is of no interest, but that it goes is.
    socket.resume();
    // Those who were there before get what came before.
    this.#encoder.flush();
    const { program, command } = this.#options;
    const startedNs = Math.round(this.#options.nowNs());
    const startedAt = new Date().toISOString();
    socket.write(encodeLine({ kind: 'header', schema: SCHEMA_VERSION, program, startedAt, startedNs, command }));
    socket.write(encodeLine({ kind: 'picture', ...this.#options.picture() }));
    this.#watchers.add(watcher);
    this.#follow();
  }

  /** With nobody watching, the bus is left alone and records are not even built. */
  #follow(): void {
    this.#unsubscribe ??= this.#options.bus.subscribe((record) => {
      this.#records += 1;
      this.#wantsPicture = true;
      this.#encoder.record(record);
      // After: what the encoder handed out to make room was without this one.
      this.#batched += 1;
      this.#handOutSoon();
    });
  }

  #unfollow(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #handOutSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#handOut();
    }, BATCH_MS);
    this.#timer.unref();
  }

  #handOut(): void {
    if (this.#wantsPicture) {
      const nowMs = performance.now();
      if (nowMs - this.#picturedMs >= PICTURE_MS) {
        this.#picturedMs = nowMs;
        this.#wantsPicture = false;
        this.#encoder.line({ kind: 'picture', ...this.#options.picture() });
      } else {
        this.#handOutSoon();
      }
    }
    this.#encoder.flush();
  }

  #broadcast(lines: Buffer): void {
    const records = this.#batched;
    this.#batched = 0;
    for (const watcher of this.#watchers) {
      watcher.isBehind ||= watcher.socket.writableLength > MAX_BACKLOG_BYTES;
      if (watcher.isBehind) watcher.dropped += records;
      else watcher.socket.write(lines);
    }
  }

  /** A watcher that fell behind has taken everything: it is told what it missed, and what is true now. */
  #catchUp(watcher: Watcher): void {
    if (!watcher.isBehind) return;
    const { socket, dropped } = watcher;
    watcher.isBehind = false;
    watcher.dropped = 0;
    socket.write(encodeLine({ kind: 'note', text: 'records left out for a slow watcher', dropped }));
    socket.write(encodeLine({ kind: 'picture', ...this.#options.picture() }));
  }
}

function goodbye(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      socket.destroy();
      resolve();
    }, GOODBYE_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end(() => socket.destroy());
  });
}

function refusal(socketPath: string, errno: number): BlockError {
  return errorWithErrno(errno, `Could not listen on '${socketPath}'`);
}

/** Who may change the folder could put another socket in the place of ours. */
function checkFolder(socketPath: string): void {
  const folder = path.dirname(path.resolve(socketPath));
  let stats;
  try {
    stats = statSync(folder);
  } catch (error) {
    throw refusal(socketPath, hostErrno(error));
  }
  const self = process.getuid?.() ?? stats.uid;
  const isForeign = stats.uid !== self && stats.uid !== 0;
  const isOpen = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  if (isForeign || isOpen) {
    throw new BlockError(Errno.EPERM, `Could not listen on '${socketPath}': others may change the folder '${folder}'`);
  }
}

async function removeStale(socketPath: string): Promise<void> {
  const stats = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stats === undefined) return;
  if (!stats.isSocket()) throw refusal(socketPath, Errno.EEXIST);
  if (await isAnswered(socketPath)) throw refusal(socketPath, Errno.EADDRINUSE);
  unlinkSync(socketPath);
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Refused: nobody listens. Anything else (no right to connect) is somebody's.
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
