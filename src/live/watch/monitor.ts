/** Lets others watch a session through a Unix socket: the lines of the record schema, the current picture first. */
import { chmodSync, lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { BlockError, errorWithErrno } from '../../block/error.ts';
import type { TraceBus } from '../../block/events/trace.ts';
import { Errno, hostErrno } from '../../util/errno.ts';
import { Audience } from './audience.ts';
import { encodeLine } from '../record/encoder.ts';
import { latestEvents } from '../panel/model.ts';
import type { Picture } from '../snapshot.ts';
import { type RunLine, SCHEMA_VERSION, WANT_LATEST } from '../record/schema.ts';

/** What watchers are told of. */
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
/** Records are handed out together. */
const BATCH_MS = 50;
/** Pictures at most so often. */
const PICTURE_MS = 100;
/** On the way out a watcher that is behind is waited for no longer than this. */
const GOODBYE_MS = 200;

/** The socket of one session. */
export class Monitor {
  readonly path: string;
  readonly #options: MonitorOptions;
  readonly #server: Server;
  /** Those who get every record, and those who said that the latest events will do. */
  readonly #everything: Audience;
  readonly #latest: Audience;
  #unsubscribe: (() => void) | null = null;
  /** Takes back that the history wakes us, for those who want the latest. */
  #letSleep: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #records = 0;
  #picturedMs = 0;
  #wantsPicture = false;
  #wantsEvents = false;

  private constructor(socketPath: string, options: MonitorOptions) {
    this.path = socketPath;
    this.#options = options;
    this.#everything = new Audience(options.picture);
    this.#latest = new Audience(options.picture);
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

  /** How many are connected. */
  get watcherCount(): number {
    return this.#everything.size + this.#latest.size;
  }

  /** Something has changed that the bus does not tell. */
  pictureChanged(): void {
    if (this.watcherCount === 0) return;
    this.#wantsPicture = true;
    this.#handOutSoon();
  }

  /** Says goodbye and removes the socket. Resolves when watchers have everything, or are too slow. */
  async close(): Promise<void> {
    this.#server.close();
    this.#unfollow();
    this.#flush();
    const picture = this.#options.picture();
    const lastWords =
      encodeLine({ kind: 'picture', ...picture }) +
      encodeLine({ kind: 'end', timeNs: Math.round(this.#options.nowNs()), records: this.#records });
    const events = encodeLine(latestEvents(this.#options.bus.history, picture));
    const sockets = [...this.#everything.dismiss(lastWords), ...this.#latest.dismiss(events + lastWords)];
    await Promise.all(sockets.map(goodbye));
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
    let audience = this.#everything;
    const leave = (): void => {
      audience.delete(socket);
      this.#follow();
    };
    socket.on('error', leave);
    socket.on('close', leave);
    socket.on('drain', () => audience.catchUp(socket));
    socket.on('data', (words: Buffer) => {
      // Anything else that a watcher says is of no interest. The line is short and comes in one piece.
      if (audience === this.#latest || !words.includes(WANT_LATEST)) return;
      audience.delete(socket);
      audience = this.#latest;
      audience.add(socket);
      this.#follow();
      this.#eventsChanged();
    });
    const { program, command } = this.#options;
    const startedNs = Math.round(this.#options.nowNs());
    const startedAt = new Date().toISOString();
    socket.write(encodeLine({ kind: 'header', schema: SCHEMA_VERSION, program, startedAt, startedNs, command }));
    socket.write(encodeLine({ kind: 'picture', ...this.#options.picture() }));
    audience.add(socket);
    this.#follow();
  }

  /** Listens to what somebody wants. With nobody who wants every record, the bus is left alone and none is even built. */
  #follow(): void {
    const { bus } = this.#options;
    if (this.#everything.size === 0) {
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    } else {
      this.#unsubscribe ??= bus.subscribe((record) => {
        this.#records += 1;
        this.#wantsPicture = true;
        this.#everything.record(record);
        this.#handOutSoon();
      });
    }
    this.#letSleep?.();
    this.#letSleep = this.#latest.size === 0 ? null : bus.history.atNextChange(() => this.#eventsChanged());
    if (this.watcherCount === 0) this.#stopTimer();
  }

  #unfollow(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
    this.#letSleep?.();
    this.#letSleep = null;
    this.#stopTimer();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #eventsChanged(): void {
    this.#wantsEvents = true;
    this.#wantsPicture = true;
    this.#handOutSoon();
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
    const picture = this.#options.picture();
    if (this.#wantsEvents) {
      this.#wantsEvents = false;
      this.#latest.line(latestEvents(this.#options.bus.history, picture));
      this.#follow();
    }
    if (this.#wantsPicture) this.#handOutPicture(picture);
    this.#flush();
  }

  #handOutPicture(picture: Picture): void {
    const nowMs = performance.now();
    if (nowMs - this.#picturedMs < PICTURE_MS) {
      this.#handOutSoon();
      return;
    }
    this.#picturedMs = nowMs;
    this.#wantsPicture = false;
    const line: RunLine = { kind: 'picture', ...picture };
    for (const audience of [this.#everything, this.#latest]) if (audience.size > 0) audience.line(line);
  }

  #flush(): void {
    this.#everything.flush();
    this.#latest.flush();
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
