/** The L1 table of a qcow image: as much of it in memory as its file has. */
import type { ChildLink } from '../../block/graph/node.ts';
import { readAnywhere } from '../../block/request/read.ts';
import type { Steps } from '../../util/steps.ts';

/** Of an entry of an L1 or L2 table. */
export const ENTRY_BYTES = 8;

/** The offsets of the L2 tables; 0 where there is none. */
export class L1Table {
  /** Where it is in the file. */
  readonly offset: number;
  readonly entryCount: number;
  #bytes: Buffer = Buffer.alloc(0);
  /** Entries that were set behind the end that the file had. */
  readonly #beyond = new Map<number, number>();

  constructor(offset: number, entryCount: number) {
    this.offset = offset;
    this.entryCount = entryCount;
  }

  /** In bytes. */
  get length(): number {
    return this.entryCount * ENTRY_BYTES;
  }

  /** Reads it from the file: a header can ask for 2 GiB, but what lies behind the file's end is zero. */
  *load(file: ChildLink): Steps<void> {
    const present = Math.max(0, file.node.getLength() - this.offset);
    this.#bytes = file.node.context.allocate(Math.min(this.length, present + ENTRY_BYTES - (present % ENTRY_BYTES)));
    yield readAnywhere(file, this.offset, this.#bytes);
  }

  /** The entry at an index; beyond 2^53 it is rounded. */
  get(index: number): number {
    const at = index * ENTRY_BYTES;
    if (at >= this.#bytes.length) return this.#beyond.get(index) ?? 0;
    return this.#bytes.readUInt32BE(at) * 2 ** 32 + this.#bytes.readUInt32BE(at + 4);
  }

  /** The index of the first entry that is not 0, from `index` on; the number of entries if there is none. */
  nextUsed(index: number): number {
    const inMemory = this.#bytes.length / ENTRY_BYTES;
    for (let next = index; next < inMemory; next++) if (this.get(next) !== 0) return next;
    return Math.min(this.entryCount, ...[...this.#beyond.keys()].filter((key) => key >= index));
  }

  /** Sets an entry in memory. */
  set(index: number, offset: number): void {
    const at = index * ENTRY_BYTES;
    if (at < this.#bytes.length) this.#bytes.writeBigUInt64BE(BigInt(offset), at);
    else this.#beyond.set(index, offset);
  }

  /** Where an entry is in the file. */
  entryOffset(index: number): number {
    return this.offset + index * ENTRY_BYTES;
  }

  /** Forgets all entries, in memory. */
  clear(): void {
    this.#bytes.fill(0);
    this.#beyond.clear();
  }
}
