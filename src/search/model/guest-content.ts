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

/** Whether two pieces are equal, each null where it is zeroes. */
function isSame(one: Buffer | null, other: Buffer | null): boolean {
  if (one === null) return other === null || isAllZero(other);
  return other === null ? isAllZero(one) : one.equals(other);
}

/** Reads the whole disk of an open image. */
export async function readContent(image: BlockBackend): Promise<GuestContent> {
  const extents: Extent[] = [];
  let kept = 0;
  await eachPiece(image, (offset, data, bytes) => {
    if (data !== null) kept += bytes;
    if (kept <= KEPT_MAX_BYTES) extents.push({ start: offset, end: offset + bytes, data: data && Buffer.from(data) });
    return kept <= KEPT_MAX_BYTES;
  });
  return new GuestContent(image.getLength(), extents);
}

/**
 * Calls `visit` for each piece of the disk of an open image, in order: its offset, its data (null where it is known to
 * read as zeroes; not kept) and its length. Ends when `visit` returns false.
 */
export async function eachPiece(
  image: BlockBackend,
  visit: (offset: number, data: Buffer | null, bytes: number) => boolean,
): Promise<void> {
  const buffer = spare ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
  spare = null;
  try {
    await eachPieceIn(image, buffer, visit);
  } finally {
    spare = buffer;
  }
}

async function eachPieceIn(
  image: BlockBackend,
  buffer: Buffer,
  visit: (offset: number, data: Buffer | null, bytes: number) => boolean,
): Promise<void> {
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
