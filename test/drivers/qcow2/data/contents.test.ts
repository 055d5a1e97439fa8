/** Random requests against a plain buffer: the guest sees the same, and the refcounts are right. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../../src/block/backend.ts';
import type { Pending } from '../../../../src/util/steps.ts';
import { Req } from '../../../../src/block/flags.ts';
import { Errno } from '../../../../src/util/errno.ts';
import type { ImageSettings } from '../make-image.ts';
import { CLEAN, Qcow2Host } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** Numbers that look random and are the same in each run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const LENGTH = 3 * 512 * 1024 + 512;

async function randomRequest(image: BlockBackend, model: Buffer, random: (below: number) => number): Promise<void> {
  const unit = [1, 512, 4096, 65536][random(4)] ?? 1;
  const offset = Math.floor(random(LENGTH) / unit) * unit;
  const bytes = Math.min(1 + random(unit === 1 ? 70_000 : 4) * (unit === 1 ? 1 : unit), LENGTH - offset);
  const value = 1 + random(255);
  switch (random(6)) {
    case 0:
    case 1:
    case 2:
      expect(await host.write(image, offset, bytes, value)).toBe(0);
      model.fill(value, offset, offset + bytes);
      break;
    case 3: {
      const flags = random(2) === 0 ? 0 : Req.MAY_UNMAP;
      expect(await host.errno(() => image.pwriteZeroes(offset, bytes, flags))).toBe(0);
      model.fill(0, offset, offset + bytes);
      break;
    }
    case 4:
      expect((await host.read(image, offset, bytes)).equals(model.subarray(offset, offset + bytes))).toBe(true);
      break;
    default:
      expect(await host.errno(() => image.flush())).toBe(0);
  }
}

describe('random writes, zero writes and reads', () => {
  const geometries: readonly (readonly [string, ImageSettings, Record<string, string>])[] = [
    ['64 KiB clusters', {}, {}],
    ['version 2', { version: 2 }, {}],
    ['512-byte clusters and small caches', { clusterBits: 9 }, { 'l2-cache-size': '1k', 'refcount-cache-size': '2k' }],
    ['512-byte clusters with 64-bit refcounts', { clusterBits: 9, refcountOrder: 6 }, {}],
    [
      '4 KiB clusters with 1-bit refcounts, all overlap checks',
      { clusterBits: 12, refcountOrder: 0 },
      { 'overlap-check': 'all' },
    ],
    ['subclusters of 512 bytes', { clusterBits: 14, extendedL2: true }, { 'l2-cache-entry-size': '512' }],
    ['subclusters of 2 KiB', { clusterBits: 16, extendedL2: true, refcountOrder: 3 }, {}],
    ['2 MiB clusters', { clusterBits: 21, refcountOrder: 1 }, {}],
    ['lazy refcounts', { lazyRefcounts: true, clusterBits: 13 }, {}],
  ];
  for (const withBacking of [false, true]) {
    it.each(geometries)(`%s${withBacking ? ', over a backing file' : ''}`, async (_name, settings, options) => {
      const model = Buffer.alloc(LENGTH);
      let backing = {};
      if (withBacking) {
        const baseBytes = 1_000_448;
        host.file('base', baseBytes, [0, 300_000, 3], [700_000, baseBytes - 700_000, 4]);
        model.fill(3, 0, 300_000).fill(4, 700_000, baseBytes);
        backing = { backing: { filename: host.path('base'), format: 'raw' } };
      }
      // Nothing but the guest's view can tell v2 from v3 where a backing file shines through a discard.
      host.image('x', { ...settings, ...backing, lengthBytes: LENGTH });
      const random = generator(7);
      for (let round = 0; round < 3; round++) {
        const image = await host.openQcow2('x', { ...options, 'cache.no-flush': 'on' });
        for (let step = 0; step < 40; step++) await randomRequest(image, model, random);
        expect((await host.read(image, 0, LENGTH)).equals(model)).toBe(true);
        expect(await host.check(image)).toMatchObject(CLEAN);
        await host.close(image);
      }
      expect(host.warnings).toEqual([]);
      const last = await host.openQcow2('x');
      expect((await host.read(last, 0, LENGTH)).equals(model)).toBe(true);
      if (settings.version !== 2) expect(host.bytes('x').readBigUInt64BE(72) & 3n).toBe(0n);
    });
  }
});

describe('compressed clusters', () => {
  it('read back, are copied when they are overwritten, and cannot be written twice', async () => {
    host.image('x');
    const image = await host.openQcow2('x');
    const text = Buffer.alloc(131072, 'what goes around comes around; ');
    expect(await host.errno(() => image.pwriteCompressed(0, text))).toBe(0);
    expect(host.bytes('x').length).toBeLessThan(6 * 65536);
    expect((await host.read(image, 1000, 100_000)).equals(text.subarray(1000, 101_000))).toBe(true);
    expect(await host.errno(() => image.pwriteCompressed(0, text))).toBe(5);
    expect(await host.write(image, 70_000, 10, 1)).toBe(0);
    text.fill(1, 70_000, 70_010);
    expect((await host.read(image, 0, 131072)).equals(text)).toBe(true);
    expect(await host.check(image)).toMatchObject(CLEAN);
  });
});

it('an L2 table that may be shared is copied before an overwrite, although the cluster below it is not', async () => {
  host.image('x', {});
  const written = await host.openQcow2('x');
  await host.write(written, 0, 65536, 1);
  await host.close(written);
  const COPIED = 1n << 63n;
  const [l1Offset, l2Offset] = [3 * 65536, 4n * 65536n];
  expect(host.bytes('x').readBigUInt64BE(l1Offset)).toBe(l2Offset | COPIED);
  host.change('x', (bytes) => bytes.writeBigUInt64BE(l2Offset, l1Offset));
  const image = await host.openQcow2('x');
  // With the table in the cache already.
  await host.read(image, 0, 512);
  await host.write(image, 4096, 4096, 2);
  expect(await host.check(image)).toMatchObject(CLEAN);
  await host.close(image);
  // Where qemu-io 7.2.22 takes it: behind the data.
  expect(host.bytes('x').readBigUInt64BE(l1Offset)).toBe((6n * 65536n) | COPIED);
});

it('a read and an overwrite of what is there make no promise', async () => {
  host.image('x');
  const image = await host.openQcow2('x');
  expect(await host.write(image, 0, 65536, 1)).toBe(0);
  const results: unknown[] = [];
  const data = Buffer.alloc(4096, 2);
  const note = (pending: Pending): Pending => {
    results.push(pending);
    return pending;
  };
  expect(await host.errno(() => note(image.pwrite(8192, data, 0)))).toBe(0);
  expect(await host.errno(() => note(image.pread(8192, data)))).toBe(0);
  expect(results).toEqual([undefined, undefined]);
});

describe('truncate', () => {
  it('makes the disk longer and shorter, and gives back what is cut off', async () => {
    host.image('x', { clusterBits: 9, lengthBytes: 1 << 20 });
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 1 << 20, 1)).toBe(0);
    expect(await host.errno(() => image.truncate(100 * 1024, { exact: true }))).toBe(0);
    expect(image.getLength()).toBe(100 * 1024);
    expect(host.bytes('x').length).toBeLessThan(1 << 19);
    expect(await host.check(image)).toMatchObject(CLEAN);
    expect(await host.errno(() => image.truncate(1 << 20, { exact: true }))).toBe(0);
    const data = await host.read(image, 0, 1 << 20);
    expect(data.subarray(0, 100 * 1024).every((byte) => byte === 1)).toBe(true);
    expect(data.subarray(100 * 1024).every((byte) => byte === 0)).toBe(true);
  });

  it('cuts the file even if the tables cannot be written first (observed with qemu-io 7.2.22)', async () => {
    host.image('x', { lengthBytes: 1 << 20 });
    const plain = await host.openQcow2('x');
    expect(await host.write(plain, 0, 1 << 20, 1)).toBe(0);
    await host.close(plain);
    const options = { 'inject-error.0.event': 'refblock_update_part', 'inject-error.0.once': 'on' };
    const image = await host.openDebug('x', options);
    const fullBytes = host.bytes('x').length;
    expect(await host.errno(() => image.truncate(0, { exact: true }))).toBe(Errno.EIO);
    expect(host.bytes('x').length).toBeLessThan(fullBytes - (1 << 19));
  });

  it.each(['metadata', 'falloc', 'full'] as const)('preallocates: %s', async (mode) => {
    host.image('x', { clusterBits: 12, lengthBytes: 64 * 1024 });
    const image = await host.openQcow2('x');
    expect(await host.errno(() => image.truncate(1 << 20, { exact: true, preallocation: mode }))).toBe(0);
    const before = host.bytes('x').length;
    expect(before).toBeGreaterThan(900 * 1024);
    expect(await host.write(image, 64 * 1024, 960 * 1024, 7)).toBe(0);
    expect(host.bytes('x').length).toBe(before);
    expect(await host.check(image)).toMatchObject(CLEAN);
  });

  it('cannot preallocate what is cut off', async () => {
    host.image('x');
    const image = await host.openQcow2('x');
    expect(await host.message(() => image.truncate(65536, { exact: true, preallocation: 'full' }))).toBe(
      "Preallocation can't be used for shrinking an image",
    );
  });
});

describe('discard', () => {
  it('gives clusters back, which then read as zeroes and are taken again', async () => {
    host.image('x', { clusterBits: 12 });
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 1 << 19, 1)).toBe(0);
    const before = host.bytes('x').length;
    expect(await host.errno(() => image.pdiscard(0, 1 << 18))).toBe(0);
    expect((await host.read(image, 0, 1 << 18)).every((byte) => byte === 0)).toBe(true);
    expect(await host.write(image, 1 << 19, 1 << 18, 2)).toBe(0);
    expect(host.bytes('x').length).toBe(before);
    expect(await host.check(image)).toMatchObject(CLEAN);
  });
});

describe('VM state', () => {
  it('lies behind the disk', async () => {
    host.image('x');
    const image = await host.openQcow2('x');
    expect(await host.errno(() => image.saveVmState(1000, Buffer.alloc(5000, 6)))).toBe(0);
    const data = Buffer.alloc(7000, 1);
    expect(await host.errno(() => image.loadVmState(0, data))).toBe(0);
    expect(data.subarray(1000, 6000).every((byte) => byte === 6)).toBe(true);
    expect(data[999]).toBe(0);
    expect(image.getLength()).toBe(1 << 20);
    expect(await host.check(image)).toMatchObject(CLEAN);
  });
});
