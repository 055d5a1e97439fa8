/**
 * Replies on their way to a client. They are built where they are sent from: a request reserves room for its reply, the
 * data of a read is read into it, and replies that lie side by side go to the socket as one piece.
 *
 *     block   | reply 1 | reply 2 | room of 3, which waits | reply 4 |
 *     sent      one piece           later, by itself         one piece
 */
import type { Socket } from 'node:net';
import type { Allocator } from '../block/graph/context.ts';
import { alignUp } from '../util/align.ts';

/** Memory of a block that many small replies share. */
const BLOCK_BYTES = 256 << 10;
/** Longer blocks are multiples of this part of the next power of two: few sizes, of which each is used again. */
const STEPS = 8;
/** A longer reply has a block of its own. */
const MAX_SHARED_BYTES = 64 << 10;
/** Blocks that are kept when nothing uses them. */
const MAX_SPARE_BYTES = 8 << 20;

/** A piece of memory that replies are built in. `users` are the rooms in it and the pieces of it that are not sent. */
interface Block {
  readonly buffer: Buffer;
  users: number;
}

/** Blocks that are not used now; all connections of a server share them. */
export class BlockPool {
  readonly #allocate: Allocator;
  readonly #spare = new Map<number, Block[]>();
  #spareBytes = 0;

  constructor(allocate: Allocator) {
    this.#allocate = allocate;
  }

  /** A block of at least `bytes` bytes, with one user. */
  take(bytes: number): Block {
    const size = bytes <= BLOCK_BYTES ? BLOCK_BYTES : alignUp(bytes, 2 ** Math.ceil(Math.log2(bytes)) / STEPS);
    const spare = this.#spare.get(size)?.pop();
    if (spare === undefined) return { buffer: this.#allocate(size), users: 1 };
    this.#spareBytes -= size;
    spare.users = 1;
    return spare;
  }

  /** One user of the block less; without any the block may be used again. */
  leave(block: Block): void {
    block.users -= 1;
    const { length } = block.buffer;
    if (block.users > 0 || this.#spareBytes + length > MAX_SPARE_BYTES) return;
    this.#spareBytes += length;
    const spare = this.#spare.get(length);
    if (spare === undefined) this.#spare.set(length, [block]);
    else spare.push(block);
  }
}

/** Room for a reply: `bytes` bytes of `buffer` from `at` on. */
export interface Room {
  readonly block: Block;
  readonly buffer: Buffer;
  readonly at: number;
  readonly bytes: number;
}

/** Replies that lie side by side and are not with the socket yet. */
interface Run {
  readonly block: Block;
  readonly start: number;
  end: number;
  /** Memory of the client that is given back when the run is sent. */
  heldBytes: number;
}

/** The replies of one connection. */
export class Replies {
  readonly #socket: Socket;
  readonly #pool: BlockPool;
  /** Called when bytes have left for the client, with the memory that they held. */
  readonly #onSent: (heldBytes: number) => void;
  /** The block that small replies go to, and where its free room begins. */
  #block: Block | null = null;
  #top = 0;
  #runs: Run[] = [];
  #willFlush = false;
  #ended = false;
  /** Runs that the socket has and has not sent. */
  #unsent = 0;

  constructor(socket: Socket, pool: BlockPool, onSent: (heldBytes: number) => void) {
    this.#socket = socket;
    this.#pool = pool;
    this.#onSent = onSent;
  }

  /** Everything was sent. */
  get isEmpty(): boolean {
    return this.#runs.length === 0 && this.#unsent === 0;
  }

  /**
   * Reserves room, which must be committed or abandoned. The byte behind `headerBytes` lies at a multiple of `align`.
   */
  reserve(headerBytes: number, dataBytes: number, align = 1): Room {
    const bytes = headerBytes + dataBytes;
    if (bytes + align > MAX_SHARED_BYTES) {
      const block = this.#pool.take(bytes + align);
      return { block, buffer: block.buffer, at: alignUp(headerBytes, align) - headerBytes, bytes };
    }
    let at = alignUp(this.#top + headerBytes, align) - headerBytes;
    if (this.#block === null || at + bytes > BLOCK_BYTES) {
      this.#retire();
      this.#block = this.#pool.take(BLOCK_BYTES);
      at = alignUp(headerBytes, align) - headerBytes;
    }
    const block = this.#block;
    block.users += 1;
    this.#top = at + bytes;
    return { block, buffer: block.buffer, at, bytes };
  }

  /** Sends the first `bytes` bytes of a room. `heldBytes` are given back when they have left. */
  commit(room: Room, bytes: number, heldBytes: number): void {
    if (this.#ended) {
      this.abandon(room);
      this.#onSent(heldBytes);
      return;
    }
    this.#giveBack(room, room.at + bytes);
    const last = this.#runs.at(-1);
    if (last !== undefined && last.block === room.block && last.end === room.at) {
      last.end += bytes;
      last.heldBytes += heldBytes;
      room.block.users -= 1;
    } else {
      this.#runs.push({ block: room.block, start: room.at, end: room.at + bytes, heldBytes });
    }
    this.#flushSoon();
  }

  /** Gives room back that nothing is sent from. */
  abandon(room: Room): void {
    this.#giveBack(room, room.at);
    this.#pool.leave(room.block);
  }

  /** Sends nothing any more. */
  end(): void {
    this.#ended = true;
    for (const run of this.#runs) this.#sent(run);
    this.#runs = [];
    this.#retire();
  }

  /** Frees the end of the newest room. */
  #giveBack(room: Room, end: number): void {
    if (room.block === this.#block && this.#top === room.at + room.bytes) this.#top = end;
  }

  #retire(): void {
    if (this.#block !== null) this.#pool.leave(this.#block);
    this.#block = null;
    this.#top = 0;
  }

  /** All that is done before the host is asked again goes out together. */
  #flushSoon(): void {
    if (this.#willFlush) return;
    this.#willFlush = true;
    process.nextTick(() => {
      this.#willFlush = false;
      this.flush();
    });
  }

  /** Hands everything to the socket. */
  flush(): void {
    const runs = this.#runs;
    if (runs.length === 0) return;
    this.#runs = [];
    this.#unsent += runs.length;
    if (runs.length > 1) this.#socket.cork();
    for (const run of runs) {
      this.#socket.write(run.block.buffer.subarray(run.start, run.end), () => {
        this.#unsent -= 1;
        this.#sent(run);
      });
    }
    if (runs.length > 1) this.#socket.uncork();
  }

  #sent(run: Run): void {
    this.#pool.leave(run.block);
    this.#onSent(run.heldBytes);
    if (this.#block === run.block && run.block.users === 1) this.#top = 0;
  }
}
