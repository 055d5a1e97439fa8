/**
 * The small parts that qcow2 is made of: fields, refcount widths, sets of clusters, bitmap bits, compression, caches.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BitmapBits } from '../../../../src/drivers/qcow2/tables/bitmap-bits.ts';
import { ClusterSet } from '../../../../src/drivers/qcow2/tables/cluster-set.ts';
import { bitRange, trailingZeroes } from '../../../../src/drivers/qcow2/format/l2-entry.ts';
import { entryOffset, hex, hex64, readUint64, writeUint64 } from '../../../../src/drivers/qcow2/format/offsets.ts';
import { refcountWidth } from '../../../../src/drivers/qcow2/format/refcount-width.ts';
import { TableCache } from '../../../../src/drivers/qcow2/tables/table-cache.ts';
import { deflate, zstd } from '../../../../src/sys/compression.ts';
import { Qcow2Host, stateOf } from '../qcow2-host.ts';

describe('64-bit fields', () => {
  it('are exact up to 2^53, and offsets up to 2^56', () => {
    const data = Buffer.alloc(8);
    writeUint64(data, Number.MAX_SAFE_INTEGER, 0);
    expect(data.readBigUInt64BE()).toBe(BigInt(Number.MAX_SAFE_INTEGER));
    expect(readUint64(data, 0)).toBe(Number.MAX_SAFE_INTEGER);
    expect(entryOffset(0xffff_ffff, 0xffff_ffff)).toBe(2 ** 56 - 512);
    expect(hex(0)).toBe('0');
    expect(hex(2 ** 56 - 512)).toBe('0xfffffffffffe00');
    expect(hex64(0x8000_0000, 1)).toBe('8000000000000001');
  });
});

describe('words of 32 bits', () => {
  it('have ranges and trailing zeroes', () => {
    expect(bitRange(0, 32)).toBe(0xffff_ffff);
    expect(bitRange(31, 32)).toBe(0x8000_0000);
    expect(bitRange(3, 3)).toBe(0);
    expect(trailingZeroes(0)).toBe(32);
    expect(trailingZeroes(0x8000_0000)).toBe(31);
  });
});

describe('refcounts of every width', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('2^%i bits: each entry keeps its value', (order) => {
    const width = refcountWidth(order);
    const block = Buffer.alloc(512);
    const count = (512 * 8) / 2 ** order;
    const value = (index: number): number => Math.min(width.max, index * 7) % (width.max + 1);
    for (let index = 0; index < count; index++) width.set(block, index, value(index) % 2 ** 20);
    for (let index = 0; index < count; index++) expect(width.get(block, index)).toBe(value(index) % 2 ** 20);
  });
});

describe('a set of clusters', () => {
  it('knows tables by each cluster that they touch, as often as they are there', () => {
    const set = new ClusterSet(4096);
    set.add(8192);
    set.add(8192);
    set.add(20_480 + 512);
    expect(set.hits(2, 1)).toBe(true);
    expect(set.hits(3, 2)).toBe(false);
    expect(set.hits(6, 1)).toBe(true);
    expect(set.hits(0, 1000)).toBe(true);
    set.remove(8192);
    expect(set.hits(2, 1)).toBe(true);
    set.remove(8192);
    expect(set.hits(0, 5)).toBe(false);
  });
});

describe('the bits of a dirty bitmap', () => {
  it('are set for every granule touched, and follow the length of the disk', () => {
    const bits = new BitmapBits(10 * 4096, 12);
    const stored = () => {
      const data = Buffer.alloc(bits.storedBytes);
      bits.load(0, data);
      return [...data];
    };
    bits.mark(4095, 2);
    bits.mark(9 * 4096, 100_000);
    expect(stored().slice(0, 2)).toEqual([0b11, 0b10]);
    bits.resize(9 * 4096);
    expect(stored()).toEqual([0b11, 0, 0, 0, 0, 0, 0, 0]);
    bits.mark(0, 9 * 4096);
    expect(stored().slice(0, 2)).toEqual([0xff, 1]);
  });
});

describe('the bits of an enormous bitmap', () => {
  it('take memory only where some are set and some are not', () => {
    const GRANULES = 2 ** 33;
    const bits = new BitmapBits(GRANULES * 512, 9);
    bits.fill(0, GRANULES / 8);
    expect(bits.memoryBytes).toBe(0);
    bits.resize((GRANULES - 3) * 512);
    expect(bits.memoryBytes).toBe(65536);
    const last = Buffer.alloc(1);
    expect(bits.load(bits.storedBytes - 1, last)).toBe(true);
    expect(last[0]).toBe(0x1f);
  });
});

describe('compression', () => {
  const text = Buffer.alloc(65536, 'so it goes; ');
  it('gives back what was packed, also from longer data, and damaged data not at all', () => {
    for (const codec of [deflate(), zstd()]) {
      if (codec === null) continue;
      const packed = codec.compress(text, 65535);
      expect(packed).not.toBeNull();
      if (packed === null) continue;
      expect(packed.length).toBeLessThan(1000);
      expect(codec.decompress(Buffer.concat([packed, Buffer.alloc(300)]), text.length)?.equals(text)).toBe(true);
      expect(codec.decompress(packed.subarray(0, 10), text.length)).toBeNull();
      expect(codec.compress(text, 20)).toBeNull();
    }
  });
});

describe('a cache of tables', () => {
  let host: Qcow2Host;
  beforeEach(() => {
    host = new Qcow2Host();
  });
  afterEach(() => host.remove());

  /** A cache with four slots of 512 bytes over an image with eight different tables at 1 MiB. */
  async function cacheOf(): Promise<TableCache> {
    host.image('x', {}, () => {});
    const image = await host.openQcow2('x', { 'overlap-check': 'none' });
    return new TableCache(stateOf(image), 'L2 table', 4, 512);
  }

  async function use(cache: TableCache, offset: number): Promise<number> {
    let slot = -1;
    await host.errno(async () => {
      slot = await cache.get(offset);
      cache.put(slot);
    });
    return slot;
  }

  const at = (index: number): number => (1 << 20) + index * 512;

  it('takes unused slots from the place that follows from the offset, then the one put back longest ago', async () => {
    const cache = await cacheOf();
    const slots = [];
    for (const index of [0, 1, 2, 3]) slots.push(await use(cache, at(index)));
    expect(slots).toEqual([0, 1, 2, 3]);
    await use(cache, at(0));
    expect(await use(cache, at(4))).toBe(1);
    expect(cache.find(at(1))).toBe(-1);
    expect(cache.find(at(0))).toBe(0);
  });

  it('writes a dirty table back when its slot is needed, and reads it again', async () => {
    const cache = await cacheOf();
    await host.errno(async () => {
      const slot = await cache.getEmpty(at(0));
      cache.table(slot).fill(9);
      cache.markDirty(slot);
      cache.put(slot);
    });
    for (const index of [1, 2, 3, 4]) await use(cache, at(index));
    expect(
      host
        .bytes('x')
        .subarray(at(0), at(1))
        .every((byte) => byte === 9),
    ).toBe(true);
    const slot = await use(cache, at(0));
    expect(cache.table(slot)[511]).toBe(9);
  });

  it('refuses a table that is not where tables are', async () => {
    const cache = await cacheOf();
    expect(await host.errno(async () => void (await cache.get(100)))).toBe(5);
    expect(host.warnings[0]).toContain('Cannot get entry from L2 table cache: Offset 0x64 is unaligned');
  });
});
