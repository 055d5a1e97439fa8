/** Bytes that a client has sent and the server has not consumed: the socket's chunks, cut without copying. */

/** A queue of bytes. What lies in one chunk is handed out as a part of it; only what lies across two is copied. */
export class ByteQueue {
  readonly #chunks: Buffer[] = [];
  /** Where the first chunk goes on. */
  #at = 0;
  #available = 0;

  /** How many bytes are there. */
  get available(): number {
    return this.#available;
  }

  /** Takes in a chunk; its memory is the queue's from now on. */
  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#available += chunk.length;
  }

  /** Whether the next `bytes` bytes lie in one chunk. */
  isWhole(bytes: number): boolean {
    return (this.#chunks[0]?.length ?? 0) - this.#at >= bytes;
  }

  /** Drops everything. */
  clear(): void {
    this.#chunks.length = 0;
    this.#at = 0;
    this.#available = 0;
  }

  /**
   * The next `bytes` bytes, which stay in the queue: a buffer, and `headAt` says where they begin. Null if they are
   * not there.
   */
  head(bytes: number): Buffer | null {
    if (this.#available < bytes) return null;
    const [first] = this.#chunks;
    if (first === undefined) return null;
    if (first.length - this.#at >= bytes) return first;
    return this.#joinHead(bytes);
  }

  /** Where in the buffer that `head` gave the next byte is. */
  get headAt(): number {
    return this.#at;
  }

  /** Removes the next `bytes` bytes and gives them; null if they are not there. */
  take(bytes: number): Buffer | null {
    const head = this.head(bytes);
    if (head === null) return bytes === 0 ? Buffer.alloc(0) : null;
    const taken = head.subarray(this.#at, this.#at + bytes);
    this.skip(bytes);
    return taken;
  }

  /** Removes up to `bytes` bytes; how many. */
  skip(bytes: number): number {
    let rest = Math.min(bytes, this.#available);
    const skipped = rest;
    this.#available -= skipped;
    while (rest > 0) {
      const left = (this.#chunks[0]?.length ?? 0) - this.#at;
      if (rest < left) {
        this.#at += rest;
        break;
      }
      rest -= left;
      this.#chunks.shift();
      this.#at = 0;
    }
    return skipped;
  }

  /** Moves what is there to `into`, from `at` on, until that is full; how many bytes. */
  fill(into: Buffer, at: number): number {
    let done = at;
    while (done < into.length && this.#available > 0) {
      const [first] = this.#chunks;
      if (first === undefined) break;
      const copied = first.copy(into, done, this.#at);
      done += copied;
      this.skip(copied);
    }
    return done - at;
  }

  /** Makes a chunk of its own of the next `bytes` bytes. */
  #joinHead(bytes: number): Buffer {
    const joined = Buffer.allocUnsafe(bytes);
    this.fill(joined, 0);
    const [rest] = this.#chunks;
    if (rest !== undefined) this.#chunks[0] = rest.subarray(this.#at);
    this.#chunks.unshift(joined);
    this.#at = 0;
    this.#available += bytes;
    return joined;
  }
}
