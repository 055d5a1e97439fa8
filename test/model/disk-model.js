/**
 * The values that each sector of a disk may hold while requests are in flight: the reference that the block layer is
 * held to. JavaScript, since `test/sudden-death` runs without a build and uses it, too.
 */

export const SECTOR_BYTES = 512;

/**
 * A value that a sector may hold, and when the write that brought it ended: NEVER while it is in flight.
 * @typedef {{ readonly value: number, endedAt: number }} Candidate
 * @typedef {{ readonly firstSector: number, readonly sectorCount: number, readonly beganAt: number,
 *   readonly candidate: Candidate }} ModelWrite
 */

/**
 * `allowed`: what each of its sectors was allowed to hold at some time since it began.
 * @typedef {{ readonly firstSector: number, readonly allowed: readonly Set<number>[] }} ModelRead
 */

const NEVER = Number.POSITIVE_INFINITY;

/**
 * A sector holds the value of one of the writes to it, and not of one that had ended when another began that then
 * succeeded. This leaves the order open of those that were in flight together, and both outcomes of one that failed.
 */
export class DiskModel {
  /** @type {Candidate[][]} */
  #sectors = [];
  /** @type {Set<ModelRead>} */
  #reads = new Set();
  #now = 0;

  /** @param {number} sectorCount @param {number} value */
  constructor(sectorCount, value) {
    for (let sector = 0; sector < sectorCount; sector++) this.#sectors.push([{ value, endedAt: 0 }]);
  }

  /** @param {number} sector */
  allowedAt(sector) {
    return new Set((this.#sectors[sector] ?? []).map(({ value }) => value));
  }

  /** @param {number} firstSector @param {number} sectorCount @param {number} value @returns {ModelWrite} */
  beginWrite(firstSector, sectorCount, value) {
    const candidate = { value, endedAt: NEVER };
    for (const sector of this.#sectors.slice(firstSector, firstSector + sectorCount)) sector.push(candidate);
    for (const read of this.#reads) {
      for (const [index, allowed] of read.allowed.entries()) {
        const sector = read.firstSector + index;
        if (sector >= firstSector && sector < firstSector + sectorCount) allowed.add(value);
      }
    }
    this.#now += 1;
    return { firstSector, sectorCount, beganAt: this.#now, candidate };
  }

  /**
   * `isCertain`: its value is there now, or that of a write not over when it began. Not for failures and discards.
   * @param {ModelWrite} write @param {boolean} isCertain
   */
  endWrite({ firstSector, sectorCount, beganAt, candidate }, isCertain) {
    this.#now += 1;
    candidate.endedAt = this.#now;
    if (!isCertain) return;
    for (let sector = firstSector; sector < firstSector + sectorCount; sector++) {
      this.#sectors[sector] = (this.#sectors[sector] ?? []).filter(({ endedAt }) => endedAt > beganAt);
    }
  }

  /** @param {number} firstSector @param {number} sectorCount @returns {ModelRead} */
  beginRead(firstSector, sectorCount) {
    const allowed = Array.from({ length: sectorCount }, (_, index) => this.allowedAt(firstSector + index));
    const read = { firstSector, allowed };
    this.#reads.add(read);
    return read;
  }

  /**
   * Ends a read. A sentence about the first sector of `data` that holds what it must not; null if there is none.
   * @param {ModelRead} read @param {Buffer | null} data
   */
  endRead(read, data) {
    this.#reads.delete(read);
    if (data === null) return null;
    for (const [index, allowed] of read.allowed.entries()) {
      const sector = data.subarray(index * SECTOR_BYTES, (index + 1) * SECTOR_BYTES);
      const value = sector[0] ?? 0;
      const isTorn = !sector.subarray(1).equals(sector.subarray(0, -1));
      if (!isTorn && allowed.has(value)) continue;
      const found = isTorn ? 'several values' : hex(value);
      const offset = (read.firstSector + index) * SECTOR_BYTES;
      return `the sector at ${offset} holds ${found}; allowed: ${[...allowed].map(hex).join(', ')}`;
    }
    return null;
  }
}

/** @param {number} value */
export function hex(value) {
  return `0x${value.toString(16).padStart(2, '0')}`;
}
