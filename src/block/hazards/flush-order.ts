/**
 * The order of writes of a qcow2 image: which tables need something on stable storage before them, and whether it is.
 *
 * Time is counted in ticks of this image: each change of a refcount, and each write of a table, is a tick. A change is
 * in the file once its table has been written at a later tick, and on stable storage once the file was flushed after
 * that: the node counts its writes and knows up to which of them it was flushed. The copy of old data is told by the
 * count of the writes of the file that it is in.
 */
import { compactBytes } from '../../util/compact.ts';
import { readBe32 } from '../../util/big-endian.ts';
import type { BlockNode } from '../graph/node.ts';
import { type Coroutine, rootOf } from '../loop/coroutine.ts';
import { describe, isSameRequest, nameOf, type RequestWatch, tellHazard } from './detector.ts';

/** A write of a table that is not known to be on stable storage: when it began, and the count of the node's writes. */
interface Written {
  readonly tick: number;
  generation: number;
}

/** A table of metadata. */
class TableState {
  /** When it was changed last. */
  changedTick = 0;
  /** The latest write that is on stable storage began then. */
  stableTick = 0;
  /** Later ones. */
  readonly written: Written[] = [];
  /** Of a block of refcounts: it counts a cluster, since it was written, that it did not count before. */
  hasNew = false;
  /** Clusters that the block on stable storage counts, and that were given back since it was written; null for none. */
  counted: Set<number> | null = null;
}

/** A refcount as it was when its cluster was taken: it is in a block that was changed then. */
export interface Counted {
  readonly block: number;
  readonly tick: number;
}

/** Where an entry points to. */
interface Target {
  /** Of the guest's disk; null where it is for none. */
  readonly guest: number | null;
  /** Of the file. */
  readonly host: number;
}

/** The latest entry of a table in memory whose target is counted in one block: what has to be there before it. */
class Need implements Target {
  /** Null if refcounts need not be right. */
  readonly block: number | null;
  tick = 0;
  /** The count of the data's writes after old data was copied; 0 if none was. */
  copied = 0;
  /** The entry's place in the table, and its halves. */
  at = 0;
  high = 0;
  low = 0;
  guest = 0;
  host = 0;
  request: Coroutine | null = null;

  constructor(block: number | null) {
    this.block = block;
  }
}

/** So many tables are remembered before those are forgotten of which nothing is left to be known. */
const SWEEP_SIZE = 1024;

/** So many writes of a table are remembered that are not on stable storage. */
const MAX_WRITTEN = 64;

/** A write that never comes to the disk. */
const NEVER = Number.POSITIVE_INFINITY;

/** A range of a file. */
interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** So many writes of one request are remembered that were lost. */
const MAX_LOST = 64;

/** The order of the writes of one image. */
export class FlushOrder implements RequestWatch {
  readonly #node: BlockNode;
  readonly #dataNode: BlockNode;
  #tick = 0;
  readonly #tables = new Map<number, TableState>();
  /** Tables that are not in the map were on stable storage at this tick. */
  #settledTick = 0;
  #sweepSize = SWEEP_SIZE;
  /** By the table that has the entries; for each block that counts what they point to. */
  readonly #needs = new Map<number, Need[]>();
  #lost: Range | null = null;
  /** In the file with the guest's data, by request of the user. */
  readonly #lostData = new WeakMap<Coroutine, Range[]>();
  /** Takes note of the faults of a data file of its own. */
  readonly dataWatch: RequestWatch = {
    changes: () => {},
    losesWrite: (offset, bytes) => this.#losesData({ offset, bytes }),
    losesFlush: () => this.#losesCopies(),
  };

  /** The nodes hold the image's file, and the guest's data. */
  constructor(node: BlockNode, dataNode: BlockNode) {
    this.#node = node;
    this.#dataNode = dataNode;
  }

  changes(): void {}

