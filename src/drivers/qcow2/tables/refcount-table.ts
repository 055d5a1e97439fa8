/** The refcount table in memory: as it is on disk, with the set of the refcount blocks that it points to. */
import { readBe32 } from '../../../util/big-endian.ts';
import { isAllZero } from '../../../util/pattern.ts';
import { ClusterSet } from './cluster-set.ts';
import { REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { hex64, type HostOffset, highOf, lowOf, refcountEntryOffset } from '../format/offsets.ts';

const PIECE_ENTRIES = 512;

/** The table of one image; entries are 64-bit offsets in bytes. */
export class RefcountTable {
  readonly offset: number;
  /** The offset in hexadecimal digits, exact also beyond 2^53. */
  readonly offsetText: string;
  /** Entries, big-endian. */
  readonly bytes: Buffer;
  readonly entryCount: number;
  /** The index of the last entry that is in use; 0 if none is. */
  lastUsedIndex = 0;
  readonly #clusterBytes: number;
  #blocks: ClusterSet | null = null;

  constructor(offset: number, bytes: Buffer, clusterBytes: number, offsetText = offset.toString(16)) {
    this.offset = offset;
    this.offsetText = offsetText;
    this.bytes = bytes;
    this.entryCount = bytes.length / REFCOUNT_ENTRY_BYTES;
    this.#clusterBytes = clusterBytes;
    this.findLastUsed();
  }

  /** Looks for `lastUsedIndex` anew, after entries were cleared. */
  findLastUsed(): void {
    let index = Math.max(0, this.entryCount - 1);
    // Most of a table is empty, and that is seen fastest in large pieces.
    while (index >= PIECE_ENTRIES && isAllZero(this.#entries(index + 1 - PIECE_ENTRIES, index + 1))) {
      index -= PIECE_ENTRIES;
    }
    while (index > 0 && this.blockOffset(index) === 0) index -= 1;
    this.lastUsedIndex = index;
  }

  /** The bytes of the entries from `first` to before `end`. */
  #entries(first: number, end: number): Buffer {
    return this.bytes.subarray(first * REFCOUNT_ENTRY_BYTES, end * REFCOUNT_ENTRY_BYTES);
  }

  /** Where the block of this index is; 0 if there is none, also behind the table's end. */
  blockOffset(index: number): HostOffset {
    if (index >= this.entryCount) return 0 as HostOffset;
    const at = index * REFCOUNT_ENTRY_BYTES;
    return refcountEntryOffset(readBe32(this.bytes, at), readBe32(this.bytes, at + 4));
  }

  /** Whether an entry is all zeroes. */
  isEmpty(index: number): boolean {
    const at = index * REFCOUNT_ENTRY_BYTES;
    return (readBe32(this.bytes, at) | readBe32(this.bytes, at + 4)) === 0;
  }

  /** Whether a block lies between clusters. Exact also beyond 2^53, where `blockOffset` is not. */
  isUnaligned(index: number): boolean {
    return (readBe32(this.bytes, index * REFCOUNT_ENTRY_BYTES + 4) & 0xffff_fe00 & (this.#clusterBytes - 1)) !== 0;
  }

  /** Where the block of this index is, as messages say it: to the last bit. */
  blockText(index: number): string {
    const at = index * REFCOUNT_ENTRY_BYTES;
    return `0x${hex64(readBe32(this.bytes, at), readBe32(this.bytes, at + 4) & 0xffff_fe00)}`;
  }

  /** Bits 0 to 8 of an entry have to be zero, says the specification. */
  hasReservedBits(index: number): boolean {
    return (readBe32(this.bytes, index * REFCOUNT_ENTRY_BYTES + 4) & 0x1ff) !== 0;
  }

  /** Changes an entry in memory; `offset` is the block's in the file, 0 for none. */
  setBlock(index: number, offset: number): void {
    this.#blocks?.remove(this.blockOffset(index));
    this.#blocks?.add(offset);
    const at = index * REFCOUNT_ENTRY_BYTES;
    this.bytes.writeUInt32BE(highOf(offset), at);
    this.bytes.writeUInt32BE(lowOf(offset), at + 4);
    if (offset !== 0) this.lastUsedIndex = Math.max(this.lastUsedIndex, index);
  }

  /** The clusters of all blocks, for the overlap checks; made when it is asked for first. */
  get blocks(): ClusterSet {
    if (this.#blocks === null) {
      this.#blocks = new ClusterSet(this.#clusterBytes);
      for (let index = 0; index <= this.lastUsedIndex; index++) this.#blocks.add(this.blockOffset(index));
    }
    return this.#blocks;
  }
}
