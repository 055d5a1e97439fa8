/** Watchers that are sent the same lines. A slow one is left out until it has taken what waits for it. */
import type { Socket } from 'node:net';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Encoder, encodeLine } from '../record/encoder.ts';
import type { Picture } from '../snapshot.ts';
import type { RunLine } from '../record/schema.ts';

/** A watcher that has not taken this much gets nothing more until it has. */
const MAX_BACKLOG_BYTES = 4 << 20;

interface Watcher {
  /** It gets nothing until it has taken what waits for it. */
  isBehind: boolean;
  /** Records that it did not get since it fell behind. */
  dropped: number;
}

/** The watchers of one session. */
export class Audience {
  readonly #watchers = new Map<Socket, Watcher>();
  readonly #encoder = new Encoder((lines) => this.#broadcast(Buffer.from(lines)));
  readonly #picture: () => Picture;
  /** Records in the batch that was not handed out yet. */
  #batched = 0;

  /** `picture` is asked for what a watcher that was left out has to know. */
  constructor(picture: () => Picture) {
    this.#picture = picture;
  }

  /** How many watch. */
  get size(): number {
    return this.#watchers.size;
  }

  /** From now on a socket gets what comes; those who were there before get what came before. */
  add(socket: Socket): void {
    this.#encoder.flush();
    this.#watchers.set(socket, { isBehind: false, dropped: 0 });
  }

  /** A socket gets nothing more. */
  delete(socket: Socket): void {
    this.#watchers.delete(socket);
  }

  /** Takes a record for the next batch. */
  record(record: TraceRecord): void {
    this.#encoder.record(record);
    // After: what the encoder handed out to make room was without this one.
    this.#batched += 1;
  }

  /** Takes any other line for the next batch. */
  line(line: RunLine): void {
    this.#encoder.line(line);
  }

  /** Sends what was said so far. */
  flush(): void {
    this.#encoder.flush();
  }

  /** A watcher that fell behind has taken everything: it is told what it missed, and what is true now. */
  catchUp(socket: Socket): void {
    const watcher = this.#watchers.get(socket);
    if (watcher === undefined || !watcher.isBehind) return;
    const { dropped } = watcher;
    watcher.isBehind = false;
    watcher.dropped = 0;
    socket.write(encodeLine({ kind: 'note', text: 'records left out for a slow watcher', dropped }));
    socket.write(encodeLine({ kind: 'picture', ...this.#picture() }));
  }

  /** Says the last words to all, also to those who are behind: they are few. Gives their sockets, which are to be ended. */
  dismiss(lastWords: string): Socket[] {
    const sockets = [...this.#watchers.keys()];
    for (const socket of sockets) {
      this.catchUp(socket);
      socket.write(lastWords);
    }
    return sockets;
  }

  #broadcast(lines: Buffer): void {
    const records = this.#batched;
    this.#batched = 0;
    for (const [socket, watcher] of this.#watchers) {
      watcher.isBehind ||= socket.writableLength > MAX_BACKLOG_BYTES;
      if (watcher.isBehind) watcher.dropped += records;
      else socket.write(lines);
    }
  }
}
