/** One dirty bitmap in memory: a bit for each granule of the disk that was written. */

export class BitmapBits {
  readonly granularityBits: number;
  /** As it is stored: bit n of the bitmap is bit n % 8 of byte n / 8. */
  bytes: Buffer;
  #bitCount: number;

  /** Throws RangeError if memory does not suffice. */
  constructor(lengthBytes: number, granularityBits: number) {
    this.granularityBits = granularityBits;
    this.#bitCount = Math.ceil(lengthBytes / 2 ** granularityBits);
    this.bytes = Buffer.alloc(storedBytes(this.#bitCount));
  }

  /** Sets the bits of all granules that a range of the disk touches. */
  mark(offset: number, bytes: number): void {
    const granule = 2 ** this.granularityBits;
    const last = Math.min(Math.floor((offset + bytes - 1) / granule), this.#bitCount - 1);
    for (let bit = Math.floor(offset / granule); bit <= last; bit++) this.#set(bit, last);
  }

  /** Sets one bit, or the whole byte if the range goes on behind it. */
  #set(bit: number, last: number): void {
    const at = Math.floor(bit / 8);
    if (bit % 8 === 0 && bit + 7 <= last) this.bytes[at] = 0xff;
    else this.bytes[at] = (this.bytes[at] ?? 0) | (1 << (bit % 8));
  }

  /** Forgets bits that a damaged image has behind the last granule. */
  trim(): void {
    const full = Math.floor(this.#bitCount / 8);
    const rest = this.#bitCount % 8;
    if (rest !== 0) this.bytes[full] = (this.bytes[full] ?? 0) & ((1 << rest) - 1);
    this.bytes.fill(0, rest === 0 ? full : full + 1);
  }

  /** Follows a change of the disk's length; what is new is clean. */
  resize(lengthBytes: number): void {
    const resized = new BitmapBits(lengthBytes, this.granularityBits);
    this.bytes.copy(resized.bytes);
    this.bytes = resized.bytes;
    this.#bitCount = resized.#bitCount;
    this.trim();
  }
}

/** Bitmaps are stored in words of eight bytes. */
function storedBytes(bitCount: number): number {
  return Math.ceil(bitCount / 64) * 8;
}
