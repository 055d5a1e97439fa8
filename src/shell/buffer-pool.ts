/** Buffers for the data of requests, kept between commands: a fresh one costs a page fault every 4 KiB. */
import { allocateAligned } from '../block/memory.ts';
import { BlockError } from '../block/error.ts';
import { Errno } from '../util/errno.ts';

/** A longer buffer is not kept. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
const MIN_BYTES = 64 * 1024;

/** A buffer that belongs to one request, however long that lives, until it is given back. */
export interface Lease {
  readonly data: Buffer;
  release(): void;
}

interface Kept {
  readonly buffer: Buffer;
  /** The first `filledBytes` hold nothing but `pattern`. */
  pattern: number;
  filledBytes: number;
}

/** Keeps one buffer for the next request; requests that overlap get their own. */
export class BufferPool {
  readonly #misalignBytes: number;
  readonly #keepsPattern: boolean;
  #kept: Kept | null = null;

  /**
   * `misalignBytes` is how far data starts behind an aligned address. `keepsPattern`: requests leave their data as it
   * was (writes do), so that it need not be filled again.
   */
  constructor(misalignBytes: number, keepsPattern: boolean) {
    this.#misalignBytes = misalignBytes;
    this.#keepsPattern = keepsPattern;
  }

  /** A buffer of `bytes` bytes, each of them `pattern`. ENOMEM if there is no memory for it. */
  lease(bytes: number, pattern: number): Lease {
    const kept = this.#take(bytes + this.#misalignBytes);
    const data = kept.buffer.subarray(this.#misalignBytes, this.#misalignBytes + bytes);
    if (!(this.#keepsPattern && kept.pattern === pattern && kept.filledBytes >= bytes)) {
      data.fill(pattern);
      kept.pattern = pattern;
      kept.filledBytes = bytes;
    }
    return { data, release: () => this.#giveBack(kept) };
  }

  /** A buffer that the caller fills himself. */
  leaseUnfilled(bytes: number): Lease {
    const kept = this.#take(bytes + this.#misalignBytes);
    kept.filledBytes = 0;
    const data = kept.buffer.subarray(this.#misalignBytes, this.#misalignBytes + bytes);
    return { data, release: () => this.#giveBack(kept) };
  }

  #take(bytes: number): Kept {
    const kept = this.#kept;
    if (kept !== null && kept.buffer.length >= bytes) {
      this.#kept = null;
      return kept;
    }
    try {
      return { buffer: allocateAligned(Math.max(bytes, MIN_BYTES)), pattern: 0, filledBytes: 0 };
    } catch (error) {
      if (error instanceof RangeError) throw new BlockError(Errno.ENOMEM);
      throw error;
    }
  }

  #giveBack(kept: Kept): void {
    const { length } = kept.buffer;
    if (length <= MAX_KEPT_BYTES && length > (this.#kept?.buffer.length ?? 0)) this.#kept = kept;
  }
}
