/** The content of the guest's disk at one moment, read through the drivers and kept in memory of a bounded size. */
import type { BlockBackend } from '../../block/backend.ts';
import { Status } from '../../block/flags.ts';
import { isAllZero } from '../../util/pattern.ts';
import type { InitialContent } from './content.ts';

/** Of the data that is kept; what is behind it is not known. */
const KEPT_MAX_BYTES = 64 << 20;
const PIECE_BYTES = 1 << 20;
/** The buffer of a look that has ended: each case has one, and to take it anew costs more than to fill it. */
let spare: Buffer | null = null;

/**
 * Is given a piece of a disk: its offset, its data (null where it is known to read as zeroes; not kept) and its length.
 * False: no more of them.
 */
export type PieceVisitor = (offset: number, data: Buffer | null, bytes: number) => boolean;

/** A range that reads as zeroes (null) or holds data. */
interface Extent {
  readonly start: number;
  readonly end: number;
  readonly data: Buffer | null;
}

/** A copy of a disk, zeroes apart. */
export class GuestContent implements InitialContent {
  readonly lengthBytes: number;
  readonly #extents: readonly Extent[];

  constructor(lengthBytes: number, extents: readonly Extent[]) {
    this.lengthBytes = lengthBytes;
    this.#extents = extents;
  }

  holds(data: Buffer | null, offset: number, bytes: number): boolean {
    const end = offset + bytes;
    for (let index = this.#indexOf(offset); index < this.#extents.length; index++) {
      const extent = this.#extents[index] as Extent;
      if (extent.start >= end) break;
      const from = Math.max(offset, extent.start);
      const to = Math.min(end, extent.end);
      const part = data === null ? null : data.subarray(from - offset, to - offset);
      const held = extent.data === null ? null : extent.data.subarray(from - extent.start, to - extent.start);
      if (!isSame(part, held)) return false;
    }
    return true;
  }

  /** Calls `visit` for its pieces, in order, until that returns false. */
  each(visit: PieceVisitor): void {
    for (const { start, end, data } of this.#extents) if (!visit(start, data, end - start)) return;
  }

  #indexOf(at: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#extents[middle] as Extent).end <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Collects a copy of a disk. */
export class ContentCopy {
  readonly #maxBytes: number;
  readonly #extents: Extent[] = [];
  #bytes = 0;

  /** Of at most so many bytes of data. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Adds the next piece; false if it holds no more. */
  readonly add: PieceVisitor = (offset, data, bytes) => {
    if (data !== null) this.#bytes += bytes;
    if (this.isFull) return false;
    this.#extents.push({ start: offset, end: offset + bytes, data: data && Buffer.from(data) });
    return true;
  };

  /** Pieces were left out. */
  get isFull(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  /** The pieces that were added, as a disk of this length. */
  end(lengthBytes: number): GuestContent {
    return new GuestContent(lengthBytes, this.#extents);
  }
}

/** Whether two pieces are equal, each null where it is zeroes. */
function isSame(one: Buffer | null, other: Buffer | null): boolean {
  if (one === null) return other === null || isAllZero(other);
  return other === null ? isAllZero(one) : one.equals(other);
}

/** Reads the whole disk of an open image. */
export async function readContent(image: BlockBackend): Promise<GuestContent> {
  const copy = new ContentCopy(KEPT_MAX_BYTES);
  await eachPiece(image, copy.add);
  return copy.end(image.getLength());
}

/** Calls `visit` for each piece of the disk of an open image, in order, until that returns false. */
export async function eachPiece(image: BlockBackend, visit: PieceVisitor): Promise<void> {
  const buffer = spare ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
  spare = null;
  try {
    await eachPieceIn(image, buffer, visit);
  } finally {
    spare = buffer;
  }
}

async function eachPieceIn(image: BlockBackend, buffer: Buffer, visit: PieceVisitor): Promise<void> {
  const length = image.getLength();
  for (let offset = 0; offset < length; ) {
    const query = { base: null, includeBase: false, wantZero: true };
    const status = await image.blockStatus(query, offset, length - offset);
    const isZero = (status.flags & Status.ZERO) !== 0;
    const bytes = isZero ? status.bytes : Math.min(status.bytes, PIECE_BYTES);
    if (!isZero) await image.pread(offset, buffer.subarray(0, bytes));
    if (!visit(offset, isZero ? null : buffer.subarray(0, bytes), bytes)) return;
    offset += bytes;
  }
}
