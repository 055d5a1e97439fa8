/** Buffers for the data of requests, kept between commands: a fresh one costs a page fault every 4 KiB. */
import type { GraphContext } from '../../block/graph/context.ts';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { loadNow } from '../../util/load-now.ts';
import { fillWith } from '../../util/pattern.ts';
import type { Pending, Steps } from '../../util/steps.ts';

/** A longer buffer is not kept. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;
/** The least that the buffer for the next request has. */
const MIN_BYTES = 64 * 1024;
/** Filling more than this takes long enough for Node to be given turns. */
const FILLED_AT_ONCE = 16 << 20;

/** A buffer that belongs to one request, however long that lives, until it is released. */
export class Lease {
  readonly buffer: Buffer;
  data: Buffer;
  /** The first `filledBytes` of the data hold nothing but `pattern`. */
  pattern = 0;
  filledBytes = 0;
  /** Bytes at the end that are still to be filled with `pattern`, by `fill`: until then the data must not be used. */
  unfilledBytes = 0;
  /** How many leases there are of this buffer. */
  users = 1;
  /** The lease whose buffer this one shares. */
  readonly shares: Lease | null;
  readonly #pool: BufferPool;

  constructor(pool: BufferPool, buffer: Buffer, data: Buffer, shares: Lease | null = null) {
    this.#pool = pool;
    this.buffer = buffer;
    this.data = data;
    this.shares = shares;
  }

  /** Fills what a long buffer has left to be filled, and calls `breathe` again and again. */
  *fill(breathe: () => Pending): Steps<void> {
    const { data, pattern } = this;
    while (this.unfilledBytes > 0) {
      const start = data.length - this.unfilledBytes;
      const end = Math.min(data.length, start + FILLED_AT_ONCE);
      fillWith(data.subarray(start, end), pattern);
      this.unfilledBytes = data.length - end;
      yield breathe();
    }
    this.filledBytes = data.length;
  }

  /** Gives the buffer back; it must not be used after that. */
  release(): void {
    this.#pool.giveBack(this.shares ?? this);
  }
}

/** Keeps one buffer for the next request; requests that overlap get their own, or share one that they only read. */
export class BufferPool {
  readonly #context: GraphContext;
  readonly #misalignBytes: number;
  readonly #keepsPattern: boolean;
  #kept: Lease | null = null;
  /** A large buffer was released, and may not have been collected yet. */
  #droppedLarge = false;
  /** Buffers that were filled with a pattern last, by pattern; some have been filled with another since. */
  readonly #patterns: (Lease | null)[] = Array.from({ length: 256 }, () => null);
  #inUse = 0;

  /**
   * `misalignBytes` is how far data starts behind an aligned address. `keepsPattern`: requests leave their data as it
   * was (writes do), so that it need not be filled again, and requests in flight can share it.
   */
  constructor(context: GraphContext, misalignBytes: number, keepsPattern: boolean) {
    this.#context = context;
    this.#misalignBytes = misalignBytes;
    this.#keepsPattern = keepsPattern;
  }

  /**
   * A buffer of `bytes` bytes, each of them `pattern`; a long one is filled by `fill` afterwards. ENOMEM if there is no
   * memory for it.
   */
  lease(bytes: number, pattern: number): Lease {
    const shared = this.#inUse > 0 ? (this.#patterns[pattern] ?? null) : null;
    if (shared !== null && canShare(shared, pattern, bytes)) return this.#share(shared, bytes);
    const lease = this.#take(bytes);
    if (!(this.#keepsPattern && lease.pattern === pattern && lease.filledBytes >= bytes)) {
      lease.pattern = pattern;
      lease.unfilledBytes = bytes;
      lease.filledBytes = 0;
      if (bytes <= FILLED_AT_ONCE) {
        fillWith(lease.data, pattern);
        lease.unfilledBytes = 0;
        lease.filledBytes = bytes;
      }
    }
    if (this.#keepsPattern) this.#patterns[pattern] = lease;
    return lease;
  }

  /** A buffer for the caller to fill. ENOMEM if there is no memory for it. */
  leaseUnfilled(bytes: number): Lease {
    const lease = this.#take(bytes);
    lease.filledBytes = 0;
    lease.unfilledBytes = 0;
    return lease;
  }

  #share(lease: Lease, bytes: number): Lease {
    lease.users += 1;
    if (lease.data.length === bytes) return lease;
    const start = this.#misalignBytes;
    return new Lease(this, lease.buffer, lease.buffer.subarray(start, start + bytes), lease);
  }

  #take(bytes: number): Lease {
    const needed = bytes + this.#misalignBytes;
    let lease = this.#kept;
    if (lease !== null && lease.buffer.length >= needed) {
      this.#kept = null;
      lease.users = 1;
    } else {
      lease = this.#allocate(needed);
    }
    this.#inUse += 1;
    // Requests of one size follow each other, and a view is not cheap.
    if (lease.data.length !== bytes) lease.data = lease.buffer.subarray(this.#misalignBytes, needed);
    return lease;
  }

  #allocate(needed: number): Lease {
    // Before as much again is allocated, the last large buffer is to be gone.
    if (needed > MAX_KEPT_BYTES && this.#droppedLarge) {
      this.#droppedLarge = false;
      collectGarbage();
    }
    const buffer = allocate(this.#context, this.#inUse === 0 ? Math.max(needed, MIN_BYTES) : needed);
    return new Lease(this, buffer, buffer.subarray(this.#misalignBytes, needed));
  }

  /** Called by `Lease.release`. @internal */
  giveBack(lease: Lease): void {
    lease.users -= 1;
    if (lease.users > 0) return;
    this.#inUse -= 1;
    const { length } = lease.buffer;
    const other = this.#kept;
    if (length <= MAX_KEPT_BYTES && length > (other?.buffer.length ?? 0)) {
      this.#kept = lease;
      if (other !== null) this.#forget(other);
    } else {
      this.#forget(lease);
      if (length > MAX_KEPT_BYTES) this.#droppedLarge = true;
    }
  }

  /** A buffer goes: no pattern may hold on to it. */
  #forget(lease: Lease): void {
    for (const [pattern, known] of this.#patterns.entries()) if (known === lease) this.#patterns[pattern] = null;
  }
}

/** Whether a lease is in use and begins with so many bytes of a pattern. */
function canShare(lease: Lease, pattern: number, bytes: number): boolean {
  return lease.users > 0 && lease.pattern === pattern && lease.filledBytes >= bytes;
}

/** Frees what nothing uses any more, now. */
function collectGarbage(): void {
  loadNow('node:v8').setFlagsFromString('--expose-gc');
  const collect: unknown = loadNow('node:vm').runInNewContext('gc');
  if (typeof collect === 'function') collect();
}

function allocate(context: GraphContext, bytes: number): Buffer {
  try {
    return context.allocate(bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new BlockError(Errno.ENOMEM);
    throw error;
  }
}
