/** Requests to files of the host: reads, writes, zeroes, discards, status. */
import { appendFileSync, openSync, truncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import type { Preallocation } from '../../../src/block/driver.ts';
import { Open, Req, Status } from '../../../src/block/flags.ts';
import { Options } from '../../../src/block/options/options.ts';
import { reopenNode } from '../../../src/block/open/reopen.ts';
import { blockStatus, forgetDataRange } from '../../../src/block/request/status.ts';
import { pwriteZeroes, pwritev } from '../../../src/block/request/write.ts';
import type { FileNode } from '../../../src/drivers/file/state.ts';
import { libc } from '../../../src/sys/libc.ts';
import { Errno } from '../../../src/util/errno.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { FakeClock } from '../../helpers/shell.ts';

const K64 = 1 << 16;

let host: HostImages;

beforeEach(() => {
  host = new HostImages();
});

afterEach(() => host.remove());

function openFile(name: string, flags?: number): Promise<BlockBackend> {
  return host.open({ driver: 'file', filename: host.path(name) }, flags);
}

function stateOf(image: BlockBackend): FileNode['state'] {
  return (image.top as FileNode).state;
}

describe('the end of a file', () => {
  it('is rounded up to a sector; what it lacks reads as zeroes', async () => {
    host.file('x', 0, [0, 1000, 7]);
    const image = await openFile('x');
    expect(image.getLength()).toBe(1024);
    const data = await host.read(image, 990, 34);
    expect(data).toEqual(Buffer.concat([Buffer.alloc(10, 7), Buffer.alloc(24)]));
    expect(await host.write(image, 1000, 24, 8)).toBe(0);
    expect(host.bytes('x').length).toBe(1024);
  });

  it('is not looked for again: what others do to the file is not seen until it is opened again', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    appendFileSync(host.path('x'), Buffer.alloc(4096));
    expect(image.getLength()).toBe(4096);
    expect(await host.write(image, 4096, 512, 1)).toBe(Errno.EIO);
    truncateSync(host.path('x'), 512);
    expect(image.getLength()).toBe(4096);
    expect(await host.read(image, 1024, 512)).toEqual(Buffer.alloc(512));
    await host.close(image);
    expect((await openFile('x')).getLength()).toBe(512);
  });
});

describe('a long request', () => {
  /** Time passes with each look at it: the loop is overdue for a turn of Node after two pieces. */
  class HastyClock extends FakeClock {
    override nowNs(): number {
      this.now += 30e6;
      return this.now;
    }
  }

  it.each<[string, (image: BlockBackend) => Pending]>([
    ['read', (image) => image.pread(0, Buffer.alloc(64 << 20))],
    ['write', (image) => image.pwrite(0, Buffer.alloc(64 << 20, 1), 0)],
    ['write of zeroes', (image) => image.pwriteZeroes(0, 1 << 30, Req.MAY_UNMAP)],
    ['discard', (image) => image.pdiscard(0, 1 << 30)],
  ])('ends with ECANCELED in the middle when it is interrupted: %s', async (_name, request) => {
    const impatient = new HostImages({ clock: new HastyClock() });
    impatient.file('x', 1 << 30);
    const image = await impatient.open({ driver: 'file', filename: impatient.path('x') });
    let next: NodeJS.Immediate | undefined;
    const interrupt = (): void => {
      impatient.loop.interrupt();
      next = setImmediate(interrupt);
    };
    interrupt();
    expect(await impatient.errno(() => request(image))).toBe(Errno.ECANCELED);
    clearImmediate(next);
    await impatient.remove();
  });

  it('reads what is there, and zeroes behind it, whatever the pieces are', async () => {
    const piece = 16 << 20;
    host.file('x', 3 * piece - 1000, [piece - 1, 2, 7], [2 * piece, 1, 8], [3 * piece - 1001, 1, 9]);
    const image = await openFile('x');
    truncateSync(host.path('x'), 2 * piece + 1);
    const data = Buffer.alloc(3 * piece - 1024, 1);
    expect(await host.errno(() => image.pread(0, data))).toBe(0);
    const expected = Buffer.alloc(data.length);
    expected.fill(7, piece - 1, piece + 1);
    expected[2 * piece] = 8;
    expect(data.equals(expected)).toBe(true);
  });
});

