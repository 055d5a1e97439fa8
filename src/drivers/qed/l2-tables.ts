/** Tables of a qed image: their entries, and the cache of L2 tables. */

export const ENTRY_BYTES = 8;

/** Entries that are no offsets. */
export const Entry = {
  /** Nothing here: the backing file shows through. */
  UNALLOCATED: 0,
  /** Reads as zeroes; of clusters only. */
  ZERO: 1,
} as const;

/** The entry at an index; beyond 2^53 it is rounded, and no offset that can be. */
export function entryAt(table: Buffer, index: number): number {
  const at = index * ENTRY_BYTES;
  return table.readUInt32LE(at) + table.readUInt32LE(at + 4) * 2 ** 32;
}

/** Sets an entry to an offset, or to one of `Entry`. */
export function setEntry(table: Buffer, index: number, value: number): void {
  const at = index * ENTRY_BYTES;
  table.writeUInt32LE(value % 2 ** 32, at);
  table.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** The most tables that are kept (QEMU's MAX_L2_CACHE_SIZE), and the bytes that they may take. */
const MAX_TABLES = 50;
const MAX_CACHE_BYTES = 1 << 30;

/** An L2 table in memory: writes to it go to the file at once. */
export class L2Table {
  readonly offset: number;
  readonly bytes: Buffer;
  /** Requests that work on it: it stays in the cache meanwhile. */
  users = 0;

  constructor(offset: number, bytes: Buffer) {
    this.offset = offset;
    this.bytes = bytes;
  }
}

/** The L2 tables that were used, oldest first. */
export class L2Cache {
  readonly #tables: L2Table[] = [];
  readonly #maxTables: number;

  constructor(tableBytes: number) {
    this.#maxTables = Math.min(MAX_TABLES, Math.max(1, Math.floor(MAX_CACHE_BYTES / tableBytes)));
  }

  /** The table at this offset of the file; undefined if it is not here. */
  find(offset: number): L2Table | undefined {
    return this.#tables.find((table) => table.offset === offset);
  }

  /** Takes a table over. Another request may have brought the same one meanwhile: then that one counts. */
  add(table: L2Table): L2Table {
    const known = this.find(table.offset);
    if (known !== undefined) return known;
    for (let index = 0; this.#tables.length >= this.#maxTables && index < this.#tables.length; ) {
      if (this.#tables[index]?.users === 0) this.#tables.splice(index, 1);
      else index += 1;
    }
    this.#tables.push(table);
    return table;
  }
}
