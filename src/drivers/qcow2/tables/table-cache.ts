/**
 * A write-back cache of metadata tables: L2 table slices, or refcount blocks.
 *
 * A table is held between `get` and `put`; what is not held may be thrown out, least recently used first, written back
 * before if it is dirty. Tables of one cache may have to be on disk before those of the other (a new cluster's refcount
 * before the L2 entry that points to it): `dependOn` notes that, and write-back obeys it.
 *
 * A table's slot, and with it the order in which tables are written back, is chosen as QEMU does: the first unused slot
 * from a place that follows from the table's offset, else the one that was put back longest ago.
 */
import { BlockError } from '../../../block/error.ts';
import { Event } from '../../../block/events/events.ts';
import { assert } from '../../../util/assert.ts';
import { Errno } from '../../../util/errno.ts';
import { type Answer, type Pending, run, type Steps } from '../../../util/steps.ts';
import { corrupt } from './corruption.ts';
import type { Qcow2Image } from './image.ts';
import { flushFile, ignoringErrors, readFile, writeFile } from './io.ts';
import { hex } from '../format/offsets.ts';
import { checkOverlap, Overlap } from './overlap.ts';
import { SlotSet } from './slot-set.ts';

/** Memory is taken in chunks of about this size, as slots come into use. */
const CHUNK_BYTES = 256 * 1024;

type CacheKind = 'L2 table' | 'refcount block';

/** A cache of tables of one size, in a fixed number of slots. */
export class TableCache {
  readonly kind: CacheKind;
  readonly slotCount: number;
  readonly tableBytes: number;
  /** The cache that has to be written back before a table of this one is. */
  #dependsOn: TableCache | null = null;
  /** The file has to be flushed before a table of this cache is written back. */
  #dependsOnFlush = false;

  readonly #image: Qcow2Image;
  readonly #slots = new Map<number, number>();
  readonly #offsets: Float64Array;
  readonly #holders: Uint32Array;
  readonly #tables: (Buffer | undefined)[];
  readonly #dirty: SlotSet;
  readonly #unused: SlotSet;
  /** The slots that are in use, as a list: least recently put back first. One that is held is never thrown out. */
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  #oldest = -1;
  #newest = -1;

  constructor(image: Qcow2Image, kind: CacheKind, slotCount: number, tableBytes: number) {
    this.#image = image;
    this.kind = kind;
    this.slotCount = slotCount;
    this.tableBytes = tableBytes;
    this.#offsets = new Float64Array(slotCount);
    this.#holders = new Uint32Array(slotCount);
    this.#tables = [];
    this.#dirty = new SlotSet(slotCount);
    this.#unused = new SlotSet(slotCount);
    this.#older = new Int32Array(slotCount);
    this.#newer = new Int32Array(slotCount);
    for (let slot = 0; slot < slotCount; slot++) this.#unused.add(slot);
  }

