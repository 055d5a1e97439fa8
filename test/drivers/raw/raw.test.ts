/** The raw driver: a window of a file, guessed images, permissions, events. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { truncateSync } from 'node:fs';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { Open, Perm } from '../../../src/block/flags.ts';
import { Options } from '../../../src/block/options/options.ts';
import { setBackendPermissions } from '../../../src/block/graph/permissions.ts';
import { reopenNode } from '../../../src/block/open/reopen.ts';
import { isAllocated } from '../../../src/block/request/status.ts';
import { Errno } from '../../../src/util/errno.ts';
import { HostImages } from '../../helpers/host-images.ts';

const M = 1 << 20;

let host: HostImages;
let filename: string;

beforeEach(() => {
  host = new HostImages();
  filename = host.file('x', M, [4096, 4096, 7]);
});

afterEach(() => host.remove());

function openRaw(options: Record<string, string> = {}, flags?: number): Promise<BlockBackend> {
  return host.open({ driver: 'raw', 'file.filename': filename, ...options }, flags);
}

// The texts are those of qemu-io 7.2.22.
describe('a window of a file', () => {
  it('begins at offset and has size bytes, or all up to the end', async () => {
    const image = await openRaw({ offset: '4096' });
    expect(image.getLength()).toBe(M - 4096);
    expect(await host.read(image, 4095, 2)).toEqual(Buffer.from([7, 0]));
    const small = await openRaw({ offset: '4k', size: '512' });
    expect(small.getLength()).toBe(512);
    expect(await host.write(small, 511, 1, 9)).toBe(0);
    expect(await host.write(small, 511, 2, 9)).toBe(Errno.EIO);
    expect(host.bytes('x').subarray(4096 + 510, 4096 + 513)).toEqual(Buffer.from([7, 9, 7]));
  });

  it('must be within the file', async () => {
    const refusal = (options: Record<string, string>): Promise<string> =>
      host.refusal({ driver: 'raw', 'file.filename': filename, ...options });
    expect(await refusal({ offset: '2M' })).toBe(
      'Offset (2097152) cannot be greater than size of the containing file (1048576)',
    );
    expect(await refusal({ offset: '18446744073709551615' })).toBe(
      'Offset (18446744073709551615) cannot be greater than size of the containing file (1048576)',
    );
    expect(await refusal({ offset: '512k', size: '1M' })).toBe(
      'The sum of offset (524288) and size (1048576) has to be smaller or equal to the  actual size of the containing ' +
        'file (1048576)',
    );
    expect(await refusal({ size: '1000' })).toBe('Specified size is not multiple of 512');
    expect(await refusal({ offset: 'x' })).toMatch(/^Parameter 'offset' expects a non-negative number below 2\^64\n/);
  });

  it('says where in the file its data is', async () => {
    const image = await openRaw({ offset: '4096' });
    const status = await image.top.driver.blockStatus?.(image.top, true, 512, 512);
    expect(status).toMatchObject({ map: 4608, bytes: 512, file: image.top.file?.node });
    expect(await isAllocated(image.top, 0, 512)).toMatchObject({ allocated: true });
  });

  it('is truncated behind its offset, but not with a size', async () => {
    const image = await openRaw({ offset: '4096' });
    expect(await host.errno(() => image.truncate(8192))).toBe(0);
    expect(host.bytes('x').length).toBe(12_288);
    expect(image.getLength()).toBe(8192);
    const fixed = await openRaw({ size: '512' });
    expect(await host.message(() => fixed.truncate(1024))).toBe('Cannot resize fixed-size raw disks');
  });

  it('moves with a reopen, or stays if the new one does not fit', async () => {
    const image = await openRaw({ offset: '4096', size: '4096' });
    await reopenNode(image.top, new Options([['offset', '0']]), true);
    expect(image.getLength()).toBe(4096);
    expect(await host.read(image, 0, 1)).toEqual(Buffer.from([0]));
    await expect(reopenNode(image.top, new Options([['offset', '1M']]), true)).rejects.toThrow('The sum of offset');
    expect(await host.read(image, 0, 1)).toEqual(Buffer.from([0]));
  });

  it('is as short as a file that was found shorter', async () => {
    truncateSync(filename, 6144);
    const image = await openRaw({ offset: '4096', size: '1024' });
    expect(image.getLength()).toBe(1024);
  });
});

describe('a guessed image', () => {
  it('is warned of, if it may be written', async () => {
    await host.open({}, Open.READ_WRITE, filename);
    expect(host.warnings).toEqual([
      `WARNING: Image format was not specified for '${filename}' and probing guessed raw.`,
      '         Automatically detecting the format is dangerous for raw images, write operations on block 0 will be ' +
        'restricted.',
      "         Specify the 'raw' format explicitly to remove the restrictions.",
    ]);
    host.warnings.length = 0;
    await host.open({}, 0, host.file('y', 512));
    expect(host.warnings).toEqual([]);
  });

  it('cannot be made another format by what is written to its first sector', async () => {
    const image = await host.open({}, Open.READ_WRITE, filename);
    expect(image.top.limits.requestAlignment).toBe(512);
    const magic = Buffer.concat([Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), Buffer.alloc(4088)]);
    expect(await host.errno(() => image.pwrite(0, magic, 0))).toBe(Errno.EPERM);
    expect(await host.errno(() => image.pwrite(0, magic.subarray(0, 8), 0))).toBe(Errno.EPERM);
    expect(await host.errno(() => image.pwrite(512, magic, 0))).toBe(0);
    expect(await host.write(image, 1, 3, 9)).toBe(0);
    expect(host.bytes('x').subarray(0, 5)).toEqual(Buffer.from([0, 9, 9, 9, 0]));
  });

  it('may become anything if the format was given', async () => {
    const image = await openRaw();
    expect(host.warnings).toEqual([]);
    expect(await host.errno(() => image.pwrite(0, Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'), 0))).toBe(0);
  });
});

describe('permissions on the file', () => {
  it('are those that the users of the image have, and no more', async () => {
    const image = await openRaw();
    const child = image.top.file;
    expect(child?.perm).toBe(Perm.CONSISTENT_READ | Perm.WRITE);
    expect(child?.shared).toBe(Perm.ALL);
    setBackendPermissions(image, Perm.CONSISTENT_READ | Perm.RESIZE, Perm.ALL);
    expect(child?.perm).toBe(Perm.CONSISTENT_READ | Perm.RESIZE);
  });

  it('leave no resize to others where the image is a window', async () => {
    const image = await openRaw({ offset: '512' });
    expect(image.top.file?.perm).toBe(Perm.CONSISTENT_READ | Perm.WRITE);
    expect(image.top.file?.shared).toBe(Perm.ALL & ~Perm.RESIZE);
  });
});

describe('events', () => {
  it('tell of reads and writes of data, before they reach the file', async () => {
    const seen: string[] = [];
    const image = await host.open({ driver: 'raw', 'file.driver': 'blkdebug', 'file.image.filename': filename });
    host.context.trace.subscribe((record) => {
      if (record.kind === 'event') seen.push(record.event);
    });
    await host.read(image, 0, 512);
    await host.write(image, 0, 512, 1);
    await host.errno(() => image.pwriteZeroes(0, 4096, 0));
    await host.errno(() => image.pdiscard(0, 4096));
    expect(seen.filter((event) => event.endsWith('_aio'))).toEqual(['read_aio', 'write_aio']);
  });
});
