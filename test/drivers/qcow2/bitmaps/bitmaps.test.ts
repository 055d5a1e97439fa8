/** Persistent bitmaps: kept up to date, stored at the end, and what stands in their way. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../../src/block/backend.ts';
import { Perm } from '../../../../src/block/flags.ts';
import { Options } from '../../../../src/block/options/options.ts';
import { setBackendPermissions } from '../../../../src/block/graph/permissions.ts';
import { reopenNode } from '../../../../src/block/open/reopen.ts';
import { Errno } from '../../../../src/util/errno.ts';
import { Qcow2Host, CLEAN, stateOf } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
  host.image('x', { lengthBytes: 1 << 20, bitmap: { name: 'b', granularityBits: 16 } });
});
afterEach(() => host.remove());

/** Where the directory is, by the extension of the header. */
function directoryOf(image: Buffer): number {
  return Number(image.readBigUInt64BE(image.indexOf('23852875', 0, 'hex') + 24));
}

/** The flags and the bits of the one bitmap, as they are on disk. */
function stored(): { flags: number; bits: string } {
  const image = host.bytes('x');
  const directory = directoryOf(image);
  const table = Number(image.readBigUInt64BE(directory));
  const cluster = Number(image.readBigUInt64BE(table) & 0xffff_ffff_ffff_fe00n);
  const bits = cluster === 0 ? 'none' : image.subarray(cluster, cluster + 2).toString('hex');
  return { flags: image.readUInt32BE(directory + 12), bits };
}

function readOnly(image: BlockBackend, isOn: boolean): Promise<number> {
  if (isOn) setBackendPermissions(image, image.root.perm & ~(Perm.WRITE | Perm.WRITE_UNCHANGED), image.root.shared);
  return host.errno(() => reopenNode(image.top, new Options([['read-only', isOn ? 'on' : 'off']]), true));
}

describe('a bitmap', () => {
  it('is in use while the image is open, and notes what was written until it is closed', async () => {
    const image = await host.openQcow2('x');
    expect(stored()).toEqual({ flags: 3, bits: 'none' });
    await host.write(image, 65536, 100, 1);
    await host.errno(() => image.pdiscard(1 << 19, 65536));
    await host.close(image);
    expect(stored()).toEqual({ flags: 2, bits: '0201' });
    expect(await host.check(await host.openQcow2('x'))).toMatchObject(CLEAN);
  });

  it('has a name that ends at the first NUL, and is stored so (observed with qemu-io 7.2.22)', async () => {
    host.image('x', { lengthBytes: 1 << 20, bitmap: { name: 'b\0cdef', granularityBits: 16 } });
    await host.close(await host.openQcow2('x'));
    const image = host.bytes('x');
    const directory = directoryOf(image);
    const nameBytes = image.readUInt16BE(directory + 18);
    expect(image.toString('latin1', directory + 24, directory + 24 + nameBytes)).toBe('b');
  });

  it('of a disk without length is lost', async () => {
    const image = await host.openQcow2('x');
    expect(await host.errno(() => image.truncate(0, { exact: true }))).toBe(0);
    const name = image.top.nodeName;
    await host.close(image);
    expect(host.warnings).toEqual([
      `qemu-io: Lost persistent bitmaps during inactivation of node '${name}': No memory`,
    ]);
  });

  it('is stored when the image becomes read-only, and in use again when it can be written', async () => {
    const image = await host.openQcow2('x');
    await host.write(image, 0, 100, 1);
    expect(await readOnly(image, true)).toBe(0);
    expect(stored()).toEqual({ flags: 2, bits: '0100' });
    expect(await readOnly(image, false)).toBe(0);
    expect(stored()).toEqual({ flags: 3, bits: '0100' });
    expect(host.warnings).toEqual([]);
  });

  it('that cannot be marked as in use forbids every change', async () => {
    const image = await host.openQcow2('x');
    expect(await readOnly(image, true)).toBe(0);
    host.change('x', (bytes) => bytes.write('c', directoryOf(bytes) + 24, 'latin1'));
    expect(await readOnly(image, false)).toBe(0);
    const problem = `Unexpected bitmap 'c' in image '${host.path('x')}'`;
    expect(host.warnings).toEqual([
      `qemu-io: ${image.top.nodeName}: Failed to make dirty bitmaps writable: ${problem}`,
    ]);
    expect(await host.write(image, 0, 512, 1)).toBe(Errno.EPERM);
    expect(await host.errno(() => image.pwriteZeroes(0, 65536, 0))).toBe(Errno.EPERM);
    expect(await host.errno(() => image.pdiscard(0, 65536))).toBe(Errno.EPERM);
  });
});

describe('an error on reading the directory of bitmaps', () => {
  /** From the first write on no read succeeds. */
  const failingReads = { 'inject-error.0.event': 'write_aio', 'inject-error.0.iotype': 'read' };

  it('refuses a new length and information, and loses the bitmaps at the end', async () => {
    const image = await host.openDebug('x', failingReads);
    expect(await host.write(image, 0, 65536, 1)).toBe(0);
    const problem = 'Failed to read bitmap directory: Input/output error';
    expect(await host.message(() => image.truncate(2 << 20, { exact: true }))).toBe(problem);
    expect(await host.message(async () => void (await image.top.driver.getSpecificInfo?.(image.top)))).toBe(problem);
    const name = image.top.nodeName;
    expect(stateOf(image).bitmaps.length).toBe(1);
    await host.close(image);
    expect(host.warnings).toEqual([
      `qemu-io: Lost persistent bitmaps during inactivation of node '${name}': ${problem}`,
    ]);
    expect(stored()).toEqual({ flags: 3, bits: 'none' });
  });
});
