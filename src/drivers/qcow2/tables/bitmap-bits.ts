/** One dirty bitmap in memory: a bit for each granule of the disk that was written. */
import { isAllZero } from '../../../util/pattern.ts';

/** Bits are kept in pieces: a small image can claim bitmaps of gigabytes, nearly all of which is of one value. */
const PIECE_BYTES = 65536;
/** Stands for every piece whose bits are all set; made with the first bitmap. */
let full = Buffer.alloc(0);

/** A persistent bitmap of an open image. */
export interface Bitmap {
  readonly name: Buffer;
  readonly granularityBits: number;
  /** Null if the bits on disk are not valid: the image was not closed after the bitmap was last in use. */
  readonly bits: BitmapBits | null;
  /** Whether writes are noted. */
  readonly isEnabled: boolean;
  /** Not marked in use: the image was opened, or reopened, read-only. */
  isReadOnly: boolean;
}

/** The bits of one bitmap; memory grows with the pieces that are of both values. */
export class BitmapBits {
  readonly granularityBits: number;
  #bitCount: number;
  /** Pieces with bits that are set; bit n of the bitmap is bit n % 8 of byte n / 8. */
  readonly #pieces = new Map<number, Buffer>();

  constructor(lengthBytes: number, granularityBits: number) {
    this.granularityBits = granularityBits;
    this.#bitCount = Math.ceil(lengthBytes / 2 ** granularityBits);
    if (full.length === 0) full = Buffer.alloc(PIECE_BYTES, 0xff);
  }

  /** How long it is when it is stored: words of eight bytes. */
  get storedBytes(): number {
    return Math.ceil(this.#bitCount / 64) * 8;
  }

  /** Its size in memory in bytes, more or less. */
  get memoryBytes(): number {
    let count = 0;
    for (const piece of this.#pieces.values()) if (piece !== full) count += 1;
    return count * PIECE_BYTES;
  }

  /** Sets the bits of all granules that a range of the disk touches. */
  mark(offset: number, bytes: number): void {
    const granule = 2 ** this.granularityBits;
    let bit = Math.floor(offset / granule);
    const end = Math.min(Math.floor((offset + bytes - 1) / granule) + 1, this.#bitCount);
    while (bit < end && bit % 8 !== 0) this.#set(bit++);
    const wholeBytes = Math.floor((end - bit) / 8);
    if (wholeBytes > 0) {
      this.fill(bit / 8, wholeBytes);
      bit += wholeBytes * 8;
    }
    while (bit < end) this.#set(bit++);
  }

  #set(bit: number): void {
    const at = Math.floor(bit / 8);
    const piece = this.#writable(Math.floor(at / PIECE_BYTES));
    piece[at % PIECE_BYTES] = (piece[at % PIECE_BYTES] ?? 0) | (1 << (bit % 8));
  }

  #writable(index: number): Buffer {
    let piece = this.#pieces.get(index);
    if (piece === undefined || piece === full) {
      piece = Buffer.alloc(PIECE_BYTES, piece === full ? 0xff : 0);
      this.#pieces.set(index, piece);
    }
    return piece;
  }

  /** Sets all bits of a range of stored bytes. */
  fill(offset: number, bytes: number): void {
    for (const { index, start, end } of piecesOf(offset, bytes)) {
      if (end - start === PIECE_BYTES) this.#pieces.set(index, full);
      else if (this.#pieces.get(index) !== full) this.#writable(index).fill(0xff, start, end);
    }
  }

  /** Puts stored bytes in; until then they must be zero. */
  store(offset: number, data: Buffer): void {
    for (const { index, start, end, from } of piecesOf(offset, data.length)) {
      const part = data.subarray(from, from + end - start);
      if (part.length === PIECE_BYTES && part.equals(full)) this.#pieces.set(index, full);
      else if (!isAllZero(part)) part.copy(this.#writable(index), start);
    }
  }

  /** Takes stored bytes out, into zeroes. False if no bit of them is set. */
  load(offset: number, into: Buffer): boolean {
    const wholeBytes = Math.floor(this.#bitCount / 8);
    let isSet = false;
    for (const { index, start, end, from } of piecesOf(offset, into.length)) {
      const part = this.#pieces.get(index)?.subarray(start, end);
      if (part === undefined || isAllZero(part)) continue;
      part.copy(into, from);
      isSet ||=
        !isAllZero(part.subarray(0, Math.max(0, wholeBytes - offset - from))) || this.#hasLastBits(part, offset + from);
    }
    return isSet;
  }

  /** Whether any bit is set of the last byte, if that is only partly in use and in `part`, which begins at `offset`. */
  #hasLastBits(part: Buffer, offset: number): boolean {
    const mask = (1 << (this.#bitCount % 8)) - 1;
    return ((part[Math.floor(this.#bitCount / 8) - offset] ?? 0) & mask) !== 0;
  }

  /** Forgets bits that a damaged image has behind the last word. Those in it stay: QEMU writes them as it read them. */
  trimWords(): void {
    this.#clearFrom(this.storedBytes);
  }

  #clearFrom(byte: number): void {
    const last = Math.floor(byte / PIECE_BYTES);
    for (const index of this.#pieces.keys()) if (index > last) this.#pieces.delete(index);
    if (this.#pieces.has(last)) this.#writable(last).fill(0, byte % PIECE_BYTES);
  }

  /** The runs of set bits, ascending, in granules: each from its first to before its end. */
  *runs(): Generator<readonly [number, number]> {
    let start = -1;
    let end = 0;
    for (const index of [...this.#pieces.keys()].sort((a, b) => a - b)) {
      const piece = this.#pieces.get(index) ?? full;
      const first = index * PIECE_BYTES * 8;
      if (start >= 0 && end < first) {
        yield [start, end];
        start = -1;
      }
      for (let at = 0; at < piece.length; at++) {
        const byte = piece[at] ?? 0;
        if (byte === (start < 0 ? 0 : 0xff)) continue;
        for (let bit = 0; bit < 8; bit++) {
          const isSet = (byte & (1 << bit)) !== 0;
          if (isSet === start >= 0) continue;
          const position = Math.min(first + at * 8 + bit, this.#bitCount);
          if (!isSet && start < position) yield [start, position];
          start = isSet ? position : -1;
        }
      }
      end = first + PIECE_BYTES * 8;
    }
    const last = Math.min(end, this.#bitCount);
    if (start >= 0 && start < last) yield [start, last];
  }

  /** Follows a change of the disk's length; what is new is clean. */
  resize(lengthBytes: number): void {
    this.#bitCount = Math.ceil(lengthBytes / 2 ** this.granularityBits);
    const wholeBytes = Math.floor(this.#bitCount / 8);
    const last = this.#pieces.get(Math.floor(wholeBytes / PIECE_BYTES))?.[wholeBytes % PIECE_BYTES] ?? 0;
    this.#clearFrom(wholeBytes);
    const rest = last & ((1 << (this.#bitCount % 8)) - 1);
    if (rest !== 0) this.#writable(Math.floor(wholeBytes / PIECE_BYTES))[wholeBytes % PIECE_BYTES] = rest;
  }
}

/** The parts of a range of bytes, by piece: `start` to `end` in it, `from` in the range. */
function* piecesOf(
  offset: number,
  bytes: number,
): Generator<{ index: number; start: number; end: number; from: number }> {
  for (let from = 0; from < bytes; ) {
    const index = Math.floor((offset + from) / PIECE_BYTES);
    const start = (offset + from) % PIECE_BYTES;
    const end = Math.min(PIECE_BYTES, start + bytes - from);
    yield { index, start, end, from };
    from += end - start;
  }
}
