/** A disk in memory over a file that is never written: pages of what has changed, and holes. */
import type { Extent } from '../../sys/seek.ts';
import { alignUp } from '../../util/align.ts';
import type { ReadOnlyFile } from './read-only-file.ts';

/** The unit of what is copied, and of holes as the host's file systems have them. */
const PAGE_BYTES = 4096;

/** Pages that are written back at once. */
const CHANGE_PAGES = 256;

/** Pages in use and free, shared by the disks of all cases of a world: allocating anew would take most of a case. */
export class PagePool {
  readonly #free: Buffer[] = [];
  readonly #limit: number;
  readonly #exceeded: (limitBytes: number) => Error;
  #taken = 0;

  /** `limitBytes`: of all disks together. */
  constructor(limitBytes: number, exceeded: (limitBytes: number) => Error = (bytes) => new MemoryExceeded(bytes)) {
    this.#limit = Math.floor(limitBytes / PAGE_BYTES);
    this.#exceeded = exceeded;
  }

  /** A page of any content. Throws what `exceeded` makes beyond the limit. */
  take(): Buffer {
    if (this.#taken >= this.#limit) throw this.#exceeded(this.#limit * PAGE_BYTES);
    this.#taken += 1;
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES);
  }

  give(page: Buffer): void {
    this.#taken -= 1;
    this.#free.push(page);
  }
}

/** A case writes more than the search may keep in memory. */
class MemoryExceeded extends Error {
  constructor(limitBytes: number) {
    super(`a case writes more than ${limitBytes / 2 ** 20} MiB`);
    this.name = 'MemoryExceeded';
  }
}

/**
 * A file of a case. It has the length and the holes that the host's file would have: what is zeroed or discarded in
 * whole pages is a hole, as is what lies between the old end and a write behind it.
 */
export class MemoryDisk {
  readonly #base: ReadOnlyFile | null;
  readonly #pool: PagePool;
  /** Changed pages by number; null: a hole. */
  readonly #pages = new Map<number, Buffer | null>();
  /** Before it the base shows through where no page is. */
  #baseEnd: number;
  #lengthBytes: number;

