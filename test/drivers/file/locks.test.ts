/** The locks on image files, in QEMU's layout of bytes. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Open, Perm } from '../../../src/block/flags.ts';
import { Options } from '../../../src/block/options/options.ts';
import { setBackendPermissions } from '../../../src/block/graph/permissions.ts';
import { reopenNode } from '../../../src/block/open/reopen.ts';
import type { FileNode } from '../../../src/drivers/file/state.ts';
import { libc } from '../../../src/sys/libc.ts';
import { lockByte, lockConflict, unlockByte } from '../../../src/sys/locks.ts';
import { HostImages } from '../../helpers/host-images.ts';

let host: HostImages;
let filename: string;
/** A descriptor of another process, which locks bytes by hand. */
let stranger: number;

beforeEach(() => {
  host = new HostImages();
  filename = host.file('x', 1 << 20);
  stranger = openSync(filename, 'r+');
});

afterEach(async () => {
  closeSync(stranger);
  await host.remove();
});

/** The bytes that are locked, in QEMU's layout: 100 to 103 in use, 200 to 203 not shared. */
function lockedBytes(): number[] {
  return [100, 101, 102, 103, 104, 200, 201, 202, 203, 204].filter((byte) => lockConflict(stranger, byte) !== 0);
}

const raw = (options: Record<string, string> = {}): Record<string, string> => ({
  driver: 'raw',
  'file.filename': filename,
  ...options,
});

describe.skipIf(libc() === null)('locks of an open image', () => {
  it('say what is in use and what is not shared, as QEMU lays them out', async () => {
    const image = await host.open(raw());
    expect(lockedBytes()).toEqual([100, 101]);
    setBackendPermissions(image, Perm.ALL, Perm.CONSISTENT_READ | Perm.WRITE_UNCHANGED);
    expect(lockedBytes()).toEqual([100, 101, 102, 103, 201, 203]);
    setBackendPermissions(image, Perm.CONSISTENT_READ, Perm.ALL);
    expect(lockedBytes()).toEqual([100]);
    await host.close(image);
    expect(lockedBytes()).toEqual([]);
  });

  it("keep others out of what is not shared, with QEMU's text", async () => {
    lockByte(stranger, 201);
    const hint = `\nIs another process using the image [${filename}]?`;
    expect(await host.refusal(raw())).toBe(`Failed to get "write" lock${hint}`);
    expect(lockedBytes()).toEqual([]);
    await host.open(raw(), 0);
    unlockByte(stranger, 201);
    lockByte(stranger, 200);
    expect(await host.refusal(raw(), 0)).toBe(`Failed to get "consistent read" lock${hint}`);
  });

  it('are refused while somebody uses what shall not be shared any more', async () => {
    const image = await host.open(raw(), 0);
    lockByte(stranger, 103);
    const unshare = (): void => setBackendPermissions(image, Perm.CONSISTENT_READ, Perm.ALL & ~Perm.RESIZE);
    expect(unshare).toThrow(`Failed to get shared "resize" lock\nIs another process using the image [${filename}]?`);
    expect(lockedBytes()).toEqual([100]);
    unlockByte(stranger, 103);
    unshare();
    expect(lockedBytes()).toEqual([100, 203]);
  });

  it('share everything with force-share', async () => {
    lockByte(stranger, 101);
    const image = await host.open(raw({ 'force-share': 'on', 'read-only': 'on' }), 0);
    expect(image.top.file?.node.forceShare).toBe(true);
    expect(lockedBytes()).toEqual([100]);
  });

  it('are not taken with locking=off', async () => {
    lockByte(stranger, 201);
    await host.open(raw({ 'file.locking': 'off' }));
    expect(lockedBytes()).toEqual([]);
  });

  it('go along to the new descriptor of a reopen, and back if that fails', async () => {
    const image = await host.open(raw(), 0);
    lockByte(stranger, 201);
    const writable = (): Promise<void> => reopenNode(image.top, new Options([['read-only', 'off']]), true);
    await writable();
    expect(image.top.isReadOnly).toBe(false);
    expect(lockedBytes()).toEqual([100]);
    expect(() => setBackendPermissions(image, Perm.CONSISTENT_READ | Perm.WRITE, Perm.ALL)).toThrow('"write" lock');
    expect(lockedBytes()).toEqual([100]);
    unlockByte(stranger, 201);
    setBackendPermissions(image, Perm.CONSISTENT_READ | Perm.WRITE, Perm.ALL);
    expect(lockedBytes()).toEqual([100, 101]);
    expect(await host.write(image, 0, 512, 9)).toBe(0);
  });
});

describe('auto-read-only', () => {
  it('opens the file for writing only while somebody may write', async () => {
    const image = await host.open({ driver: 'file', filename, 'auto-read-only': 'on' }, Open.READ_WRITE);
    expect(await host.write(image, 0, 512, 9)).toBe(0);
    setBackendPermissions(image, Perm.CONSISTENT_READ, Perm.ALL);
    const { fd } = (image.top as FileNode).state;
    expect(() => writeSync(fd, 'x', 0)).toThrow('EBADF');
    setBackendPermissions(image, Perm.CONSISTENT_READ | Perm.WRITE, Perm.ALL);
    expect(await host.write(image, 512, 512, 9)).toBe(0);
    expect(host.bytes('x')[0]).toBe(9);
  });
});
