/** Buffers for the data of requests, kept between commands: a fresh one costs a page fault every 4 KiB. */
import type { GraphContext } from '../../block/graph/context.ts';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { fillWith } from '../../util/pattern.ts';

/** A longer buffer is not kept. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
const MIN_BYTES = 64 * 1024;

/** A buffer that belongs to one request, however long that lives, until it is given back. */
export class Lease {
  readonly buffer: Buffer;
  data: Buffer;
  /** The first `filledBytes` of the data hold nothing but `pattern`. */
  pattern = 0;
  filledBytes = 0;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool, buffer: Buffer, data: Buffer) {
    this.#pool = pool;
    this.buffer = buffer;
    this.data = data;
  }

  /** Gives the buffer back; nobody may use it after that. */
  release(): void {
    this.#pool.giveBack(this);
  }
}

/** Keeps one buffer for the next request; requests that overlap get their own. */
export class BufferPool {
  readonly #context: GraphContext;
  readonly #misalignBytes: number;
  readonly #keepsPattern: boolean;
  #kept: Lease | null = null;

  /**
   * `misalignBytes` is how far data starts behind an aligned address. `keepsPattern`: requests leave their data as it
   * was (writes do), so that it need not be filled again.
   */
  constructor(context: GraphContext, misalignBytes: number, keepsPattern: boolean) {
    this.#context = context;
    this.#misalignBytes = misalignBytes;
    this.#keepsPattern = keepsPattern;
  }

  /** A buffer of `bytes` bytes, each of them `pattern`. ENOMEM if there is no memory for it. */
  lease(bytes: number, pattern: number): Lease {
    const lease = this.#take(bytes);
    if (!(this.#keepsPattern && lease.pattern === pattern && lease.filledBytes >= bytes)) {
      fillWith(lease.data, pattern);
      lease.pattern = pattern;
      lease.filledBytes = bytes;
    }
    return lease;
  }

  /** A buffer that the caller fills himself. */
  leaseUnfilled(bytes: number): Lease {
    const lease = this.#take(bytes);
    lease.filledBytes = 0;
    return lease;
  }

  #take(bytes: number): Lease {
    const needed = bytes + this.#misalignBytes;
    const kept = this.#kept;
    if (kept === null || kept.buffer.length < needed) {
      const buffer = allocate(this.#context, Math.max(needed, MIN_BYTES));
      return new Lease(this, buffer, buffer.subarray(this.#misalignBytes, needed));
    }
    this.#kept = null;
    // Requests of one size follow each other, and a view costs more than the rest of this.
    if (kept.data.length !== bytes) kept.data = kept.buffer.subarray(this.#misalignBytes, needed);
    return kept;
  }

  /** Called by `Lease.release`. @internal */
  giveBack(lease: Lease): void {
    const { length } = lease.buffer;
    if (length <= MAX_KEPT_BYTES && length > (this.#kept?.buffer.length ?? 0)) this.#kept = lease;
  }
}

function allocate(context: GraphContext, bytes: number): Buffer {
  try {
    return context.allocate(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new BlockError(Errno.ENOMEM);
    throw error;
  }
}
