/** The cache of L2 tables of a qcow image: a number of slots, each with a table and how often it was asked for. */

export const ENTRY_BYTES = 8;
/** QEMU's L2_CACHE_SIZE. */
const SLOT_COUNT = 16;
const UINT32_MAX = 0xffff_ffff;

/** A slot. While it is filled it may hold what is no table yet. */
export interface L2Slot {
  readonly bytes: Buffer;
  /** Of the table in the file; 0 for none. */
  offset: number;
  count: number;
}

/** The slots of an image. */
export class L2Slots {
  readonly #slots: L2Slot[] = [];
  readonly #tableBytes: number;

  constructor(entryCount: number) {
    this.#tableBytes = entryCount * ENTRY_BYTES;
  }

  /** The slot with the table at this offset, which is counted; undefined if there is none. */
  find(offset: number): L2Slot | undefined {
    const slot = this.#slots.find((one) => one.offset === offset);
    if (slot !== undefined && ++slot.count === UINT32_MAX) {
      for (const one of this.#slots) one.count = Math.floor(one.count / 2);
    }
    return slot;
  }

  /** The slot that was asked for least often, to be filled. */
  least(): L2Slot {
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
