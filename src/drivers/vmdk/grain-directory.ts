/** A grain directory: where the grain tables of an extent are. It does not change. */
import type { ChildLink } from '../../block/graph/node.ts';
import { readAnywhere } from '../../block/request/read.ts';
import { alignUp } from '../../util/align.ts';
import type { Steps } from '../../util/steps.ts';

/** The entries, each a number of as many bytes. */
export class GrainDirectory {
  readonly entryCount: number;
  readonly #offset: number;
  readonly #entryBytes: 4 | 8;
  #bytes: Buffer = Buffer.alloc(0);

  /** `offset` is in bytes. */
  constructor(offset: number, entryCount: number, entryBytes: 4 | 8) {
    this.#offset = offset;
    this.entryCount = entryCount;
    this.#entryBytes = entryBytes;
  }

  /** Reads it: a header can ask for 256 MiB, but what lies behind the end of the file is zero. */
  *load(file: ChildLink): Steps<void> {
    const present = Math.max(0, file.node.getLength() - this.#offset);
    const bytes = Math.min(this.entryCount * this.#entryBytes, alignUp(present, this.#entryBytes));
    this.#bytes = file.node.context.allocate(bytes);
    yield readAnywhere(file, this.#offset, this.#bytes);
  }

  /** The entry at an index: an offset in sectors, or the two halves of what stands for one; 0 for no table. */
  get(index: number): { readonly high: number; readonly low: number } {
    const at = index * this.#entryBytes;
    if (at >= this.#bytes.length) return { high: 0, low: 0 };
    return { high: this.#entryBytes === 8 ? this.#bytes.readUInt32LE(at + 4) : 0, low: this.#bytes.readUInt32LE(at) };
  }

  /** The index of the first table from `index` on; the number of entries if there is none. */
  nextUsed(index: number): number {
    const end = Math.min(this.entryCount, this.#bytes.length / this.#entryBytes);
    for (let next = index; next < end; next++) {
      const { high, low } = this.get(next);
      if (high !== 0 || low !== 0) return next;
    }
    return Math.max(index, this.entryCount);
  }
}