describe.skipIf(libc() === null)('zero writes and discards', () => {
  it('keep the space with plain zeroes, and give it back where they may unmap', async () => {
    host.file('x', 0, [0, 4 * K64, 7]);
    const image = await openFile('x');
    expect(await host.errno(() => image.pwriteZeroes(0, K64, 0))).toBe(0);
    const kept = image.top.driver.getAllocatedBytes?.(image.top) ?? 0;
    expect(kept).toBeGreaterThanOrEqual(4 * K64);
    expect(await host.errno(() => image.pwriteZeroes(K64, K64, Req.MAY_UNMAP))).toBe(0);
    expect(image.top.driver.getAllocatedBytes?.(image.top)).toBe(kept - K64);
    expect(await host.errno(() => image.pdiscard(3 * K64, K64))).toBe(0);
    expect(image.top.driver.getAllocatedBytes?.(image.top)).toBe(kept - 2 * K64);
    const bytes = host.bytes('x');
    expect(bytes.length).toBe(4 * K64);
    expect(bytes.subarray(0, 2 * K64).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(2 * K64, 3 * K64).every((byte) => byte === 7)).toBe(true);
  });

  it('are not tried again once the host has said that it cannot', async () => {
    host.file('x', 0, [0, K64, 7]);
    const image = await openFile('x');
    Object.assign(stateOf(image), { canZeroRange: false, canDiscard: false, canReserve: false });
    expect(await host.errno(() => image.pwriteZeroes(0, 4096, Req.NO_FALLBACK))).toBe(Errno.ENOTSUP);
    expect(await host.errno(() => image.pwriteZeroes(0, 4096, 0))).toBe(0);
    expect(await host.errno(() => image.pdiscard(4096, 4096))).toBe(0);
    expect(await host.read(image, 0, 8192)).toEqual(Buffer.concat([Buffer.alloc(4096), Buffer.alloc(4096, 7)]));
  });

  it('make the file longer behind its end where the host can reserve', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    Object.assign(stateOf(image), { canZeroRange: false, canDiscard: false });
    expect(await host.errno(() => pwriteZeroes(image.root, 8192, 4096, Req.NO_FALLBACK))).toBe(0);
    expect(host.bytes('x').length).toBe(12_288);
    expect(image.getLength()).toBe(12_288);
  });

  it('keep others from writing behind the end while they make the file longer', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    const ended: string[] = [];
    const start = (name: string, body: () => ReturnType<typeof pwritev>): Promise<unknown> =>
      host.loop.spawn({ operation: name }, body, (error) => ended.push(error === undefined ? name : `${name} failed`));
    // Host calls take time only while another coroutine can see it.
    const bystander = await host.loop.spawn(
      { operation: 'bystander' },
      () => host.loop.bottomHalf(),
      () => {},
    );
    await start('zeroes', () => pwriteZeroes(image.root, 4096, 4096, 0));
    await start('behind', () => pwritev(image.root, K64, Buffer.alloc(512, 1), 0));
    await start('before', () => pwritev(image.root, 0, Buffer.alloc(512, 2), 0));
    // The write behind the end has not reached the host yet.
    expect(host.bytes('x').length).toBe(8192);
    expect(bystander.done).toBe(false);
    while (await host.loop.poll()) {
      // until all have ended
    }
    expect(ended).toEqual(['zeroes', 'before', 'behind']);
    expect(host.bytes('x').length).toBe(K64 + 512);
  });
});

describe('flush', () => {
  it('fails for good after it has failed once: nobody knows what is on the disk', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    const state = stateOf(image);
    const { fd } = state;
    await host.write(image, 0, 512, 1);
    // A directory of /proc cannot be synchronised.
    state.fd = openSync('/proc/self', 'r');
    expect(await host.errno(() => image.flush())).toBe(Errno.EINVAL);
    state.fd = fd;
    await host.write(image, 0, 512, 1);
    expect(await host.errno(() => image.flush())).toBe(Errno.EINVAL);
  });
});

