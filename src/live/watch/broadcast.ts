/** Sends the same lines to several clients. A slow one is left out until it has taken what waits for it. */
import type { Socket } from 'node:net';
import type { TraceRecord } from '../../block/events/trace.ts';
import { Encoder, encodeLine } from '../record/encoder.ts';
import type { Snapshot } from '../snapshot.ts';
import type { RecordingLine } from '../record/schema.ts';

/** A client that has not taken this much gets nothing more until it has. */
const MAX_BACKLOG_BYTES = 4 << 20;

interface Client {
  /** It gets nothing until it has taken what waits for it. */
  isBehind: boolean;
  /** Records that it did not get since it fell behind. */
  dropped: number;
}

/** The clients of one session that want the same. */
export class Broadcast {
  readonly #clients = new Map<Socket, Client>();
  readonly #encoder = new Encoder((lines) => this.#broadcast(Buffer.from(lines)));
  readonly #snapshot: () => Snapshot;
  /** Records in the batch that was not handed out yet. */
  #batched = 0;

  /** `snapshot` gives what a client that was left out has to know. */
  constructor(snapshot: () => Snapshot) {
    this.#snapshot = snapshot;
  }

  /** How many clients there are. */
  get size(): number {
    return this.#clients.size;
  }

  /** From now on a socket gets what comes; earlier clients get what came before. */
  add(socket: Socket): void {
    this.#encoder.flush();
    this.#clients.set(socket, { isBehind: false, dropped: 0 });
  }

  /** A socket gets nothing more. */
  delete(socket: Socket): void {
    this.#clients.delete(socket);
  }

  /** Takes a record for the next batch. */
  record(record: TraceRecord): void {
    this.#encoder.record(record);
    // After: what the encoder handed out to make room was without this one.
    this.#batched += 1;
  }

  /** Takes any other line for the next batch. */
  line(line: RecordingLine): void {
    this.#encoder.line(line);
  }

  /** Sends what was said so far. */
  flush(): void {
    this.#encoder.flush();
  }

  /** A client that fell behind has taken everything: it is told how much it missed, and gets a snapshot. */
  catchUp(socket: Socket): void {
    const client = this.#clients.get(socket);
    if (client === undefined || !client.isBehind) return;
    const { dropped } = client;
    client.isBehind = false;
    client.dropped = 0;
    socket.write(encodeLine({ kind: 'note', text: 'records left out for a slow client', dropped }));
    socket.write(encodeLine({ kind: 'snapshot', ...this.#snapshot() }));
  }

  /** Sends the last lines to all clients, also to those that are behind. */
  dismiss(lastLines: string): void {
    for (const socket of this.#clients.keys()) {
      this.catchUp(socket);
      socket.write(lastLines);
    }
  }

  #broadcast(lines: Buffer): void {
    const records = this.#batched;
    this.#batched = 0;
    for (const [socket, client] of this.#clients) {
      client.isBehind ||= socket.writableLength > MAX_BACKLOG_BYTES;
      if (client.isBehind) client.dropped += records;
      else socket.write(lines);
    }
  }
}