  losesWrite(offset: number, bytes: number): void {
    this.#lost = { offset, bytes };
    if (this.#dataNode === this.#node) this.#losesData(this.#lost);
  }

  losesFlush(): void {
    for (const { written } of this.#tables.values()) {
      for (const write of written) if (write.generation > this.#node.flushedGeneration) write.generation = NEVER;
    }
    if (this.#dataNode === this.#node) this.#losesCopies();
  }

  #losesData(range: Range): void {
    const { current } = this.#dataNode.loop;
    if (current === null) return;
    const request = rootOf(current);
    const lost = this.#lostData.get(request) ?? [];
    this.#lostData.set(request, lost);
    lost.push(range);
    if (lost.length > MAX_LOST) lost.shift();
  }

  #losesCopies(): void {
    for (const needs of this.#needs.values()) {
      for (const need of needs) if (need.copied > this.#dataNode.flushedGeneration) need.copied = NEVER;
    }
  }

  /**
   * How many writes the file with the guest's data has had, now that the running request has copied old data into these
   * ranges of it. What it is for `pointsTo`.
   */
  copied(ranges: readonly Range[]): number {
    const { loop, writeGeneration } = this.#dataNode;
    const lost = loop.current === null ? undefined : this.#lostData.get(rootOf(loop.current));
    const isLost = lost?.some((one) => ranges.some((range) => overlaps(one, range)));
    return isLost === true ? NEVER : writeGeneration;
  }

  #table(offset: number): TableState {
    let table = this.#tables.get(offset);
    if (table === undefined) {
      table = new TableState();
      table.stableTick = this.#settledTick;
      this.#tables.set(offset, table);
    }
    return table;
  }

  /** A table is changed in memory. */
  changed(offset: number): void {
    this.#change(offset);
  }

  #change(offset: number): TableState {
    this.#tick += 1;
    const table = this.#table(offset);
    table.changedTick = this.#tick;
    return table;
  }

  /** A refcount is changed in memory to `refcount`; `block` is where the block with it is. */
  changedCount(block: number, cluster: number, refcount: number): void {
    const table = this.#change(block);
    if (refcount === 1) {
      if (table.counted?.has(cluster) !== true) table.hasNew = true;
    } else if (refcount === 0 && !table.hasNew) {
      this.#settle(table);
      if (table.written.length === 0) (table.counted ??= new Set()).add(cluster);
    }
  }

  /**
   * The refcounts, in one block, of the clusters from `first` to before `end`, which were just taken. Null where they
   * are on stable storage as they were before the clusters were given back.
   */
  counted(block: number, first: number, end: number): Counted | null {
    const { changedTick, counted } = this.#table(block);
    if (counted === null) return { block, tick: changedTick };
    let cluster = first;
    while (cluster < end && counted.has(cluster)) cluster += 1;
    return cluster === end ? null : { block, tick: changedTick };
  }

  /** A table is about to be written: tells what of it should not be there yet. The result is for `written`. */
  writing(offset: number, table: Buffer): number {
    this.#check(offset, table);
    this.#tick += 1;
    this.#lost = null;
    return this.#tick;
  }

  /** A table was written, without an error. */
  written(offset: number, bytes: number, tick: number): void {
    const lost = this.#lost;
    const isLost = lost !== null && overlaps(lost, { offset, bytes });
    const table = this.#table(offset);
    this.#settle(table);
    table.hasNew = false;
    table.counted = null;
    table.written.push({ tick, generation: isLost ? NEVER : this.#node.writeGeneration });
    this.#needs.delete(offset);
    if (this.#tables.size > this.#sweepSize) this.#sweep();
  }

  /** Forgets tables of which all is on stable storage. */
  #sweep(): void {
    for (const [offset, table] of this.#tables) {
      this.#settle(table);
      const isSettled = table.written.length === 0 && table.counted === null && !table.hasNew;
      if (isSettled && table.stableTick >= table.changedTick) this.#tables.delete(offset);
    }
    this.#settledTick = this.#tick;
    this.#sweepSize = Math.max(SWEEP_SIZE, 2 * this.#tables.size);
  }

  #settle(table: TableState): void {
    const { written } = table;
    if (written.length === 0) return;
    const { flushedGeneration } = this.#node;
    let count = 0;
    for (const write of written) {
      if (write.generation > flushedGeneration) written[count++] = write;
      else if (write.tick > table.stableTick) table.stableTick = write.tick;
    }
    written.length = count;
    // Of the writes that are to be flushed, and of those that are lost, the latest is enough.
    if (count > MAX_WRITTEN) written.splice(0, count - MAX_WRITTEN);
  }

  #isStable(offset: number, tick: number): boolean {
    const table = this.#table(offset);
    this.#settle(table);
    return table.stableTick >= tick;
  }

