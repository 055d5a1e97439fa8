/** Errors at every event: clusters may leak, but nothing is ever corrupt. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { breakpointPort } from '../../../src/block/debug/port.ts';
import { eventNames } from '../../../src/block/events/events.ts';
import { Req } from '../../../src/block/flags.ts';
import { isAllocated } from '../../../src/block/request/status.ts';
import { Errno } from '../../../src/util/errno.ts';
import type { ImageSettings } from './make-image.ts';
import { Qcow2Host, stateOf } from './qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** Reaches table growth, copies at head and tail, zero writes, discards, compression and a new length. */
async function workload(image: BlockBackend): Promise<number> {
  let failures = 0;
  const steps = [
    () => image.pwrite(0, Buffer.alloc(3000, 1), 0),
    () => image.pwrite(100_000, Buffer.alloc(200_000, 2), 0),
    () => image.pwriteCompressed(65536, Buffer.alloc(16384, 3)),
    () => image.pwrite(66_000, Buffer.alloc(700, 4), 0),
    () => image.pwriteZeroes(131072, 65536, Req.MAY_UNMAP),
    () => image.pdiscard(0, 65536),
    () => image.flush(),
    () => image.pread(0, Buffer.alloc(300_000)),
    () => image.saveVmState(0, Buffer.alloc(5000, 5)),
    () => image.truncate(600 * 1024, { exact: true }),
    () => image.truncate(2 << 20, { exact: true, preallocation: 'metadata' }),
    () => image.pwrite(1_500_000, Buffer.alloc(100_000, 6), 0),
  ];
  for (const step of steps) if ((await host.errno(step)) !== 0) failures += 1;
  return failures;
}

const geometries: readonly (readonly [string, ImageSettings])[] = [
  ['512-byte clusters with 64-bit refcounts', { clusterBits: 9, refcountOrder: 6 }],
  ['16 KiB clusters with subclusters', { clusterBits: 14, extendedL2: true }],
];

/** These fire while the image is opened, which then is refused. */
const firedByOpening = new Set(['reftable_load', 'none']);

describe.each(geometries)('%s', (_name, settings) => {
  it.each(eventNames.filter((event) => !firedByOpening.has(event)))(
    'an error at %s leaves the image consistent',
    async (event) => {
      for (const [errno, once] of [
        [Errno.EIO, 'on'],
        [Errno.ENOSPC, 'off'],
      ] as const) {
        host.image('x', { ...settings, lengthBytes: 1 << 20 });
        const image = await host.openDebug(
          'x',
          { 'inject-error.0.event': event, 'inject-error.0.errno': String(errno), 'inject-error.0.once': once },
          // Flushing to the disk takes longer than all the rest.
          event.startsWith('flush') ? {} : { 'cache.no-flush': 'on' },
        );
        await workload(image);
        expect(stateOf(image).isUnusable).toBe(false);
        await host.close(image);
        const again = await host.openQcow2('x', { 'cache.no-flush': 'on' });
        const result = await host.check(again);
        expect(result, `errno ${errno}, once=${once}`).toMatchObject({ corruptions: 0, checkErrors: 0 });
        await host.close(again);
      }
    },
  );
});

