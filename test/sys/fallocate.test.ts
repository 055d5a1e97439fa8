/** Space taken, given back and zeroed through the C library. */
import { fstatSync, readSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { asNotSupported, Fallocate, fallocate } from '../../src/sys/fallocate.ts';
import { setLibcAvailable } from '../../src/sys/libc.ts';
import { extentAt } from '../../src/sys/seek.ts';
import { Errno } from '../../src/util/errno.ts';
import { hostFile } from './host-file.ts';

afterEach(() => setLibcAvailable(true));

describe('fallocate', () => {
  it('punches a hole that reads as zeroes, and leaves the length', () => {
    const { fd, fill } = hostFile(0);
    fill(0, 1 << 18, 0x55);
    expect(fallocate(fd, Fallocate.PUNCH_HOLE, 1 << 16, 1 << 16)).toBe(0);
    const data = Buffer.alloc(3);
    readSync(fd, data, 0, 3, (1 << 16) - 1);
    expect([...data]).toEqual([0x55, 0, 0]);
    expect(fstatSync(fd).size).toBe(1 << 18);
    expect(extentAt(fd, 1 << 16)).toEqual({ isData: false, end: 1 << 17 });
  });

  it('reserves space behind the end, which makes the file longer', () => {
    const { fd } = hostFile(4096);
    expect(fallocate(fd, Fallocate.RESERVE, 4096, 8192)).toBe(0);
    expect(fstatSync(fd)).toMatchObject({ size: 12_288 });
    expect(fstatSync(fd).blocks * 512).toBeGreaterThanOrEqual(8192);
  });

  it('says why not, as a positive errno', () => {
    const { fd, reopen } = hostFile(4096);
    expect(fallocate(fd, Fallocate.RESERVE, 0, 0)).toBe(Errno.EINVAL);
    expect(fallocate(reopen('r'), Fallocate.RESERVE, 0, 4096)).toBe(Errno.EBADF);
  });

  it('is not supported where the C library cannot be loaded', () => {
    const { fd } = hostFile(4096);
    setLibcAvailable(false);
    expect(fallocate(fd, Fallocate.RESERVE, 0, 8192)).toBe(Errno.ENOTSUP);
    expect(fstatSync(fd).size).toBe(4096);
  });
});

describe('asNotSupported', () => {
  it('joins the ways in which hosts say that they have no such call, and no others', () => {
    for (const errno of [Errno.ENODEV, Errno.ENOSYS, Errno.ENOTSUP, Errno.ENOTTY]) {
      expect(asNotSupported(errno)).toBe(Errno.ENOTSUP);
    }
    expect(asNotSupported(Errno.ENOSPC)).toBe(Errno.ENOSPC);
  });
});