  /** The table is gone: nothing of it will be written. */
  forget(offset: number): void {
    this.#tables.delete(offset);
    this.#needs.delete(offset);
  }

  /**
   * The table at `offset` of the file has a new entry at `at` of `table`, its copy in memory. `counted` and `copied`
   * say what has to be on stable storage before it.
   */
  pointsTo(
    offset: number,
    table: Buffer,
    at: number,
    target: { readonly guest: number; readonly host: number },
    counted: Counted | null,
    copied: number,
  ): void {
    const need = this.#needOf(offset, counted === null ? null : counted.block);
    need.tick = counted === null ? 0 : counted.tick;
    if (copied > need.copied) need.copied = copied;
    need.at = at;
    need.high = readBe32(table, at);
    need.low = readBe32(table, at + 4);
    need.guest = target.guest;
    need.host = target.host;
    need.request = this.#node.loop.current;
  }

  #needOf(offset: number, block: number | null): Need {
    let needs = this.#needs.get(offset);
    if (needs === undefined) {
      needs = [];
      this.#needs.set(offset, needs);
    }
    for (let index = 0; index < needs.length; index += 1) {
      const known = needs[index];
      if (known !== undefined && known.block === block) return known;
    }
    const need = new Need(block);
    needs.push(need);
    return need;
  }

  #check(offset: number, table: Buffer): void {
    const needs = this.#needs.get(offset);
    if (needs === undefined) return;
    for (const need of needs) {
      if (readBe32(table, need.at) !== need.high || readBe32(table, need.at + 4) !== need.low) continue;
      if (need.block !== null && !this.#isStable(need.block, need.tick)) {
        this.#tell('L2 entry', need, `the refcount of file ${compactBytes(need.host)}`);
      }
      if (need.copied > this.#dataNode.flushedGeneration) {
        const file = this.#dataNode === this.#node ? 'file' : 'data file';
        this.#tell('L2 entry', need, `the old data copied to ${file} ${compactBytes(need.host)}`);
      }
    }
  }

  /** An entry of a table of tables is about to be written: the new table has to be there. */
  checkNewTable(what: string, tables: readonly number[], entry: Target, name: string): void {
    const isStable = tables.every((offset) => {
      const table = this.#tables.get(offset);
      // Nothing is known of one that was not changed since the image was opened.
      return table === undefined || this.#isStable(offset, table.changedTick);
    });
    if (isStable) return;
    const request = this.#node.loop.current;
    this.#tell(what, { ...entry, request }, `the ${name} at file ${compactBytes(entry.host)}`);
  }

  /** An entry is about to be written: what it points to has to be counted. */
  checkCounts(what: string, counted: readonly Counted[], entry: Target): void {
    if (counted.every(({ block, tick }) => this.#isStable(block, tick))) return;
    const request = this.#node.loop.current;
    this.#tell(what, { ...entry, request }, `the refcount of file ${compactBytes(entry.host)}`);
  }

  #tell(what: string, { guest, host, request }: Target & Pick<Need, 'request'>, missing: string): void {
    const { current } = this.#node.loop;
    const isOwn = isSameRequest(request, current);
    const whose = isOwn ? '' : ` of ${nameOf(request)}`;
    const where = guest === null ? '' : ` for guest ${compactBytes(guest)}`;
    tellHazard(this.#node, {
      kind: 'not-flushed',
      text: `${describe(current)} writes the ${what}${whose}${where} before ${missing} is on disk`,
      other: isOwn ? null : request,
      fileOffset: host,
      bytes: 0,
      ...(guest === null ? {} : { guestOffset: guest }),
    });
  }
}

function overlaps(one: Range, other: Range): boolean {
  return one.offset < other.offset + other.bytes && other.offset < one.offset + one.bytes;
}
