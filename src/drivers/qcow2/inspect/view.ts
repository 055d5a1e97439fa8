/** The metadata of an open image, looked at without lock, event or cache: each piece as in memory and as on disk. */
import type { CacheState } from '../../../block/inspect.ts';
import { peek } from '../../../block/request/peek.ts';
import { readBe32 } from '../../../util/big-endian.ts';
import type { Steps } from '../../../util/steps.ts';
import { L1_ENTRY_BYTES, REFCOUNT_ENTRY_BYTES } from '../format/header-fields.ts';
import { entryOffset, hex64, refcountEntryOffset } from '../format/offsets.ts';
import type { Qcow2Image } from '../tables/image.ts';

/** A table in both states. `memory` and `disk` are one buffer where they cannot differ. */
export interface TwoSided {
  /** Offset in the file. */
  readonly offset: number;
  readonly memory: Buffer;
  readonly disk: Buffer;
  /** The state of the cached table that a byte of this one belongs to. */
  cacheAt(at: number): CacheState;
}

/** A refcount in both states; null where no block counts the cluster. */
export interface TwoCounts {
  readonly memory: number | null;
  readonly disk: number | null;
  /** Offset of the refcount in the file, rounded down to whole bytes. */
  readonly at: number | null;
  readonly cache: CacheState | null;
}

const notCounted: TwoCounts = { memory: null, disk: null, at: null, cache: null };

/** No file reaches behind this. */
const MAX_OFFSET = Number.MAX_SAFE_INTEGER - 2 ** 32;

/** Reads for one command: what it has looked at last is kept, as long as it runs. */
export class MetadataView {
  readonly image: Qcow2Image;
  readonly #latest = new Map<string, TwoSided>();

  constructor(image: Qcow2Image) {
    this.image = image;
  }

  /** Bytes of the image file as they are on disk; zeroes behind its end. */
  *onDisk(offset: number, bytes: number): Steps<Buffer> {
    const data = Buffer.alloc(bytes);
    if (offset <= MAX_OFFSET) yield* peek(this.image.file.node, offset, data);
    return data;
  }

  /** The active L1 table. */
  *l1(): Steps<TwoSided> {
    const { l1 } = this.image;
    return yield* this.#whole('l1', l1.offset, l1.bytes);
  }

  /** The refcount table. */
  *refcountTable(): Steps<TwoSided> {
    const { refcountTable } = this.image;
    return yield* this.#whole('refcount table', refcountTable.offset, refcountTable.bytes);
  }

  *#whole(name: string, offset: number, memory: Buffer): Steps<TwoSided> {
    const known = this.#latest.get(name);
    if (known?.offset === offset && known.memory === memory) return known;
    const disk = yield* this.onDisk(offset, memory.length);
    const table: TwoSided = { offset, memory, disk, cacheAt: () => 'none' };
    this.#latest.set(name, table);
    return table;
  }

  /** An L2 table; of a snapshot, too. */
  *l2(offset: number): Steps<TwoSided> {
    const { l2Cache, clusterBytes } = this.image;
    const known = this.#latest.get('l2');
    if (known?.offset === offset) return known;
    const table = yield* this.#cached('l2', l2Cache, offset, clusterBytes);
    return table;
  }

  /** The refcount block of an index of the refcount table; null if there is none. */
  *refcountBlock(index: number): Steps<TwoSided | null> {
    const { refcountTable, refcountCache, clusterBytes } = this.image;
    const offset = refcountTable.blockOffset(index);
    if (offset === 0) return null;
    const known = this.#latest.get('block');
    if (known?.offset === offset) return known;
    return yield* this.#cached('block', refcountCache, offset, clusterBytes);
  }

  *#cached(name: string, cache: Qcow2Image['l2Cache'], offset: number, bytes: number): Steps<TwoSided> {
    const disk = yield* this.onDisk(offset, bytes);
    let memory = disk;
    const states: CacheState[] = [];
    for (let at = 0; at < bytes; at += cache.tableBytes) {
      const part = cache.peek(offset + at);
      states.push(part === null ? 'none' : part.isDirty ? 'dirty' : 'clean');
      if (part === null) continue;
      if (memory === disk) memory = Buffer.from(disk);
      part.bytes.copy(memory, at);
    }
    const cacheAt = (at: number): CacheState => states[Math.floor(at / cache.tableBytes)] ?? 'none';
    const table: TwoSided = { offset, memory, disk, cacheAt };
    this.#latest.set(name, table);
    return table;
  }

  /** The refcount of a cluster of the file. */
  *refcount(cluster: number): Steps<TwoCounts> {
    const { image } = this;
    const index = image.refcountTableIndexOf(cluster);
    const block = yield* this.refcountBlock(index);
    if (block === null) return notCounted;
    const within = cluster % image.refcountBlockEntries;
    const at = Math.floor((within * 2 ** image.refcountOrder) / 8);
    return {
      memory: image.refcountWidth.get(block.memory, within),
      disk: image.refcountWidth.get(block.disk, within),
      at: block.offset + at,
      cache: block.cacheAt(at),
    };
  }

  /** Forgets what it has read: the metadata may have changed since. */
  forget(): void {
    this.#latest.clear();
  }
}

/** An entry of eight bytes as text: "0x8000000000040000". */
export function entryText(table: Buffer, at: number): string {
  return `0x${hex64(readBe32(table, at), readBe32(table, at + 4))}`;
}

/** The L2 table that an entry of an L1 table names; 0 for none. */
export function l2OffsetAt(table: Buffer, index: number): number {
  const at = index * L1_ENTRY_BYTES;
  return entryOffset(readBe32(table, at), readBe32(table, at + 4));
}

/** The refcount block that an entry of a refcount table names; 0 for none. */
export function blockOffsetAt(table: Buffer, index: number): number {
  const at = index * REFCOUNT_ENTRY_BYTES;
  return refcountEntryOffset(readBe32(table, at), readBe32(table, at + 4));
}

/** "refcount 1", or with what is on disk, "refcount 1 (on disk 0)". */
export function countText({ memory, disk }: TwoCounts): string {
  if (memory === null) return 'no refcount';
  return memory === disk ? `refcount ${memory}` : `refcount ${memory} (on disk ${disk ?? 'none'})`;
}