describe('truncate', () => {
  async function truncate(image: BlockBackend, bytes: number, preallocation: Preallocation): Promise<string> {
    const body = (): ReturnType<BlockBackend['truncate']> => image.truncate(bytes, { preallocation });
    if ((await host.errno(body)) === 0) return `${host.bytes('x').length}`;
    return host.message(body);
  }

  it('makes a file longer and shorter, with the preallocation asked for', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    expect(await truncate(image, 8192, 'off')).toBe('8192');
    expect(image.getLength()).toBe(8192);
    expect(await truncate(image, 100_000, 'full')).toBe('100000');
    expect(await truncate(image, 512, 'off')).toBe('512');
    expect(await host.read(image, 0, 512)).toEqual(Buffer.alloc(512));
  });

  it.skipIf(libc() === null)('reserves space with falloc', async () => {
    host.file('x', 0);
    const image = await openFile('x');
    expect(await truncate(image, K64, 'falloc')).toBe('65536');
    expect(image.top.driver.getAllocatedBytes?.(image.top)).toBeGreaterThanOrEqual(K64);
  });

  it('writes the first block of a file that was empty, so that O_DIRECT can be tried on it', async () => {
    host.file('x', 0);
    const image = await openFile('x');
    expect(await truncate(image, K64, 'off')).toBe('65536');
    expect(image.top.driver.getAllocatedBytes?.(image.top)).toBeGreaterThan(0);
  });

  it("refuses what no file can do, in QEMU's words", async () => {
    host.file('x', 8192);
    const image = await openFile('x');
    expect(await truncate(image, 16_384, 'metadata')).toBe('Unsupported preallocation mode: metadata');
    expect(await truncate(image, 4096, 'falloc')).toBe('Cannot use preallocation for shrinking files');
    expect(await truncate(image, 4096, 'full')).toBe('Cannot use preallocation for shrinking files');
    expect(await truncate(image, 2 ** 62, 'off')).toBe('Could not resize file: File too large');
    expect(host.bytes('x').length).toBe(8192);
  });

  it('leaves devices as they are', async () => {
    const image = await host.open({ driver: 'host_device', filename: '/dev/null' });
    const message = (bytes: number, exact: boolean, mode: Preallocation): Promise<string> =>
      host.message(() => image.truncate(bytes, { exact, preallocation: mode }));
    expect(await message(512, false, 'off')).toBe('Cannot grow device files');
    expect(await message(512, true, 'off')).toBe('Cannot resize device files');
    expect(await message(512, false, 'full')).toBe("Preallocation mode 'full' unsupported for this non-regular file");
    expect(await host.errno(() => image.truncate(0, { exact: true }))).toBe(0);
  });
});

describe('a drive without a disc', () => {
  it('opens, and has nothing to read, to write or to be long', async () => {
    const image = await host.open({ driver: 'host_cdrom', filename: '/dev/null' });
    expect(image.isAvailable).toBe(false);
    expect(() => image.getLength()).toThrow('No medium found');
    expect(await host.errno(() => image.pread(0, Buffer.alloc(512)))).toBe(Errno.ENOMEDIUM);
    expect(await host.write(image, 0, 512, 1)).toBe(Errno.ENOMEDIUM);
    expect(await host.message(() => image.truncate(512))).toBe('No medium inserted');
  });
});