  /** Begins as `base`, or empty. */
  constructor(base: ReadOnlyFile | null, pool: PagePool) {
    this.#base = base;
    this.#pool = pool;
    this.#lengthBytes = base?.lengthBytes ?? 0;
    this.#baseEnd = this.#lengthBytes;
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** Gives the pages back; the disk is as its base then. */
  reset(): void {
    for (const page of this.#pages.values()) if (page !== null) this.#pool.give(page);
    this.#pages.clear();
    this.#lengthBytes = this.#base?.lengthBytes ?? 0;
    this.#baseEnd = this.#lengthBytes;
  }

  /** Becomes as `other` is, a disk over the same base. */
  copyFrom(other: MemoryDisk): void {
    this.reset();
    for (const [number, page] of other.#pages) {
      let copy: Buffer | null = null;
      if (page !== null) {
        copy = this.#pool.take();
        page.copy(copy);
      }
      this.#pages.set(number, copy);
    }
    this.#lengthBytes = other.#lengthBytes;
    this.#baseEnd = other.#baseEnd;
  }

  /** Fills `data` from `offset`, with zeroes behind the end. */
  read(offset: number, data: Buffer): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const number = Math.floor(at / PAGE_BYTES);
      const from = at - number * PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - from, data.length - done);
      const page = this.#pages.get(number);
      if (page === undefined) this.#readBase(at, data.subarray(done, done + count));
      else if (page === null) data.fill(0, done, done + count);
      else page.copy(data, done, from, from + count);
      done += count;
    }
  }

  #readBase(offset: number, data: Buffer): void {
    const count = Math.min(data.length, Math.max(0, this.#baseEnd - offset));
    if (count > 0) this.#base?.read(offset, data.subarray(0, count));
    if (count < data.length) data.fill(0, count);
  }

  write(offset: number, data: Buffer): void {
    for (let done = 0; done < data.length; ) {
      const at = offset + done;
      const number = Math.floor(at / PAGE_BYTES);
      const from = at - number * PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - from, data.length - done);
      data.copy(this.#pageForWriting(number, count === PAGE_BYTES), from, done, done + count);
      done += count;
    }
    if (offset + data.length > this.#lengthBytes) this.#lengthBytes = offset + data.length;
  }

  /** `isOverwritten`: its content does not matter. */
  #pageForWriting(number: number, isOverwritten: boolean): Buffer {
    const known = this.#pages.get(number);
    if (known !== undefined && known !== null) return known;
    const page = this.#pool.take();
    if (!isOverwritten) {
      if (known === null) page.fill(0);
      else this.#readBase(number * PAGE_BYTES, page);
    }
    this.#pages.set(number, page);
    return page;
  }

  /** Makes a range read as zeroes, without making the disk longer. Whole pages become holes. */
  punch(offset: number, bytes: number): void {
    const end = Math.min(offset + bytes, this.#lengthBytes);
    for (let at = offset; at < end; ) {
      const number = Math.floor(at / PAGE_BYTES);
      const pageStart = number * PAGE_BYTES;
      const stop = Math.min(end, pageStart + PAGE_BYTES);
      const isWhole = at === pageStart && (stop === pageStart + PAGE_BYTES || stop === this.#lengthBytes);
      if (isWhole) this.#setHole(number);
      else if (!this.#isHole(pageStart)) this.#pageForWriting(number, false).fill(0, at - pageStart, stop - pageStart);
      at = stop;
    }
  }

  #setHole(number: number): void {
    const page = this.#pages.get(number);
    if (page !== undefined && page !== null) this.#pool.give(page);
    this.#pages.set(number, null);
  }

  #isHole(pageStart: number): boolean {
    const page = this.#pages.get(pageStart / PAGE_BYTES);
    if (page !== undefined) return page === null;
    if (this.#base === null || pageStart >= this.#baseEnd) return true;
    return this.#base.extentAt(pageStart)?.isData === false;
  }

  /** Makes the disk `bytes` long. What is new is a hole. */
  truncate(bytes: number): void {
    if (bytes < this.#lengthBytes) {
      for (const [number, page] of this.#pages) {
        if (number * PAGE_BYTES < bytes) continue;
        if (page !== null) this.#pool.give(page);
        this.#pages.delete(number);
      }
      const tail = this.#pages.get(Math.floor(bytes / PAGE_BYTES));
      if (tail !== undefined && tail !== null) tail.fill(0, bytes % PAGE_BYTES);
      this.#baseEnd = Math.min(this.#baseEnd, bytes);
    }
    this.#lengthBytes = bytes;
  }

  /** Data or hole at an offset, as lseek(2) tells it; null where the file below cannot tell. */
  extentAt(offset: number): Extent | null {
    if (offset >= this.#lengthBytes) return { isData: false, end: null };
    const first = this.#runAt(offset);
    if (first === null) return null;
    let { end } = first;
    while (end < this.#lengthBytes) {
      const next = this.#runAt(end);
      if (next === null || next.isData !== first.isData) break;
      ({ end } = next);
    }
    if (!first.isData && end >= this.#lengthBytes) return { isData: false, end: null };
    return { isData: first.isData, end: Math.min(end, this.#lengthBytes) };
  }

  /** Data or hole at an offset, up to where it may change. */
  #runAt(offset: number): { readonly isData: boolean; readonly end: number } | null {
    const number = Math.floor(offset / PAGE_BYTES);
    const page = this.#pages.get(number);
    if (page !== undefined) return { isData: page !== null, end: (number + 1) * PAGE_BYTES };
    let limit = this.#lengthBytes;
    for (const changed of this.#pages.keys()) {
      const start = changed * PAGE_BYTES;
      if (start > offset && start < limit) limit = start;
    }
    if (this.#base === null || offset >= this.#baseEnd) return { isData: false, end: limit };
    const extent = this.#base.extentAt(offset);
    if (extent === null) return null;
    // Where the file ended, its last block goes on.
    return { isData: extent.isData, end: Math.min(limit, alignUp(extent.end ?? limit, PAGE_BYTES)) };
  }

  /** Two disks over one base that have the same digest hold the same, as far as 128 bits can tell. */
  digest(): string {
    const lanes = new Int32Array([this.#lengthBytes, this.#baseEnd, 0, 0]);
    for (const number of [...this.#pages.keys()].sort((first, second) => first - second)) {
      const page = this.#pages.get(number) ?? null;
      lanes[2] = mix(lanes[2] ?? 0, number);
      lanes[3] = mix(lanes[3] ?? 0, page === null ? 1 : 2);
      if (page !== null) mixPage(lanes, new Int32Array(page.buffer, page.byteOffset, PAGE_BYTES / 4));
    }
    return lanes.map((lane) => lane >>> 0).join('.');
  }

  /** Bytes at the beginning of the base that were never cut off: those behind them are gone. */
  get keptBytes(): number {
    return this.#baseEnd;
  }

  /** The changes, by offset: runs of data of up to 1 MiB, and holes (null). */
  *changes(): Generator<{ readonly offset: number; readonly bytes: number; readonly data: Buffer | null }> {
    const numbers = [...this.#pages.keys()].filter((number) => number * PAGE_BYTES < this.#lengthBytes);
    numbers.sort((first, second) => first - second);
    for (let at = 0; at < numbers.length; ) {
      const first = numbers[at] as number;
      const isHole = this.#pages.get(first) === null;
      let count = 1;
      while (count < CHANGE_PAGES && numbers[at + count] === first + count) {
        if ((this.#pages.get(first + count) === null) !== isHole) break;
        count += 1;
      }
      const offset = first * PAGE_BYTES;
      const bytes = Math.min(count * PAGE_BYTES, this.#lengthBytes - offset);
      const data = isHole ? null : Buffer.allocUnsafe(bytes);
      if (data !== null) this.read(offset, data);
      yield { offset, bytes, data };
      at += count;
    }
  }

  /** Bytes of changed data, without holes. */
  get changedBytes(): number {
    let count = 0;
    for (const page of this.#pages.values()) if (page !== null) count += 1;
    return count * PAGE_BYTES;
  }
}

function mix(state: number, word: number): number {
  return Math.imul(((state << 5) | (state >>> 27)) ^ word, 0x2545f491);
}

/** Each word goes into one of four states, which a processor works on side by side. */
function mixPage(lanes: Int32Array, words: Int32Array): void {
  let [one = 0, two = 0, three = 0, four = 0] = lanes;
  for (let index = 0; index < words.length; index += 4) {
    one = mix(one, words[index] as number);
    two = mix(two, words[index + 1] as number);
    three = mix(three, words[index + 2] as number);
    four = mix(four, words[index + 3] as number);
  }
  lanes.set([one, two, three, four]);
}
