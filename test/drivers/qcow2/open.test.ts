/** Opening qcow2: headers, features, extensions, backing files, messages. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/block/loop/clock.ts';
import { Open } from '../../../src/block/flags.ts';
import { addSnapshot } from './add-snapshot.ts';
import { CLEAN, Qcow2Host, stateOf } from './qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

// The texts are those of qemu-io 7.2.22.
describe('a header is refused', () => {
  const cases: readonly (readonly [string, (image: Buffer) => void])[] = [
    ['Image is not in qcow2 format', (image) => image.write('QFJ', 0)],
    ['Unsupported qcow2 version 4', (image) => image.writeUInt32BE(4, 4)],
    ['Unsupported cluster size: 2^8', (image) => image.writeUInt32BE(8, 20)],
    ['Unsupported cluster size: 2^22', (image) => image.writeUInt32BE(22, 20)],
    ['qcow2 header too short', (image) => image.writeUInt32BE(103, 100)],
    ['qcow2 header exceeds cluster size', (image) => image.writeUInt32BE(65537, 100)],
    ['Invalid backing file offset', (image) => image.writeBigUInt64BE(65537n, 8)],
    ['qcow2: unknown compression type: 2', (image) => image.writeUInt8(2, 104)],
    ['qcow2: Compression type incompatible feature bit must be set', (image) => image.writeUInt8(1, 104)],
    ['qcow2: Compression type incompatible feature bit must not be set', (image) => image.writeBigUInt64BE(8n, 72)],
    [
      'Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000000',
      (image) => image.writeBigUInt64BE(1n << 63n, 72),
    ],
    ['Unsupported encryption method -2147483648', (image) => image.writeUInt32BE(2 ** 31, 32)],
    ['qcow2: Image is corrupt; cannot be opened read/write', (image) => image.writeBigUInt64BE(2n, 72)],
    ['Reference count entry width too large; may not exceed 64 bits', (image) => image.writeUInt32BE(7, 96)],
    ['Image does not contain a reference count table', (image) => image.writeUInt32BE(0, 56)],
    ['Reference count table too large', (image) => image.writeUInt32BE(129, 56)],
    ['Reference count table offset invalid', (image) => image.writeBigUInt64BE(65537n, 48)],
    ['Reference count table offset invalid', (image) => image.writeBigUInt64BE(0xffff_ffff_ffff_0000n, 48)],
    ['Snapshot table too large', (image) => image.writeUInt32BE(65537, 60)],
    ['Snapshot table offset invalid', (image) => image.writeBigUInt64BE(1n, 64)],
    ['Active L1 table too large', (image) => image.writeUInt32BE(0x400001, 36)],
    ['Active L1 table offset invalid', (image) => image.writeBigUInt64BE(0x1234n, 40)],
    ['L1 table is too small', (image) => image.writeBigUInt64BE(1n << 30n, 24)],
    ['Header extension too large', (image) => image.writeUInt32BE(0xffff, 116) && image.writeUInt32BE(9, 112)],
    [
      'ERROR: ext_backing_format: len=16 too large (>=16)',
      (image) => image.writeUInt32BE(0xe2792aca, 112) && image.writeUInt32BE(16, 116),
    ],
    ["'data-file' is required for this image", (image) => image.writeBigUInt64BE(4n, 72)],
    ['data-file-raw requires a data file', (image) => image.writeBigUInt64BE(2n, 88)],
    ['Unsupported encryption method 9', (image) => image.writeUInt32BE(9, 32)],
    ['Backing file name too long', (image) => image.writeBigUInt64BE(200n, 8) && image.writeUInt32BE(1024, 16)],
  ];
  it.each(cases)('%s', async (message, change) => {
    host.image('x', {}, change);
    expect(await host.refusalOf('x')).toBe(message);
  });

  it('that names its unknown features', async () => {
    host.image('x', {}, (image) => {
      image.writeBigUInt64BE(1n << 40n, 72);
      image.writeUInt32BE(0x6803f857, 112);
      image.writeUInt32BE(48, 116);
      image.writeUInt8(40, 121);
      image.write('time travel', 122);
    });
    expect(await host.refusalOf('x')).toBe('Unsupported qcow2 feature(s): time travel');
  });
});

describe('options', () => {
  const cases = [
    [{ 'overlap-check': 'some' }, /^Unsupported value 'some' for qcow2 option 'overlap-check'/],
    [{ 'overlap-check': 'none', 'overlap-check.template': 'all' }, /^Conflicting values for qcow2 options/],
    [{ 'cache-size': '1M', 'l2-cache-size': '2M' }, /^l2-cache-size may not exceed cache-size$/],
    [{ 'cache-size': '1M', 'refcount-cache-size': '2M' }, /^refcount-cache-size may not exceed cache-size$/],
    [{ 'l2-cache-entry-size': '3000' }, /^L2 cache entry size must be a power of two between 512/],
    [{ 'l2-cache-entry-size': '128k' }, /between 512 and the cluster size \(65536\)$/],
    [{ 'encrypt.format': 'luks' }, /^No encryption in image header, but options specified format 'luks'$/],
    [{ 'data-file.driver': 'null-co' }, /^'data-file' can only be set for images with an external data file$/],
  ] as const;
  it.each(cases)('%o are refused', async (options, message) => {
    host.image('x');
    expect(await host.refusalOf('x', options)).toMatch(message);
  });

  it('of a version 2 image cannot be lazy refcounts', async () => {
    host.image('x', { version: 2 });
    expect(await host.refusalOf('x', { 'lazy-refcounts': 'on' })).toMatch(/^Lazy refcounts require/);
  });

  it('set the size of the caches, never below what is needed', async () => {
    host.image('x', { clusterBits: 12, lengthBytes: 64 << 20 });
    const image = await host.openQcow2('x', { 'l2-cache-size': '16k', 'l2-cache-entry-size': '512' });
    expect(stateOf(image).l2Cache.slotCount).toBe(32);
    expect(stateOf(image).sliceEntries).toBe(64);
    expect(stateOf(image).refcountCache.slotCount).toBe(4);
    await host.close(image);
    const small = await host.openQcow2('x', { 'l2-cache-size': '0' });
    expect(stateOf(small).l2Cache.slotCount).toBe(2);
  });
});

// QEMU's timer is one of the guest's clock, which does not run in qemu-io (observed with qemu-io 7.2.22).
it('the caches keep their tables whatever cache-clean-interval says', async () => {
  let nowNs = 0;
  const timed = new Qcow2Host({ clock: { ...systemClock, nowNs: () => nowNs } });
  try {
    timed.image('x');
    const image = await timed.openDebug('x', {}, { 'cache-clean-interval': '1' });
    expect(await timed.write(image, 0, 512, 1)).toBe(0);
    expect(await timed.errno(() => image.flush())).toBe(0);
    const events: string[] = [];
    const stop = timed.context.trace.subscribe((record) => {
      if (record.kind === 'event' && record.node === 'debug') events.push(record.event);
    });
    for (let hour = 1; hour <= 3; hour++) {
      nowNs = hour * 3600 * 1e9;
      await timed.read(image, 0, 512);
    }
    stop();
    expect(events).toEqual(['read_aio', 'read_aio', 'read_aio']);
  } finally {
    await timed.remove();
  }
});

describe('an image', () => {
  it('that is corrupt can be read', async () => {
    host.image('x', {}, (image) => image.writeBigUInt64BE(2n, 72));
    const image = await host.openQcow2('x', { 'read-only': 'on' }, Open.ALLOW_READ_WRITE);
    expect(await host.read(image, 0, 512)).toEqual(Buffer.alloc(512));
  });

  it('shows its backing file, as far as that goes', async () => {
    host.file('base', 100 * 1024, [0, 100 * 1024, 5]);
    host.image('x', { backing: { filename: host.path('base'), format: 'raw' } });
    const image = await host.openQcow2('x');
    const data = await host.read(image, 0, 128 * 1024);
    expect(data.subarray(0, 100 * 1024).every((byte) => byte === 5)).toBe(true);
    expect(data.subarray(100 * 1024).every((byte) => byte === 0)).toBe(true);
  });

  it.each(['json:{"driver":"null-co"}', 'null-co://', 'nbd:unix:x', 'file:x'])(
    'cannot make its data file anything but a file of that name: %s',
    async (name) => {
      host.image('x', {}, (image) => {
        image.writeBigUInt64BE(4n, 72);
        image.write('DATA', 112, 'latin1');
        image.writeUInt32BE(name.length, 116);
        image.write(name, 120);
      });
      expect(await host.refusalOf('x')).toBe(`Could not open '${name}': No such file or directory`);
    },
  );

  it('has snapshots whose names end at the first NUL', async () => {
    host.image('x');
    const bytes = addSnapshot(host.bytes('x'));
    const table = Number(bytes.readBigUInt64BE(64));
    bytes[bytes.indexOf('1snap', table) + 3] = 0;
    // So that it is named.
    bytes.writeBigUInt64BE(bytes.readBigUInt64BE(table) + 512n, table);
    writeFileSync(host.path('x'), bytes);
    const image = await host.openQcow2('x');
    await host.check(image);
    expect(host.warnings[0]).toMatch(/^ERROR snapshot 1 \(sn\) l1_offset=0x\w+: L1 table is not cluster aligned;/);
  });

  it('loses unknown autoclear bits when it is opened for writing, and keeps unknown extensions', async () => {
    host.image('x', {}, (image) => {
      image.writeBigUInt64BE(0xff0n, 88);
      image.writeUInt32BE(0x12345678, 112);
      image.writeUInt32BE(3, 116);
      image.write('abc', 120);
    });
    await host.close(await host.openQcow2('x'));
    const header = host.bytes('x').subarray(0, 65536);
    expect(header.readBigUInt64BE(88)).toBe(0n);
    expect(header.includes(Buffer.from([0x12, 0x34, 0x56, 0x78, 0, 0, 0, 3, 0x61, 0x62, 0x63]))).toBe(true);
  });

  it('that is dirty is repaired: leaked and uncounted clusters', async () => {
    host.image('x', { lazyRefcounts: true });
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 200_000, 1)).toBe(0);
    await host.close(image);
    // A cluster that nothing points to, and two that are in use and not counted.
    host.change('x', (bytes) => {
      bytes.writeBigUInt64BE(1n, 72);
      bytes.writeUInt16BE(1, 2 * 65536 + 2 * 20);
      bytes.writeUInt16BE(0, 2 * 65536 + 2 * 5);
      bytes.writeUInt16BE(0, 2 * 65536 + 2 * 6);
    });
    const repaired = await host.openQcow2('x');
    expect(host.warnings).toEqual([
      'ERROR cluster 5 refcount=0 reference=1',
      'ERROR cluster 6 refcount=0 reference=1',
      'Rebuilding refcount structure',
      'Repairing cluster 1 refcount=1 reference=0',
      'Repairing cluster 2 refcount=1 reference=0',
    ]);
    expect(await host.check(repaired)).toMatchObject(CLEAN);
    expect((await host.read(repaired, 0, 200_000)).every((byte) => byte === 1)).toBe(true);
    expect(host.bytes('x').readBigUInt64BE(72)).toBe(0n);
  });

  // The texts are those of qemu-io 7.2.22.
  it('that is dirty stays broken where data is to be at the place of the new refcount structures', async () => {
    host.image('x', { lazyRefcounts: true });
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 65536, 1)).toBe(0);
    await host.close(image);
    host.change('x', (bytes) => {
      bytes.writeBigUInt64BE(1n, 72);
      bytes.writeUInt16BE(0, 2 * 65536 + 2 * 5);
      // The second cluster of the guest lies right behind the end of the file.
      bytes.writeBigUInt64BE((1n << 63n) | (6n * 65536n), 4 * 65536 + 8);
    });
    await host.openQcow2('x');
    expect(host.warnings).toEqual([
      'ERROR: counting reference for region exceeding the end of the file by one cluster or more: offset 0x60000 size 0x10000',
      'ERROR cluster 5 refcount=0 reference=1',
      'Rebuilding refcount structure',
      'ERROR refcount block 0 refcount=2',
      'Repairing cluster 1 refcount=1 reference=0',
      'Repairing cluster 2 refcount=1 reference=0',
      'ERROR cluster 6 refcount=1 reference=2',
      'ERROR rebuilt refcount structure is still broken',
    ]);
  });
});