  /** The slot of the table at this offset of the file, held; read from disk if it is not cached. */
  get(offset: number, fromDisk = true): Answer<number> {
    const slot = this.hold(offset);
    return slot === -1 ? run(this.#load(offset, fromDisk)) : slot;
  }

  /** The slot of a table that is cached, held; -1 if it is not. */
  hold(offset: number): number {
    const slot = this.find(offset);
    if (slot !== -1) (this.#holders[slot] as number) += 1;
    return slot;
  }

  /** The slot for a new table at this offset, held; its content is undefined. */
  getEmpty(offset: number): Answer<number> {
    return this.get(offset, false);
  }

  /** The content of a slot that is held. */
  table(slot: number): Buffer {
    return this.#tables[slot] ?? this.#allocate(slot);
  }

  /** Ends one hold. */
  put(slot: number): void {
    const holders = this.#holders[slot] as number;
    assert(holders > 0, 'a table that is put back is held');
    this.#holders[slot] = holders - 1;
    if (holders > 1 || slot === this.#newest) return;
    this.#unlink(slot);
    this.#append(slot);
  }

  /** The content has changed: it is to be written back. */
  markDirty(slot: number): void {
    this.#image.loop.witness?.changes(this.#image.lock.name);
    this.#dirty.add(slot);
  }

  /** The slot of a table if it is cached, not held by this; -1 if it is not. */
  find(offset: number): number {
    return this.#slots.get(offset) ?? -1;
  }

  /** The content of a table that is cached, to be looked at only, and whether it is to be written back; else null. */
  peek(offset: number): { readonly bytes: Buffer; readonly isDirty: boolean } | null {
    const slot = this.find(offset);
    return slot === -1 ? null : { bytes: this.table(slot), isDirty: this.#dirty.has(slot) };
  }

  /** The tables that are to be written back, to be looked at only. */
  *dirtyTables(): Generator<{ readonly offset: number; readonly bytes: Buffer }> {
    for (let slot = this.#dirty.next(0); slot !== -1; slot = this.#dirty.next(slot + 1)) {
      const offset = this.#offsets[slot] ?? 0;
      if (offset !== 0) yield { offset, bytes: this.table(slot) };
    }
  }

  /**
   * Forgets a table without writing it back. EIO if it is held: then it was freed through an entry of its own, which
   * only a corrupt image has.
   */
  discard(slot: number): void {
    if (this.#holders[slot] !== 0) throw new BlockError(Errno.EIO);
    this.#dirty.delete(slot);
    this.#image.hazards?.order.forget(this.#offsets[slot] ?? 0);
    this.#forget(slot);
    this.#release(slot);
  }

  /**
   * From now on `other` is written back, and flushed, before this cache. Only one level deep: if `other` depends on a
   * third, or this on another, that is satisfied first; should it fail, all stays as it was.
   */
  dependOn(other: TableCache): Pending {
    const isDeep = other.#dependsOn !== null || (this.#dependsOn !== null && this.#dependsOn !== other);
    if (isDeep) return run(ignoringErrors(this.#changeDependency(other)));
    this.#dependsOn = other;
    return undefined;
  }

  *#changeDependency(other: TableCache): Steps<void> {
    yield* other.#flushDependency();
    if (this.#dependsOn !== other) yield* this.#flushDependency();
    this.#dependsOn = other;
  }

  *#flushDependency(): Steps<void> {
    if (this.#dependsOn === null) return;
    yield this.#dependsOn.flush();
    this.#settle();
  }

  /** Before the next table is written back, what the file was given by now is flushed. */
  dependOnFlush(): void {
    this.#dependsOnFlush = true;
  }

  /** Writes back all dirty tables, as `#writeBack` does. */
  write(): Pending {
    return this.#dirty.size === 0 ? undefined : run(this.#writeBack(0, this.slotCount));
  }

  /** Writes back all dirty tables and puts them on stable storage. */
  flush(): Pending {
    const writing = this.write();
    return writing === undefined ? flushFile(this.#image) : run(this.#flushWhenWritten(writing));
  }

  *#flushWhenWritten(writing: Promise<void>): Steps<void> {
    yield writing;
    yield flushFile(this.#image);
  }

  /** Flushes, and forgets every table. */
  *empty(): Steps<void> {
    yield this.flush();
    this.#slots.clear();
    for (let slot = 0; slot < this.slotCount; slot++) {
      assert(this.#holders[slot] === 0, 'no table of a cache that is emptied is held');
      this.#offsets[slot] = 0;
      this.#release(slot);
    }
  }

  *#load(offset: number, fromDisk: boolean): Steps<number> {
    const image = this.#image;
    if (offset % this.tableBytes !== 0) {
      yield* corrupt(image, `Cannot get entry from ${this.kind} cache: Offset ${hex(offset)} is unaligned`);
    }
    // Offset 0 is the header: nothing that points there is a table.
    if (offset === 0) throw new BlockError(Errno.EIO);
    const slot = this.#victim(offset);
    if (this.#dirty.has(slot)) yield* this.#writeBack(slot, slot + 1);
    this.#forget(slot);
    if (fromDisk) {
      if (this.kind === 'L2 table') yield image.fire(Event.L2_LOAD);
      yield readFile(image, offset, this.table(slot));
    }
    this.#offsets[slot] = offset;
    this.#slots.set(offset, slot);
    if (this.#unused.has(slot)) {
      this.#unused.delete(slot);
      this.#append(slot);
    }
    this.#holders[slot] = 1;
    return slot;
  }

  #victim(offset: number): number {
    let slot = this.#unused.next(((offset / this.tableBytes) * 4) % this.slotCount);
    // Around the end.
    if (slot === -1) slot = this.#unused.next(0);
    if (slot === -1) {
      slot = this.#oldest;
      while (slot !== -1 && this.#holders[slot] !== 0) slot = this.#newer[slot] as number;
    }
    assert(slot !== -1, 'a slot of the cache is not held');
    return slot;
  }

  /**
   * Writes back the dirty tables in the slots from `first` to before `end`. Goes on after a failure; of several, no
   * space left counts before the last one.
   */
  *#writeBack(first: number, end: number): Steps<void> {
    const { hazards } = this.#image;
    const isL2 = this.kind === 'L2 table';
    const own = isL2 ? Overlap.ACTIVE_L2 : Overlap.REFCOUNT_BLOCK;
    let failure: BlockError | null = null;
    // Searched anew after each write: writing back this cache can write back another, which may change this one.
    for (let slot = this.#dirty.next(first); slot !== -1 && slot < end; slot = this.#dirty.next(slot + 1)) {
      const offset = this.#offsets[slot] as number;
      if (offset === 0) continue;
      try {
        let pending = this.#flushBefore();
        if (pending !== undefined) yield pending;
        this.#settle();
        pending = checkOverlap(this.#image, own, offset, this.tableBytes);
        if (pending !== undefined) yield pending;
        pending = this.#image.fire(isL2 ? Event.L2_UPDATE : Event.REFBLOCK_UPDATE_PART);
        if (pending !== undefined) yield pending;
        const tick = hazards === null ? 0 : hazards.order.writing(offset, this.table(slot));
        pending = writeFile(this.#image, offset, this.table(slot));
        if (pending !== undefined) yield pending;
        this.#dirty.delete(slot);
        if (hazards !== null) hazards.order.written(offset, this.tableBytes, tick);
      } catch (error) {
        if (!(error instanceof BlockError)) throw error;
        if (failure?.errno !== Errno.ENOSPC) failure = error;
      }
    }
    if (failure !== null) throw failure;
  }

  /** Puts on stable storage what has to be there before a table of this cache. */
  #flushBefore(): Pending {
    if (this.#dependsOn !== null) return this.#dependsOn.flush();
    return this.#dependsOnFlush ? flushFile(this.#image) : undefined;
  }

  /** Another cache, or the file, was flushed: nothing has to come before this cache any more. */
  #settle(): void {
    this.#dependsOn = null;
    this.#dependsOnFlush = false;
  }

  #forget(slot: number): void {
    const offset = this.#offsets[slot] ?? 0;
    if (offset !== 0) this.#slots.delete(offset);
    this.#offsets[slot] = 0;
  }

  /** Makes a slot that is not held an unused one. */
  #release(slot: number): void {
    if (this.#unused.has(slot)) return;
    this.#unlink(slot);
    this.#unused.add(slot);
  }

  #append(slot: number): void {
    this.#older[slot] = this.#newest;
    this.#newer[slot] = -1;
    if (this.#newest === -1) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const older = this.#older[slot] ?? -1;
    const newer = this.#newer[slot] ?? -1;
    if (older === -1) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === -1) this.#newest = older;
    else this.#older[newer] = older;
  }

  #allocate(slot: number): Buffer {
    const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / this.tableBytes));
    const first = slot - (slot % perChunk);
    const count = Math.min(perChunk, this.slotCount - first);
    const chunk = this.#image.node.context.allocate(count * this.tableBytes);
    for (let index = 0; index < count; index++) {
      this.#tables[first + index] = chunk.subarray(index * this.tableBytes, (index + 1) * this.tableBytes);
    }
    return this.#tables[slot] as Buffer;
  }
}