describe('a write', () => {
  it('that would hit metadata is prevented, and the image refuses everything from then on', async () => {
    host.image('x', {}, (image) => image.writeUInt16BE(0, 2 * 65536 + 2 * 3));
    const image = await host.openQcow2('x');
    // The first free cluster is the L1 table's.
    expect(await host.write(image, 0, 512, 1)).toBe(Errno.EIO);
    expect(host.warnings).toEqual([
      'qcow2: Marking image as corrupt: Preventing invalid write on metadata (overlaps with active L1 table); ' +
        'further corruption events will be suppressed',
    ]);
    expect(await host.write(image, 0, 512, 1)).toBe(Errno.ENOMEDIUM);
    expect(await host.errno(() => image.pread(0, Buffer.alloc(512)))).toBe(Errno.ENOMEDIUM);
    expect(await host.errno(() => image.loadVmState(0, Buffer.alloc(512)))).toBe(Errno.ENOMEDIUM);
    expect(await host.errno(() => image.saveVmState(0, Buffer.alloc(512)))).toBe(Errno.ENOMEDIUM);
    expect(await host.errno(async () => void (await isAllocated(image.top, 0, 512)))).toBe(Errno.ENOMEDIUM);
    await host.close(image);
    expect(host.bytes('x').readBigUInt64BE(72)).toBe(2n);
    expect(await host.refusalOf('x')).toBe('qcow2: Image is corrupt; cannot be opened read/write');
  });

  it('that is prevented when the image is flushed ends it, and nothing is written at the end', async () => {
    host.image('x');
    const before = await host.openQcow2('x');
    expect(await host.write(before, 0, 512, 1)).toBe(0);
    await host.close(before);
    // The L2 table is where the refcount block is, so that neither may be written.
    host.change('x', (bytes) => bytes.writeBigUInt64BE(0x8000_0000_0002_0000n, 3 * 65536));
    const image = await host.openDebug('x');
    expect(await host.write(image, 1 << 19, 512, 1)).toBe(0);
    expect(() => breakpointPort(image.top).setBreakpoint('l2_load', 'A')).not.toThrow();
    expect(await host.errno(() => image.flush())).toBe(Errno.EIO);
    expect(await host.errno(() => image.flush())).toBe(Errno.ENOMEDIUM);
    expect(() => breakpointPort(image.top).setBreakpoint('l2_load', 'B')).toThrow('Operation not supported');
    expect(await host.errno(async () => breakpointPort(image.top).removeBreakpoints('A'))).toBe(Errno.ENOTSUP);
    const written = host.bytes('x');
    await host.close(image);
    expect(host.bytes('x').equals(written)).toBe(true);
    expect(host.warnings).toEqual([
      'qcow2: Marking image as corrupt: Preventing invalid write on metadata (overlaps with active L2 table); ' +
        'further corruption events will be suppressed',
    ]);
  });

  it('over subclusters whose bitmaps contradict each other is refused, also if their L2 table is cached', async () => {
    for (const isCached of [false, true]) {
      host.image('x', { extendedL2: true });
      const before = await host.openQcow2('x');
      expect(await host.write(before, 0, 65536, 1)).toBe(0);
      await host.close(before);
      // Subcluster 31 is zero and has data.
      host.change('x', (bytes) => bytes.writeUInt32BE(0x8000_0000, 4 * 65536 + 8));
      const image = await host.openQcow2('x');
      if (isCached) expect(await host.errno(() => image.pread(1 << 19, Buffer.alloc(512)))).toBe(0);
      expect(await host.write(image, 4096, 512, 2)).toBe(Errno.EIO);
      await host.close(image);
    }
    const text =
      'qcow2: Marking image as corrupt: Invalid cluster entry found (L2 offset: 0x40000, L2 index: 0); ' +
      'further corruption events will be suppressed';
    expect(host.warnings).toEqual([text, text]);
  });

  it('is not checked with overlap-check=none', async () => {
    host.image('x', {}, (image) => image.writeUInt16BE(0, 2 * 65536 + 2 * 3));
    const image = await host.openQcow2('x', { 'overlap-check': 'none' });
    expect(await host.write(image, 0, 512, 1)).toBe(0);
    expect(host.warnings).toEqual([]);
  });
});

describe('a request of no bytes', () => {
  it.each(['write_aio', 'read_aio'])('fires no %s and reaches no file', async (event) => {
    host.image('x');
    const before = await host.openQcow2('x');
    expect(await host.write(before, 0, 512, 1)).toBe(0);
    await host.close(before);
    const image = await host.openDebug('x', { 'inject-error.0.event': event });
    // Brings the L2 table into the cache, from which requests go a shorter way.
    expect(await host.errno(() => image.pread(1 << 19, Buffer.alloc(512)))).toBe(0);
    const nothing = Buffer.alloc(0);
    expect(await host.errno(() => image.pwrite(0, nothing, 0))).toBe(0);
    expect(await host.errno(() => image.pread(0, nothing))).toBe(0);
    // The rule has not become active.
    expect(await host.errno(() => image.flush())).toBe(0);
  });
});

describe('a read through an entry that cannot be', () => {
  it.each([
    ['L2 table offset 0x40200 unaligned (L1 index: 0)', 3 * 65536, 0x8000_0000_0004_0200n],
    [
      'Cluster allocation offset 0x50200 unaligned (L2 offset: 0x40000, L2 index: 0)',
      4 * 65536,
      0x8000_0000_0005_0200n,
    ],
  ])('%s', async (message, at, entry) => {
    host.image('x');
    const image = await host.openQcow2('x');
    expect(await host.write(image, 0, 512, 1)).toBe(0);
    await host.close(image);
    host.change('x', (bytes) => bytes.writeBigUInt64BE(entry, at));
    const damaged = await host.openQcow2('x');
    expect(await host.errno(() => damaged.pread(0, Buffer.alloc(512)))).toBe(Errno.EIO);
    expect(host.warnings.at(-1)).toBe(
      `qcow2: Marking image as corrupt: ${message}; further corruption events will be suppressed`,
    );
  });
});