describe.skipIf(libc() === null)('block status', () => {
  it('tells data from holes, and rounds the end of the file up to its alignment', async () => {
    host.file('x', 0, [K64, K64, 7], [3 * K64, 1000, 7]);
    const image = await openFile('x');
    const statusAt = async (offset: number): Promise<[number, number]> => {
      let found: [number, number] = [0, 0];
      await host.errno(async () => {
        const status = await blockStatus(image.top, true, offset, image.getLength() - offset);
        found = [status.flags & (Status.DATA | Status.ZERO), status.bytes];
      });
      return found;
    };
    expect(await statusAt(0)).toEqual([Status.ZERO, K64]);
    expect(await statusAt(K64)).toEqual([Status.DATA, K64]);
    expect(await statusAt(2 * K64)).toEqual([Status.ZERO, K64]);
    expect(await statusAt(3 * K64)).toEqual([Status.DATA, 1000]);
    expect(await statusAt(3 * K64 + 1000)).toEqual([Status.ZERO, 24]);
    forgetDataRange(image.top, 0, 4 * K64);
    image.top.limits.requestAlignment = 512;
    expect(await statusAt(3 * K64)).toEqual([Status.DATA, 1024]);
  });
});

describe('direct I/O', () => {
  const cached = Open.READ_WRITE | Open.UNMAP;

  /** Opens it; null on a file system without direct I/O. */
  async function openDirect(flags: number = cached): Promise<BlockBackend | null> {
    try {
      return await openFile('x', flags | Open.NO_CACHE);
    } catch (error) {
      expect(String(error)).toMatch(/filesystem does not support O_DIRECT|Could not find working O_DIRECT/);
      return null;
    }
  }

  it('serves requests and buffers that the host would not take as they are', async (context) => {
    host.file('x', 0, [0, K64, 7]);
    const image = await openDirect();
    if (image === null) return context.skip();
    expect(image.top.limits.requestAlignment).toBeGreaterThanOrEqual(512);
    expect(await host.write(image, 100, 1000, 8)).toBe(0);
    const expected = Buffer.concat([Buffer.alloc(1, 7), Buffer.alloc(1000, 8), Buffer.alloc(1, 7)]);
    expect(await host.read(image, 99, 1002)).toEqual(expected);
    const odd = Buffer.alloc(8193).subarray(1);
    expect(await host.errno(() => image.pread(0, odd))).toBe(0);
    expect(odd.subarray(99, 1101)).toEqual(expected);
    expect(await host.errno(() => image.pwrite(K64 - 8192, odd, 0))).toBe(0);
    expect(host.bytes('x').subarray(K64 - 8192)).toEqual(odd);
  });

  it('reads to the end of a file that ends in the middle of a block', async (context) => {
    host.file('x', 0, [0, 5000, 7]);
    const image = await openDirect(0);
    if (image === null) return context.skip();
    expect(await host.read(image, 4096, 1024)).toEqual(Buffer.concat([Buffer.alloc(904, 7), Buffer.alloc(120)]));
  });

  it('comes and goes with a reopen, and its alignment with it', async (context) => {
    host.file('x', 0, [0, K64, 7]);
    const direct = await openDirect();
    if (direct === null) return context.skip();
    const { requestAlignment } = direct.top.limits;
    await host.close(direct);
    const image = await openFile('x');
    expect(image.top.limits.requestAlignment).toBe(1);
    await reopenNode(image.top, new Options([['cache.direct', 'on']]), true);
    expect(image.top.limits.requestAlignment).toBe(requestAlignment);
    expect(await host.write(image, 1, 1, 8)).toBe(0);
    await reopenNode(image.top, new Options([['cache.direct', 'off']]), true);
    expect(image.top.limits.requestAlignment).toBe(1);
    expect(host.bytes('x').subarray(0, 3)).toEqual(Buffer.from([7, 8, 7]));
  });
});

describe('the options of a reopen', () => {
  it('are checked as those of an open, and most may not change', async () => {
    host.file('x', 4096);
    const image = await openFile('x');
    const reopen = (key: string, value: string): Promise<void> =>
      reopenNode(image.top, new Options([[key, value]]), true);
    await expect(reopen('aio-max-batch', 'x')).rejects.toThrow("Parameter 'aio-max-batch' expects a number");
    await expect(reopen('locking', 'off')).rejects.toThrow("Cannot change the option 'locking'");
    await expect(reopen('filename', 'y')).rejects.toThrow("Cannot change the option 'filename'");
    await reopen('x-check-cache-dropped', 'on');
    expect(await host.write(image, 0, 512, 1)).toBe(0);
  });
});
