/**
 * The cache of second-level tables of a qcow or vmdk image: slots, each with a table and how often it was asked for.
 */

/** QEMU's L2_CACHE_SIZE, of both formats. */
const SLOT_COUNT = 16;
const COUNT_MAX = 0xffff_ffff;

/** A slot. While it is filled it may hold what is no table yet. */
export interface TableSlot {
  readonly bytes: Buffer;
  /** Of the table in the file, in whatever unit its entries have; 0 for none. */
  offset: number;
  count: number;
}

/** The slots of an image. */
export class TableSlots {
  readonly #slots: TableSlot[] = [];
  readonly #tableBytes: number;

  constructor(tableBytes: number) {
    this.#tableBytes = tableBytes;
  }

  /** The slot with the table at this offset, which is counted; undefined if there is none. */
  find(offset: number): TableSlot | undefined {
    const slot = this.#slots.find((one) => one.offset === offset);
    if (slot !== undefined && ++slot.count >= COUNT_MAX) {
      for (const one of this.#slots) one.count = Math.floor(one.count / 2);
    }
    return slot;
  }

  /** The slot that was asked for least often, to be filled. */
  least(): TableSlot {
    if (this.#slots.length < SLOT_COUNT) {
      const fresh = { bytes: Buffer.alloc(this.#tableBytes), offset: 0, count: 0 };
      this.#slots.push(fresh);
      return fresh;
    }
    return this.#slots.reduce((least, slot) => (slot.count < least.count ? slot : least));
  }

  /** Forgets all tables. */
  clear(): void {
    this.#slots.length = 0;
  }
}
